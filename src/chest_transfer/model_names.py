"""Which model of an experiment: dataset, backbone, training regime, starting weights, seed and training patients.

Also where its files are. Models that differ only in their seed are one row of the metrics: what their start is worth
is asked of all of them.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from chest_transfer.errors import unknown_name_error

if TYPE_CHECKING:
    from chest_transfer.settings import Settings

# Ways to make a model; those of TRANSFERRED start from a model of another dataset.
REGIMES = ("probe", "finetune", "train", "as_is", "adapted", "transfer")
TRANSFERRED = ("as_is", "adapted", "transfer")
NOT_FITTED = ("as_is", "adapted")  # to labels of the dataset
WITHOUT_NETWORK = ("as_is",)  # of their own
EXPLAINED = ("finetune", "train")
ALL_PATIENTS = "all"
ENSEMBLE = "ensemble"
_FORM = re.compile(
    r"(?P<dataset>\w+)/(?P<backbone>\w+)/(?P<regime>\w+)-(?P<start>\w+)"
    rf"-(?:seed(?P<seed>\d+)|{ENSEMBLE})-(?P<patients>all|\d+)"
)


@dataclass(frozen=True, order=True)
class ModelName:
    """The identity of a model, written `<dataset>/<backbone>/<regime>-<start>-seed<seed>-<patients>`.

    With `ensemble` in place of the seed it is the mean of the probabilities of those of all seeds, and has no files.

    Args:
        dataset: str, that it is fitted to, or applied to.
        backbone: str, a key of `backbones.BACKBONES`.
        regime: str, one of `REGIMES`.
        start: str, the starting weights; for the regimes of `TRANSFERRED` the dataset that the model comes from.
        seed: int, of its training; None for an ensemble.
        patients: int, how many training patients; None for all.
    """

    dataset: str
    backbone: str
    regime: str
    start: str
    seed: int | None
    patients: int | None = None

    @classmethod
    def parse(cls, text: str) -> "ModelName":
        """Return the name that `str` of a ModelName gives.

        Raises:
            ChestTransferError: the text has another form, or names an unknown regime.
        """
        match = _FORM.fullmatch(text)
        if match is None or match["regime"] not in REGIMES:
            allowed = [f"<dataset>/<backbone>/{regime}-<start>-seed<seed>-<patients or all>" for regime in REGIMES]
            raise unknown_name_error("model", text, allowed)
        return cls.of_words(*match.groups())

    @classmethod
    def of_words(
        cls, dataset: str, backbone: str, regime: str, start: str, seed: str | None, patients: str
    ) -> "ModelName":
        """Return the name that the words of a stage's command give: a seed, and a number of patients or `all`."""
        number = None if patients == ALL_PATIENTS else int(patients)
        return cls(dataset, backbone, regime, start, None if seed is None else int(seed), number)

    def __str__(self) -> str:
        return f"{self.dataset}/{self.backbone}/{self.file_name}"

    @property
    def row(self) -> str:
        """`<start>`, or `<start>-ensemble`: the row of its regime in the metrics, with the models of other seeds."""
        return f"{self.start}-{ENSEMBLE}" if self.seed is None else self.start

    @property
    def key(self) -> str:
        """`<regime>-<row>`."""
        return f"{self.regime}-{self.row}"

    @property
    def without_fit(self) -> str:
        """`<dataset>/<backbone>/<key>`."""
        return f"{self.dataset}/{self.backbone}/{self.key}"

    @property
    def fit(self) -> str:
        """`seed<seed>-<patients>`, or `ensemble-<patients>`: which one it is of those with its regime and start."""
        seed = ENSEMBLE if self.seed is None else f"seed{self.seed}"
        return f"{seed}-{ALL_PATIENTS if self.patients is None else self.patients}"

    @property
    def file_name(self) -> str:
        """The name of its files, without an ending."""
        return f"{self.regime}-{self.start}-{self.fit}"

    @property
    def network(self) -> Path:
        """The file of the network."""
        return networks_folder(self.dataset, self.backbone) / f"{self.file_name}.keras"

    @property
    def predictions(self) -> Path:
        """The folder of its raw predictions and its history."""
        return predictions_folder(self.dataset, self.backbone) / self.file_name

    def predictions_of(self, split: str) -> Path:
        """The table of its raw predictions for a split."""
        return self.predictions / f"{split}.csv"

    @property
    def as_is(self) -> "ModelName":
        """The model that a transferred one of the same seed starts from, applied to the dataset as it is."""
        return replace(self, regime="as_is", patients=None)


