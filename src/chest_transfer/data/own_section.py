"""What the columns of a table of radiographs mean: a section under `own`, or a public dataset with a table."""

import re
from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from chest_transfer.data.label_words import same_text
from chest_transfer.errors import ChestTransferError
from chest_transfer.sections import Section, Texts, numbers_are_text


def _names_are_keys(value: Any) -> Any:
    # `classes: [Normal, Pneumonia]` are classes that are called so in the table.
    return numbers_are_text({key: [] for key in value} if isinstance(value, list) else value)


def _name_is_column(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


class PatientColumn(Section):
    column: str
    pattern: str = "(.*)"


class ViewColumn(Section):
    column: str
    keep: Texts = ()


class TableColumns(Section):
    """What the columns of a table of radiographs mean; docs/your-own-radiographs.md has each key.

    `rows` says what several rows of one image are: `one` (they must be equal), `any` (a finding is present if one row
    says so), or `majority` (of the readers in the column `reader`).
    """

    image: str | None = None
    label: str | Texts | None = None
    separator: Annotated[str, Field(min_length=1)] | None = None
    classes: Annotated[dict[str, Texts], BeforeValidator(_names_are_keys)] = Field(default_factory=dict)
    patient: Annotated[PatientColumn, BeforeValidator(_name_is_column)] | None = None
    split: str | None = None
    view: Annotated[ViewColumn, BeforeValidator(_name_is_column)] | None = None
    age: str | None = None
    sex: str | None = None
    source: str | None = None
    uncertain: Literal["ignore", "positive", "negative"] = "ignore"
    empty: Literal["ignore", "positive", "negative"] | None = None
    rows: Literal["one", "any", "majority"] = "one"
    reader: str | None = None

    @property
    def when_empty(self) -> str:
        """What a label is that is not stated: as one that is uncertain, unless `empty` says otherwise."""
        return self.empty or self.uncertain


class Own(TableColumns):
    """A dataset of one's own: where its radiographs are, and what the columns of its table mean."""

    images: Annotated[str, Field(min_length=1)]
    table: str | None = None


def check_own_section(name: str, entry: Own) -> None:
    """Check that a dataset of one's own states the columns that it needs, and only where it has a table."""
    of_a_table = ("image", "label", "separator", "patient", "split", "view", "age", "sex", "source", "reader")
    stated = [key for key in of_a_table if getattr(entry, key) is not None]
    if entry.table is None and stated:
        raise ChestTransferError(
            f"own.{name}.{stated[0]} names a column, but there is no own.{name}.table; name the table, or remove it "
            "where the radiographs lie in a folder for each class"
        )
    if entry.table is not None and (missing := [key for key in ("image", "label") if getattr(entry, key) is None]):
        raise ChestTransferError(
            f"own.{name}.{missing[0]} is missing: the column of {entry.table} with the {missing[0]}"
        )
    for label in entry.classes or ():
        if "|" in label or label != label.strip() or not label:
            raise ChestTransferError(f"own.{name}.classes has '{label}'; name classes without | and blanks around them")
    of_classes = ({same_text(text) for text in (label, *others)} for label, others in entry.classes.items())
    words = Counter(word for of_class in of_classes for word in of_class)
    if twice := [word for word, count in words.items() if count > 1]:
        raise ChestTransferError(f"own.{name}.classes has '{twice[0]}' in two classes; keep it in one")
    if entry.patient and (problem := _problem_of_pattern(entry.patient.pattern)):
        raise ChestTransferError(
            f"own.{name}.patient.pattern '{entry.patient.pattern}' has {problem}; it should be a regular expression "
            "with one group, e.g. patient(\\d+)"
        )


def _problem_of_pattern(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        return str(error)
    return "" if groups == 1 else f"{groups} groups"
