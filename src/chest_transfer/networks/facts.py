"""The facts that travel in a model's own file, with a schema: a file that lacks one is refused."""

from typing import Any

from pydantic import BaseModel, ConfigDict

RANDOM_STARTS = ("none", "statistics")  # starting weights of which nothing but random numbers is left


class StartingFacts(BaseModel):
    """A backbone with its starting weights.

    Args:
        backbone: key of `backbones.BACKBONES`.
        weights: name of the starting weights.
        weights_sha256: of the file that they come from; None for random weights.
        weights_license: of that file, as the settings name it.
        pretrained_blocks: how many blocks, from the input on, keep these weights, while the rest is random; None where
            all do.
        image_size: pixels a side.
        precision: of the backbone's layers.
        preprocessing: key of `backbones.PREPROCESSING`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    backbone: str
    weights: str
    weights_sha256: str | None
    weights_license: str | None = None
    pretrained_blocks: int | None = None
    image_size: int
    precision: str
    preprocessing: str

    @property
    def is_random(self) -> bool:
        """Whether the starting weights, or some of them, are drawn for each training seed."""
        return self.weights in RANDOM_STARTS or self.pretrained_blocks is not None


class ClassifierFacts(StartingFacts):
    """A trained classifier.

    Args:
        dataset: that it was trained on.
        regime: one of `model_names.REGIMES`.
        source: the dataset of the model that it started from; None where it started from pretrained weights.
        classes: in the order of the outputs.
        multi_label: whether the classes are independent (sigmoid), or exclusive (softmax).
        fit: how radiographs are made square, a key of `squares.SQUARE_FITS`.
        region: what is shown of them, one of `regions.REGIONS`.
        outside_lungs: one of `regions.OUTSIDE_LUNGS`, where the region is the lungs.
        seed: of its training.
        patients: how many training patients, None for all.
        settings: all settings that the training depended on.
        simulated: whether all patients that it was trained on are simulated.
        machine: the kind of machine that it was trained on, of `machine.machine`; None for files of earlier versions.
    """

    dataset: str
    regime: str
    source: str | None = None
    classes: list[str]
    multi_label: bool
    fit: str
    region: str = "whole"
    outside_lungs: str = "keep"
    seed: int
    patients: int | None
    settings: dict[str, Any]
    simulated: bool = False
    machine: str | None = None

    @property
    def start(self) -> str:
        """What it started from, as in the model's name."""
        return self.source or self.weights


class ClassScores(BaseModel):
    """How the radiographs of the validation split score for one class.

    Args:
        ill: quantiles of the calibrated log odds of those that show it, from 0 to 1 in equal steps; none without any.
        healthy: those of the others.
        ill_count: radiographs that show it.
        healthy_count: those that do not.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ill: list[float]
    healthy: list[float]
    ill_count: int
    healthy_count: int

    @property
    def share(self) -> float:
        """The share of the ill."""
        return self.ill_count / max(self.ill_count + self.healthy_count, 1)

    @property
    def of_the_opposite(self) -> "ClassScores":
        """The same for the absence of the class."""
        return ClassScores(
            ill=[-value for value in reversed(self.healthy)], healthy=[-value for value in reversed(self.ill)],
            ill_count=self.healthy_count, healthy_count=self.ill_count,
        )  # fmt: skip


class PackedFacts(ClassifierFacts):
    """A classifier that can be used from its file alone.

    Args:
        temperature: that logits are divided by before they become probabilities.
        thresholds: of calibrated probabilities, one for each class, by operating point.
        validation: of each class, how the validation split scores.
        cutoffs: by error rate, the cutoffs of `conformal.fit_cutoffs`: two for each class.
        ensemble_seeds: of the members of an ensemble, which takes the time of so many networks; `seed` is then that of
            the first. None for a single network.
    """

    temperature: float
    thresholds: dict[str, list[float]]
    validation: list[ClassScores]
    cutoffs: dict[str, list[list[float]]]
    ensemble_seeds: list[int] | None = None