def networks_folder(dataset: str, backbone: str) -> Path:
    """The folder of a dataset's networks with one backbone."""
    return Path("models", dataset, backbone)


def predictions_folder(dataset: str, backbone: str) -> Path:
    """The folder of the raw predictions of a dataset's models with one backbone."""
    return Path("data/predictions", dataset, backbone)


def packed_model(dataset: str) -> Path:
    """The file of a dataset's best model, to take away."""
    return Path("models/best", f"{dataset}.keras")


def starting_network(backbone: str, weights: str) -> Path:
    """The file of a backbone with its starting weights."""
    return Path("models/pretrained", backbone, f"{weights}.keras")


def pretrained_features(dataset: str, backbone: str, weights: str) -> Path:
    """The folder of the features that a backbone with pretrained weights computes from a dataset."""
    return Path("data/features", dataset, backbone, weights)


def random_features(dataset: str, backbone: str, weights: str, seed: int) -> Path:
    """The folder of the features that a backbone with the random weights of a seed computes from a dataset."""
    return Path("data/random_features", dataset, backbone, f"{weights}-seed{seed}")


def models_of_experiment(settings: "Settings", dataset: str) -> list[ModelName]:
    """Return the models of a dataset that the settings ask for, in the order in which metrics list them."""
    starts = {
        "probe": settings.weights,
        "finetune": settings.finetune.weights,
        "train": settings.train.weights,
    }
    pairs = [(regime, start) for regime in starts for start in starts[regime]]
    if dataset == settings.transfer.target:
        pairs += [(regime, source) for source in settings.transfer.sources for regime in TRANSFERRED]
    return [
        ModelName(dataset, settings.model, regime, start, seed, patients)
        for regime, start in pairs
        for patients in ([None] if regime in NOT_FITTED else settings.numbers_of_patients)
        for seed in settings.seeds
    ]


def with_most_patients(models: list[ModelName]) -> list[ModelName]:
    """Return the models, of all seeds, that were trained on the most patients: those behind the headline scores."""
    most = max((name.patients or float("inf") for name in models if name.regime not in NOT_FITTED), default=None)
    return [name for name in models if name.regime in NOT_FITTED or (name.patients or float("inf")) == most]


def first_of_each(models: list[ModelName]) -> list[ModelName]:
    """Return one model for each row of the metrics: with the most patients, and the first seed of the settings."""
    return list({name.key: name for name in reversed(with_most_patients(models))}.values())[::-1]


def ensembles(models: list[ModelName]) -> dict[ModelName, list[ModelName]]:
    """Return the ensemble of all seeds of each row, with its members; of the most patients, none where one seed is.

    Not among them are models that are not fitted to the dataset.
    """
    members: dict[ModelName, list[ModelName]] = {}
    for name in with_most_patients(models):
        if name.regime not in NOT_FITTED:
            members.setdefault(replace(name, seed=None), []).append(name)
    return {name: of_seeds for name, of_seeds in members.items() if len(of_seeds) > 1}


def is_ensemble(row: str) -> bool:
    """Return whether a row of the metrics, or a model's key, is of an ensemble."""
    return row.endswith(f"-{ENSEMBLE}")


def own_models(models: list[ModelName]) -> list[ModelName]:
    """Return the models that are fitted to their dataset alone, as `first_of_each`: those that are judged elsewhere."""
    return [name for name in first_of_each(models) if name.regime not in TRANSFERRED]


def explained_models(settings: "Settings", dataset: str) -> list[ModelName]:
    """Return the models of a dataset that get heat maps: those whose backbone was trained on it from given weights.

    Of several seeds and numbers of patients, as `first_of_each`.
    """
    return [name for name in first_of_each(models_of_experiment(settings, dataset)) if name.regime in EXPLAINED]
