"""params.yaml as typed, frozen settings; every bad value is named with what is allowed.

Read with a YAML 1.2 parser: PyYAML (YAML 1.1) takes `3e-05`, which is what DVC writes for
`-S train.learning_rate=3e-5`, for text (treeverse/dvc#5971).
"""

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from chest_transfer.errors import ChestTransferError, unknown_name


def _whole_numbers_only_as_floats(value: Any) -> Any:
    # Strict floats refuse `1`, which every reader of YAML means as 1.0.
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


Float = Annotated[float, BeforeValidator(_whole_numbers_only_as_floats)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]
# Lists of YAML arrive as lists; frozen settings hold tuples.
AnyNames = Annotated[tuple[Name, ...], Field(strict=False)]
Names = Annotated[AnyNames, Field(min_length=1)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Phantom(Section):
    seed: Annotated[int, Field(ge=0)]
    patients: Annotated[int, Field(ge=20, le=1_000_000)]
    image_size: Annotated[int, Field(ge=32, le=2048)]


class Preprocess(Section):
    fit: Literal["squeeze", "pad", "crop"]
    test_share: Annotated[Float, Field(ge=0.05, le=0.5)]
    validation_share: Annotated[Float, Field(ge=0.05, le=0.5)]
    split_seed: Annotated[int, Field(ge=0)]
    max_skipped: Annotated[int, Field(ge=0)]


class Plateau(Section):
    patience: Annotated[int, Field(ge=1, le=10_000)]
    factor: Annotated[Float, Field(ge=0.01, le=0.99)]
    smallest_rate: Annotated[Float, Field(gt=0, le=1)]


class Cosine(Section):
    warmup: Annotated[int, Field(ge=0, le=10_000)]
    smallest_rate: Annotated[Float, Field(gt=0, le=1)]


class Augmentation(Section):
    flip: bool
    rotation: Annotated[Float, Field(ge=0, le=180)]
    shift: Annotated[Float, Field(ge=0, le=0.5)]
    zoom: Annotated[Float, Field(ge=0, le=0.5)]
    contrast: Annotated[Float, Field(ge=0, le=0.9)]


class Fit(Section):
    epochs: Annotated[int, Field(ge=1, le=10_000)]
    patience: Annotated[int, Field(ge=1, le=10_000)]
    batch_size: Annotated[int, Field(ge=1, le=4096)]
    learning_rate: Annotated[Float, Field(ge=1e-7, le=1)]
    schedule: Literal["constant", "plateau", "cosine"]
    plateau: Plateau
    cosine: Cosine
    imbalance: Literal["none", "class_weights", "balanced_sampling", "focal"]


class Pretrain(Fit):
    patients: Annotated[int, Field(ge=100, le=1_000_000)]
    augmentation: Augmentation


class Embed(Section):
    batch_size: Annotated[int, Field(ge=1, le=4096)]
    views: Annotated[int, Field(ge=0, le=1000)]
    augmentation: Augmentation


class Probe(Fit):
    head: Name
    standardize: bool


class Train(Fit):
    weights: AnyNames
    augmentation: Augmentation


class Finetune(Train):
    unfreeze: Annotated[str, Field(pattern=r"^(all|last [1-9]\d*|all but last [1-9]\d*)$")]
    groups: Annotated[int, Field(ge=1, le=1000)]
    every: Annotated[int, Field(ge=0, le=10_000)]
    deeper: Annotated[Float, Field(gt=0, le=1)]


class Transfer(Fit):
    target: Name
    sources: AnyNames
    regime: Literal["probe", "finetune", "train"]
    weights: Name
    augmentation: Augmentation


class Evaluate(Section):
    operating_point: Literal["youden", "sensitivity 0.9", "sensitivity 0.95"]
    rounds: Annotated[int, Field(ge=100, le=100_000)]
    seed: Annotated[int, Field(ge=0)]


class Explain(Section):
    method: Literal["grad-cam", "grad-cam++"]
    images: Annotated[int, Field(ge=1, le=20)]


class Architecture(Section):
    head: Name
    learning_rate_factor: Annotated[Float, Field(gt=0, le=1000)]
    alpha: Annotated[Float, Field(ge=0.35, le=1.4)] | None = None


class WeightsFile(Section):
    path: Annotated[str, Field(min_length=1)]
    preprocessing: Literal["tf", "caffe", "torch", "unit", "standard"]


class Settings(Section):
    model: Name
    datasets: Names
    weights: Names
    weights_files: dict[Name, WeightsFile]
    source: Annotated[str, Field(min_length=1)]
    sources: dict[Name, str]
    image_size: Annotated[int, Field(ge=32, le=1024)]
    precision: Literal["float32", "mixed_bfloat16"]
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
    def _names_exist(self) -> "Settings":
        if self.model not in self.architectures:
            raise unknown_name("model", self.model, self.architectures)
        known = ["none", "phantom", "imagenet", *self.weights_files]
        for weights in self.weights:
            if weights not in known:
                raise unknown_name("weights", weights, known, "other files go under `weights_files`")
        some = {"train.weights": self.train.weights, "finetune.weights": self.finetune.weights}
        for key, values in some.items():
            if missing := [weights for weights in values if weights not in self.weights]:
                raise ChestTransferError(
                    f"{key} names '{missing[0]}', which is not among the starting points (allowed: "
                    f"{', '.join(self.weights)}); run: dvc exp run -S '{key}=[{','.join(self.weights)}]'"
                )
        self._transfer_is_possible()
        for key, values in {"datasets": self.datasets, "weights": self.weights, **some}.items():
            if len(set(values)) < len(values):
                raise ChestTransferError(f"'{key}' in params.yaml names one twice: {', '.join(values)}; name each once")
        return self

    def _transfer_is_possible(self) -> None:
        """Its target and sources are among the datasets, and the sources' models among those that are made."""
        asked = self.transfer
        if not asked.sources:
            return
        for name in (asked.target, *asked.sources):
            if name not in self.datasets:
                raise unknown_name("dataset of transfer", name, self.datasets, "add it to `datasets` in params.yaml")
        if asked.target in asked.sources:
            raise ChestTransferError(
                f"transfer.sources names the target '{asked.target}' itself; name other datasets (allowed: "
                f"{', '.join(name for name in self.datasets if name != asked.target)})"
            )
        made = {"probe": self.weights, "finetune": self.finetune.weights, "train": self.train.weights}[asked.regime]
        if asked.weights not in made:
            raise ChestTransferError(
                f"transfer.weights is '{asked.weights}', and no such {asked.regime} model is made (allowed: "
                f"{', '.join(made) or 'none'}); mend transfer.weights or transfer.regime in params.yaml"
            )


def read_settings(path: Path | str = "params.yaml") -> Settings:
    """Read and check a settings file.

    Raises:
        ChestTransferError: one line with the key, the value received and what is allowed.
    """
    try:
        content = YAML(typ="safe", pure=True).load(Path(path))
    except FileNotFoundError:
        raise ChestTransferError(f"no settings at '{path}'; run from the project's folder") from None
    except YAMLError as error:
        raise ChestTransferError(f"{path} is not YAML: {' '.join(str(error).split())}; mend that line") from None
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        raise ChestTransferError(f"{path}: " + "; ".join(map(_told, error.errors()))) from None


def _told(error: dict) -> str:
    """One validation error as: key, what is allowed, what was received."""
    *parents, last = [str(part) for part in error["loc"]] or ["the file"]
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
    section: Any = Settings
    for name in parents:
        fields = getattr(section, "model_fields", {})
        section = fields[name].annotation if name in fields else section
        if getattr(section, "__origin__", None) is dict:
            section = section.__args__[1]
    return list(section.model_fields)
