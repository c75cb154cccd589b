"""Which model of an experiment: dataset, backbone, training regime and starting weights; and where its files are."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chest_transfer.errors import unknown_name_error

if TYPE_CHECKING:
    from chest_transfer.settings import Settings

# Ways to make a model; those of TRANSFERRED start from a model of another dataset.
REGIMES = ("probe", "finetune", "train", "as_is", "transfer")
TRANSFERRED = ("as_is", "transfer")
NOT_FITTED = ("as_is",)
EXPLAINED = ("finetune", "train")


@dataclass(frozen=True, order=True)
class ModelName:
    """The identity of a model, written `<dataset>/<backbone>/<regime>-<start>`.

    Args:
        dataset: str, that it is fitted to, or applied to.
        backbone: str, a key of `backbones.BACKBONES`.
        regime: str, one of `REGIMES`.
        start: str, the starting weights; for the regimes of `TRANSFERRED` the dataset that the model comes from.
    """

    dataset: str
    backbone: str
    regime: str
    start: str

    @classmethod
    def parse(cls, text: str) -> "ModelName":
        """Return the name that `str` of a ModelName gives.

        Raises:
            ChestTransferError: the text has another form, or names an unknown regime.
        """
        dataset, _, rest = text.partition("/")
        backbone, _, key = rest.partition("/")
        regime, _, start = key.partition("-")
        if not (dataset and backbone and start) or regime not in REGIMES or "/" in key:
            allowed = [f"<dataset>/<backbone>/{regime}-<start>" for regime in REGIMES]
            raise unknown_name_error("model", text, allowed)
        return cls(dataset, backbone, regime, start)

    def __str__(self) -> str:
        return f"{self.dataset}/{self.backbone}/{self.key}"

    @property
    def key(self) -> str:
        """`<regime>-<start>`: the name of the model within its dataset and backbone, as metrics show it."""
        return f"{self.regime}-{self.start}"

    @property
    def network(self) -> Path:
        """The file of the network."""
        return networks_folder(self.dataset, self.backbone) / f"{self.key}.keras"

    @property
    def predictions(self) -> Path:
        """The folder of its raw predictions and its history."""
        return predictions_folder(self.dataset, self.backbone) / self.key

    def predictions_of(self, split: str) -> Path:
        """The table of its raw predictions for a split."""
        return self.predictions / f"{split}.csv"


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


def models_of_experiment(settings: "Settings", dataset: str) -> list[ModelName]:
    """Return the models of a dataset that the settings ask for, in the order in which metrics list them."""
    starts = {
        "probe": settings.weights,
        "finetune": settings.finetune.weights,
        "train": settings.train.weights,
    }
    names = [ModelName(dataset, settings.model, regime, start) for regime in starts for start in starts[regime]]
    if dataset == settings.transfer.target:
        names += [
            ModelName(dataset, settings.model, regime, source)
            for source in settings.transfer.sources
            for regime in TRANSFERRED
        ]
    return names


def own_models(models: list[ModelName]) -> list[ModelName]:
    """Return the models that are fitted to their dataset alone."""
    return [name for name in models if name.regime not in TRANSFERRED]


def explained_models(settings: "Settings", dataset: str) -> list[ModelName]:
    """Return the models of a dataset that get heat maps: those whose backbone was trained on it from given weights."""
    return [name for name in models_of_experiment(settings, dataset) if name.regime in EXPLAINED]
