"""Types of single settings: what YAML gives, checked, with messages that say what is allowed."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainValidator
from pydantic_core import PydanticCustomError


def one_of(names: Iterable[str]) -> Any:
    """Return the type of a setting that is one of some names."""
    return Literal[tuple(names)]


def _integers_are_floats(value: Any) -> Any:
    # Strict floats refuse `1`, which every reader of YAML takes for 1.0.
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def integers_are_text(value: Any) -> Any:
    # A folder `0` is a number to readers of YAML.
    return (
        {str(key) if type(key) is int else key: to for key, to in value.items()} if isinstance(value, dict) else value
    )


def _number_of_patients(value: Any) -> int | str:
    if value == "all" or (type(value) is int and 2 <= value <= 1_000_000):
        return value
    raise PydanticCustomError("patients", "Input should be all, or a number of patients from 2 to 1000000")


Float = Annotated[float, BeforeValidator(_integers_are_floats)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]
# Lists in YAML are lists; frozen settings hold tuples.
Names = Annotated[tuple[Name, ...], Field(strict=False)]
SomeNames = Annotated[Names, Field(min_length=1)]
Epochs = Annotated[int, Field(ge=1, le=10_000)]
BatchSize = Annotated[int, Field(ge=1, le=4096)]
Seed = Annotated[int, Field(ge=0)]
TrainingSeed = Annotated[int, Field(ge=0, lt=2**32)]
TrainingPatients = Annotated[int | str, PlainValidator(_number_of_patients)]
