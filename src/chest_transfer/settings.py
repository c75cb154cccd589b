"""params.yaml as typed, frozen settings; every bad value is named with what is allowed.

Lists of allowed values come from the registries of the code that uses them. Reading settings checks values and changes
none, so this module is not part of what a stage depends on (see `source_code.NOT_FOLLOWED`): DVC tracks the values.
Short forms under `own` are written out by `own_section`, which the stages that read them do depend on.
"""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from chest_transfer.data.catalog import CATALOG
from chest_transfer.data.layouts import ClassFolders, same_name
from chest_transfer.data.own_section import Own, check_own_section
from chest_transfer.data.public_sets import public_sets
from chest_transfer.data.squares import SQUARE_FITS
from chest_transfer.errors import ChestTransferError, unknown_name_error
from chest_transfer.evaluation.grad_cam import METHODS
from chest_transfer.evaluation.operating_points import OPERATING_POINTS
from chest_transfer.networks.backbones import PRECISIONS, PREPROCESSING
from chest_transfer.networks.weights import BUILT_IN_WEIGHTS
from chest_transfer.sections import Section
from chest_transfer.training.losses import IMBALANCES
from chest_transfer.training.schedules import SCHEDULES
from chest_transfer.yaml_files import YAMLError, read_yaml


def known_datasets() -> list[str]:
    """Return the names of all public datasets."""
    return [*CATALOG, *public_sets()]


def _one_of(names: Iterable[str]) -> Any:
    return Literal[tuple(names)]


def _integers_are_floats(value: Any) -> Any:
    # Strict floats refuse `1`, which every reader of YAML takes for 1.0.
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _integers_are_text(value: Any) -> Any:
    # A folder `0` is a number to readers of YAML.
    return (
        {str(key) if type(key) is int else key: to for key, to in value.items()} if isinstance(value, dict) else value
    )


Float = Annotated[float, BeforeValidator(_integers_are_floats)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]
# Lists in YAML are lists; frozen settings hold tuples.
Names = Annotated[tuple[Name, ...], Field(strict=False)]
SomeNames = Annotated[Names, Field(min_length=1)]
Epochs = Annotated[int, Field(ge=1, le=10_000)]
BatchSize = Annotated[int, Field(ge=1, le=4096)]
Seed = Annotated[int, Field(ge=0)]


class Phantom(Section):
    seed: Seed
    patients: Annotated[int, Field(ge=20, le=1_000_000)]
    image_size: Annotated[int, Field(ge=32, le=2048)]


class Preprocess(Section):
    fit: _one_of(SQUARE_FITS)
    test_share: Annotated[Float, Field(ge=0.05, le=0.5)]
    validation_share: Annotated[Float, Field(ge=0.05, le=0.5)]
    split_seed: Seed
    splits: Literal["archive", "pooled"]
    folders: Annotated[dict[str, str], BeforeValidator(_integers_are_text)]
    duplicates: Literal["keep", "drop"]
    max_skipped: Annotated[int, Field(ge=0)]


class Plateau(Section):
    patience: Epochs
    factor: Annotated[Float, Field(ge=0.01, le=0.99)]
    smallest_rate: Annotated[Float, Field(gt=0, le=1)]


class Cosine(Section):
    smallest_rate: Annotated[Float, Field(gt=0, le=1)]


class Augmentation(Section):
    flip: bool
    rotation: Annotated[Float, Field(ge=0, le=180)]
    shift: Annotated[Float, Field(ge=0, le=0.5)]
    zoom: Annotated[Float, Field(ge=0, le=0.5)]
    contrast: Annotated[Float, Field(ge=0, le=0.9)]


class Fit(Section):
    epochs: Epochs
    patience: Epochs
    batch_size: BatchSize
    learning_rate: Annotated[Float, Field(ge=1e-7, le=1)]
    warmup: Annotated[Float, Field(ge=0, le=10_000)]
    schedule: _one_of(SCHEDULES)
    plateau: Plateau
    cosine: Cosine
    imbalance: _one_of(IMBALANCES)


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
    operating_point: _one_of(OPERATING_POINTS)
    rounds: Annotated[int, Field(ge=100, le=100_000)]
    seed: Seed


class Explain(Section):
    method: _one_of(METHODS)
    images: Annotated[int, Field(ge=1, le=20)]


class Architecture(Section):
    head: Name
    learning_rate_factor: Annotated[Float, Field(gt=0, le=1000)]
    alpha: Annotated[Float, Field(ge=0.35, le=1.4)] | None = None


class WeightsFile(Section):
    path: Annotated[str, Field(min_length=1)]
    preprocessing: _one_of(PREPROCESSING)


