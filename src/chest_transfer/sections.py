"""Sections of settings: unknown keys are refused, values keep their types, nothing can be changed."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Section(BaseModel):
    """A part of the settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def numbers_are_text(value: Any) -> Any:
    """Return a value with text in place of numbers: a label `0` is a number to readers of YAML."""
    if isinstance(value, dict):
        return {numbers_are_text(key): numbers_are_text(to) for key, to in value.items()}
    if isinstance(value, list):
        return [numbers_are_text(entry) for entry in value]
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


# Lists in YAML are lists; frozen settings hold tuples.
Texts = Annotated[tuple[str, ...], Field(strict=False), BeforeValidator(numbers_are_text)]
