"""params.yaml as typed, frozen settings; every bad value is named with what is allowed.

Lists of allowed values come from the registries of the code that uses them. Reading settings checks values and changes
none, so this module is not part of what a stage depends on (see `source_code.NOT_FOLLOWED`): DVC tracks the values.
Short forms under `own` are written out by `own_section`, which the stages that read them do depend on.
"""

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from chest_transfer.data.degradations import DEGRADATIONS
from chest_transfer.data.own_section import Own, check_own_section
from chest_transfer.data.regions import OUTSIDE_LUNGS, REGIONS
from chest_transfer.data.squares import SQUARE_FITS
from chest_transfer.errors import ChestTransferError
from chest_transfer.evaluation.grad_cam import METHODS
from chest_transfer.evaluation.operating_points import OPERATING_POINTS
from chest_transfer.network_checks import check_network
from chest_transfer.networks.backbones import PRECISIONS, PREPROCESSING
from chest_transfer.sections import Section
from chest_transfer.setting_types import (
    BatchSize,
    Epochs,
    Float,
    Name,
    Names,
    Seed,
    SomeNames,
    TrainingPatients,
    TrainingSeed,
    integers_are_text,
    one_of,
)
from chest_transfer.settings_checks import check_names
from chest_transfer.training.losses import IMBALANCES
from chest_transfer.training.schedules import SCHEDULES
from chest_transfer.yaml_files import YAMLError, read_yaml


class Phantom(Section):
    seed: Seed
    patients: Annotated[int, Field(ge=20, le=1_000_000)]
    image_size: Annotated[int, Field(ge=32, le=2048)]


class Lungs(Section):
    patients: Annotated[int, Field(ge=10, le=1_000_000)]
    epochs: Epochs


class Preprocess(Section):
    region: one_of(REGIONS)
    outside_lungs: one_of(OUTSIDE_LUNGS)
    fit: one_of(SQUARE_FITS)
    test_share: Annotated[Float, Field(ge=0.05, le=0.5)]
    validation_share: Annotated[Float, Field(ge=0.05, le=0.5)]
    split_seed: Seed
    splits: Literal["archive", "pooled"]
    folders: Annotated[dict[str, str], BeforeValidator(integers_are_text)]
    duplicates: Literal["keep", "drop"]
    max_skipped: Annotated[int, Field(ge=0)]


class Plateau(Section):
    patience: Epochs
    factor: Annotated[Float, Field(ge=0.01, le=0.99)]
    smallest_rate: Annotated[Float, Field(gt=0, le=1)]


class Cosine(Section):
    smallest_rate: Annotated[Float, Field(gt=0, le=1)]


def _check_strengths(strengths: dict[str, float]) -> dict[str, float]:
    for name, strength in strengths.items():
        weakest, strongest = DEGRADATIONS[name].weakest, DEGRADATIONS[name].strongest
        if not weakest < strength <= strongest:
            allowed = f"Input should be more than {weakest:g} and at most {strongest:g} for {name}"
            raise PydanticCustomError("strength", allowed)
    return strengths


Strengths = Annotated[dict[one_of(DEGRADATIONS), Float], AfterValidator(_check_strengths)]


class Augmentation(Section):
    flip: bool
    rotation: Annotated[Float, Field(ge=0, le=180)]
    shift: Annotated[Float, Field(ge=0, le=0.5)]
    zoom: Annotated[Float, Field(ge=0, le=0.5)]
    contrast: Annotated[Float, Field(ge=0, le=0.9)]
    degrade: Strengths
    degraded_share: Annotated[Float, Field(ge=0, le=1)]

    @property
    def changes_anything(self) -> bool:
        """Whether a radiograph can look another way than it is."""
        return any((self.flip, self.rotation, self.shift, self.zoom, self.contrast, self.degrade))


class Regularization(Section):
    weight_decay: Annotated[Float, Field(ge=0, le=1)]
    label_smoothing: Annotated[Float, Field(ge=0, le=0.5)]
    mixup: Annotated[Float, Field(ge=0, le=10)]
    averaged_epochs: Annotated[Float, Field(ge=0, le=50)]


class Fit(Section):
    epochs: Epochs
    patience: Epochs
    batch_size: BatchSize
    learning_rate: Annotated[Float, Field(ge=1e-7, le=1)]
    warmup: Annotated[Float, Field(ge=0, le=10_000)]
    schedule: one_of(SCHEDULES)
    plateau: Plateau
    cosine: Cosine
    imbalance: one_of(IMBALANCES)
    regularization: Regularization


class Pretrain(Fit):
    patients: Annotated[int, Field(ge=100, le=1_000_000)]
    augmentation: Augmentation


class Embed(Section):
    batch_size: BatchSize
    views: Annotated[int, Field(ge=0, le=1000)]
    augmentation: Augmentation


class Probe(Fit):
    head: Name
    standardize: bool


class Train(Fit):
    weights: Names
    augmentation: Augmentation


class Finetune(Train):
    unfreeze: Annotated[str, Field(pattern=r"^(all|last [1-9]\d*|all but last [1-9]\d*)$")]
    groups: Annotated[int, Field(ge=1, le=1000)]
    unfreeze_every: Annotated[int, Field(ge=0, le=10_000)]
    layer_lr_decay: Annotated[Float, Field(gt=0, le=1)]