class Settings(Section):
    """The whole of params.yaml."""

    model: Name
    datasets: SomeNames
    external: Names = ()
    weights: SomeNames
    weights_files: dict[Name, WeightsFile]
    source: Annotated[str, Field(min_length=1)]
    sources: dict[Name, str]
    own: dict[Name, Own] = Field(default_factory=dict)
    pools: dict[Name, Annotated[Names, Field(min_length=2)]] = Field(default_factory=dict)
    image_size: Annotated[int, Field(ge=32, le=1024)]
    precision: _one_of(PRECISIONS)
    fused_batch_norm: bool
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    threads: Annotated[int, Field(ge=1, le=256)]
    phantom: Phantom
    preprocess: Preprocess
    pretrain: Pretrain
    embed: Embed
    probe: Probe
    finetune: Finetune
    train: Train
    transfer: Transfer
    evaluate: Evaluate
    explain: Explain
    architectures: dict[Name, Architecture]

    @model_validator(mode="after")
    def _check_names(self) -> "Settings":
        for section, names in (("own", self.own), ("pools", self.pools)):
            for name in names:
                if name in known_datasets():
                    raise ChestTransferError(
                        f"{section}.{name} has the name of a public dataset (those are: "
                        f"{', '.join(known_datasets())}); rename it"
                    )
        if both := [name for name in self.pools if name in self.own]:
            raise ChestTransferError(f"'{both[0]}' is a name under `own` and under `pools` in params.yaml; rename one")
        members = [member for pool in self.pools.values() for member in pool]
        single = [*known_datasets(), *self.own]
        remedy = "your own are described under `own` in params.yaml"
        for name in (*self.external, *self.sources, *members):
            if name in self.pools:
                raise ChestTransferError(
                    f"'{name}' is a pool, and cannot be among `external`, `sources` or the members of a pool; name "
                    f"single datasets there, such as its own: {', '.join(self.pools[name])}"
                )
        for name in (*self.datasets, *self.external, *self.sources, *members):
            if name not in (*single, *self.pools):
                raise unknown_name_error("dataset", name, [*single, *self.pools], remedy)
        for name, entry in self.own.items():
            check_own_section(name, entry)
        if self.model not in self.architectures:
            raise unknown_name_error("model", self.model, self.architectures)
        known = [*BUILT_IN_WEIGHTS, *self.weights_files]
        for weights in self.weights:
            if weights not in known:
                raise unknown_name_error("weights", weights, known, "other files go under `weights_files`")
        subsets = {"train.weights": self.train.weights, "finetune.weights": self.finetune.weights}
        for key, names in subsets.items():
            if missing := [name for name in names if name not in self.weights]:
                raise ChestTransferError(
                    f"{key} names '{missing[0]}', which is not among the starting weights (allowed: "
                    f"{', '.join(self.weights)}); run: dvc exp run -S '{key}=[{','.join(self.weights)}]'"
                )
        if both := [name for name in self.external if name in self.datasets]:
            raise ChestTransferError(
                f"'{both[0]}' is among `datasets`, which models are trained on, and among `external`, on which they "
                "are only judged; remove it from one of them in params.yaml"
            )
        trained_on = [member for name in self.datasets for member in self.pools.get(name, [name])]
        for name in self.external:
            if other := _with_the_same_patients(name, trained_on):
                raise ChestTransferError(
                    f"external '{name}' shows the same patients as '{other}', on which models are trained; name another"
                )
        lists = {"datasets": self.datasets, "external": self.external, "weights": self.weights} | subsets
        lists |= {f"pools.{name}": members for name, members in self.pools.items()}
        for key, names in lists.items():
            if len(set(names)) < len(names):
                raise ChestTransferError(
                    f"'{key}' in params.yaml has a name twice: {', '.join(names)}; list each name once"
                )
        classes = {
            key: label
            for dataset in CATALOG.values()
            if isinstance(dataset.layout, ClassFolders)
            for key, label in dataset.layout.class_of_name.items()
        }
        remedy = "correct preprocess.folders in params.yaml"
        for name in self.preprocess.folders.values():
            if same_name(name) not in classes:
                raise unknown_name_error("class in preprocess.folders", name, sorted(set(classes.values())), remedy)
        for pool, members in self.pools.items():
            for number, name in enumerate(members):
                if other := _with_the_same_patients(name, members[:number]):
                    raise ChestTransferError(
                        f"pools.{pool}: '{name}' shows the same patients as '{other}'; remove one of them"
                    )
        if self.transfer.sources:
            self._check_transfer()
        return self

    def _check_transfer(self) -> None:
        """Check that target and sources are among the datasets, and that the sources' models are trained."""
        transfer = self.transfer
        for name in (transfer.target, *transfer.sources):
            if name not in self.datasets:
                raise unknown_name_error(
                    "dataset of transfer", name, self.datasets, "add it to `datasets` in params.yaml"
                )
        if transfer.target in transfer.sources:
            raise ChestTransferError(
                f"transfer.sources contains the target '{transfer.target}' itself; name other datasets (allowed: "
                f"{', '.join(name for name in self.datasets if name != transfer.target)})"
            )
        starts = {"probe": self.weights, "finetune": self.finetune.weights, "train": self.train.weights}
        if transfer.weights not in starts[transfer.regime]:
            raise ChestTransferError(
                f"transfer.weights is '{transfer.weights}', but the experiment has no such {transfer.regime} model "
                f"(allowed: {', '.join(starts[transfer.regime]) or 'none'}); correct transfer.weights or "
                "transfer.regime in params.yaml"
            )


def _with_the_same_patients(name: str, others: Iterable[str]) -> str | None:
    """Return the first of other datasets that shows the same people as a dataset, or is that dataset; else None."""

    def people(name: str) -> str:
        return CATALOG[name].same_patients_as or name if name in CATALOG else name

    return next((other for other in others if people(other) == people(name)), None)


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