class Transfer(Fit):
    target: Name
    sources: Names
    regime: Literal["probe", "finetune", "train"]
    weights: Name
    augmentation: Augmentation


class Evaluate(Section):
    operating_point: one_of(OPERATING_POINTS)
    error_rate: Annotated[Float, Field(gt=0, le=0.5)]
    rounds: Annotated[int, Field(ge=100, le=100_000)]
    seed: Seed


class Stress(Section):
    radiographs: Annotated[int, Field(ge=10, le=1_000_000)]


class Explain(Section):
    method: one_of(METHODS)
    images: Annotated[int, Field(ge=1, le=20)]


class Architecture(Section):
    head: Name
    learning_rate_factor: Annotated[Float, Field(gt=0, le=1000)]
    alpha: Annotated[Float, Field(ge=0.35, le=1.4)] | None = None


class WeightsFile(Section):
    path: Annotated[str, Field(min_length=1)]
    preprocessing: one_of(PREPROCESSING)
    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")] | None = None
    license: Annotated[str, Field(min_length=1)] | None = None


class PartialWeights(Section):
    weights: Name
    blocks: Annotated[int, Field(ge=1, le=100)]


class Settings(Section):
    """The whole of params.yaml."""

    model: Name
    datasets: SomeNames
    external: Names = ()
    representations: Names = ()
    weights: SomeNames
    weights_files: dict[Name, WeightsFile]
    partial_weights: dict[Name, PartialWeights] = Field(default_factory=dict)
    source: Annotated[str, Field(min_length=1)]
    sources: dict[Name, str]
    own: dict[Name, Own] = Field(default_factory=dict)
    pools: dict[Name, Annotated[Names, Field(min_length=2)]] = Field(default_factory=dict)
    image_size: Annotated[int, Field(ge=32, le=1024)]
    precision: one_of(PRECISIONS)
    fused_batch_norm: bool
    seeds: Annotated[tuple[TrainingSeed, ...], Field(strict=False, min_length=1)]
    patients: Annotated[tuple[TrainingPatients, ...], Field(strict=False, min_length=1)]
    threads: Annotated[int, Field(ge=1, le=256)]
    phantom: Phantom
    preprocess: Preprocess
    lungs: Lungs
    pretrain: Pretrain
    embed: Embed
    probe: Probe
    finetune: Finetune
    train: Train
    transfer: Transfer
    evaluate: Evaluate
    stress: Stress
    explain: Explain
    architectures: dict[Name, Architecture]

    @property
    def numbers_of_patients(self) -> list[int | None]:
        """How many training patients models are trained on, the fewest first; None for all, at the end."""
        return [*sorted(number for number in self.patients if number != "all"), *[None] * ("all" in self.patients)]

    @model_validator(mode="after")
    def _check_names(self) -> "Settings":
        check_names(self)
        check_network(self)
        return self


def own_section(name: str, content: dict) -> Own:
    """Return the description of a dataset of one's own that is not in params.yaml; raises as `read_settings`."""
    try:
        entry = Own.model_validate(content)
    except ValidationError as error:
        raise ChestTransferError("; ".join(dict.fromkeys(map(_describe, error.errors())))) from None
    check_own_section(name, entry)
    return entry


def read_settings(path: Path | str = "params.yaml") -> Settings:
    """Read and check a settings file.

    Raises:
        ChestTransferError: one line with the key, the value received and what is allowed.
    """
    try:
        content = read_yaml(path)
    except FileNotFoundError:
        raise ChestTransferError(f"no settings at '{path}'; run from the project's folder") from None
    except YAMLError as error:
        raise ChestTransferError(f"{path} is not YAML: {' '.join(str(error).split())}; correct that line") from None
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        problems = dict.fromkeys(map(_describe, error.errors()))
        raise ChestTransferError(f"{path}: {'; '.join(problems)}") from None


def _describe(error: dict) -> str:
    """Return one validation error as key, what is allowed, and what was received."""
    # Where a value may be of two types, pydantic names them among the keys.
    path = [str(part) for part in error["loc"] if "[" not in str(part) and part != "str"]
    *parents, last = path or ["the file"]
    key = ".".join([*parents, last])
    if error["type"] == "extra_forbidden":
        allowed = _keys_of(parents)
        nearest = difflib.get_close_matches(last, allowed, n=1)
        hint = f", did you mean '{nearest[0]}'?" if nearest else ""
        return f"unknown key '{key}'{hint} (allowed: {', '.join(allowed)})"
    if error["type"] == "missing":
        return f"key '{key}' is missing; add it"
    allowed = error["msg"].replace("Input should be ", "").replace("a valid tuple", "a list, e.g. [a, b]")
    return f"'{key}' should be {allowed}, received {error['input']!r}"


def _keys_of(parents: list[str]) -> list[str]:
    section = Settings
    for name in parents:
        if name in section.model_fields:
            section = _section_in(section.model_fields[name].annotation)
    return list(section.model_fields)


def _section_in(annotation: Any) -> type[Section] | None:
    """Return the section that a field holds: itself, or in a dictionary, or optional."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next(filter(None, map(_section_in, get_args(annotation))), None)
