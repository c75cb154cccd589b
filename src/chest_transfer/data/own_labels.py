"""Labels of one's own table: its cells become classes, one of several exclusive ones, or each present or absent."""

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

from chest_transfer.data.label_tables import column_named
from chest_transfer.data.label_words import HEALTHY, NOT_STATED, UNCERTAIN, is_healthy, meaning, same_text
from chest_transfer.data.own_record import SHOWN
from chest_transfer.errors import ChestTransferError

if TYPE_CHECKING:
    from chest_transfer.data.own_section import TableColumns

MOST_CLASSES = 20  # more different labels than these are no classes, but free text, names or measurements
UNKNOWN, PRESENT, NOT_PRESENT = "", "1", "0"  # how a label is written
LABEL = "label:"  # what the columns of independent classes start with, so that none has the name of an attribute
WRITTEN = {"ignore": UNKNOWN, "positive": PRESENT, "negative": NOT_PRESENT}  # one that is uncertain or not stated
ANY_OTHER = "*"  # an alias in `classes` for every label that is not named


@dataclass
class TableLabels:
    """The labels of each row of a table.

    Args:
        classes: tuple of str; exclusive ones start with the healthy one, where their names tell.
        multi_label: bool, whether each class is present or absent by itself.
        rows: DataFrame by row of the table, with the column `label` (a class, or empty where there is none), or for
            multi-label data a column `label:<class>` of `1`, `0` or empty (unknown) for each class.
        not_stated: int, how many labels were empty or uncertain.
        other_labels: Counter, how many rows have a label that is of no class, by label.
    """

    classes: tuple[str, ...]
    multi_label: bool
    rows: pd.DataFrame
    not_stated: int
    other_labels: Counter = field(default_factory=Counter)


def read_labels(table: pd.DataFrame, entry: "TableColumns", name: str) -> TableLabels:
    """Return the labels of a table's rows, as the description of its columns says.

    Args:
        table: DataFrame of text.
        entry: that description.
        name: str, of the dataset, to name in errors.

    Raises:
        ChestTransferError: a column is missing, a cell of 0 and 1 is neither, or the labels are no classes.
    """
    named = [entry.label] if isinstance(entry.label, str) else list(entry.label)
    columns = [column_named(table, column, f"own.{name}.label") for column in named]
    if not isinstance(entry.label, str):
        return _of_columns(table, columns, entry, name)
    if entry.separator or entry.rows != "one":  # a finding in each row is a list of one
        return _of_separated_text(table[columns[0]], entry, name)
    return _of_one_text(table[columns[0]], entry, name)


def _of_one_text(cells: pd.Series, entry: "TableColumns", name: str) -> TableLabels:
    """Read exclusive classes from a column of text."""
    texts = cells.map(same_text)
    is_stated = ~texts.isin(UNCERTAIN | NOT_STATED)
    classes = healthy_first(_aliases(entry) or _classes_of_cells(cells[is_stated], name))
    if entry.uncertain != "ignore" and len(classes) != 2:
        raise ChestTransferError(
            f"own.{name}.uncertain is {entry.uncertain}, which says nothing of {len(classes)} exclusive classes; "
            "set it to ignore"
        )
    class_of = {alias: label for label, aliases in classes.items() for alias in aliases}
    labels = texts.map(class_of).fillna(UNKNOWN)
    if ANY_OTHER in class_of:
        labels[is_stated & (labels == UNKNOWN)] = class_of[ANY_OTHER]
    is_unclear = ~is_stated & (labels == UNKNOWN)
    if entry.uncertain != "ignore":
        labels[is_unclear] = list(classes)[entry.uncertain == "positive"]
    others = Counter(cells[is_stated & (labels == UNKNOWN)])
    return TableLabels(tuple(classes), False, labels.to_frame("label"), int(is_unclear.sum()), others)


def healthy_first(classes: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return classes with the healthy one first, where its name tells; the others stay in their order."""
    return {label: classes[label] for label in sorted(classes, key=lambda label: not is_healthy(label))}


def _classes_of_cells(cells: pd.Series, name: str, is_exclusive: bool = True) -> dict[str, set[str]]:
    """Return a class for each different label, the healthy one first.

    A column of 0 and 1 has the classes `no <column>` and `<column>`.

    Raises:
        ChestTransferError: there are fewer than two, or more than `MOST_CLASSES`; none is known to be the healthy one.
    """
    texts = cells.map(same_text)
    if {meaning(text) for text in texts} == {"present", "absent"}:
        present = {text for text in texts if meaning(text) == "present"}
        return {f"no {cells.name}": set(texts) - present, str(cells.name): present}
    spelling = {text: of_text.mode()[0] for text, of_text in cells.groupby(texts)}
    remedy = f"correct own.{name}.label, or list the labels of each class under own.{name}.classes in params.yaml"
    if not 2 <= len(spelling) <= MOST_CLASSES:
        shown = ", ".join(f"'{cell}'" for cell in cells.unique()[:SHOWN])
        raise ChestTransferError(
            f"column '{cells.name}' has {len(spelling)} different labels ({shown}, ...) where classes are between 2 "
            f"and {MOST_CLASSES}; {remedy}"
        )
    if odd := next((cell for cell in spelling.values() if "|" in cell), None):
        raise ChestTransferError(f"column '{cells.name}' has '{odd}'; state own.{name}.separator: '|' or {remedy}")
    if is_exclusive and not any(map(is_healthy, spelling)):
        example = ", ".join(f"{label}: []" for label in sorted(spelling.values())[:SHOWN])
        raise ChestTransferError(
            f"none of the labels of column '{cells.name}' is known to mean healthy; name the classes, the healthy one "
            f"first, in params.yaml under own.{name}: 'classes: {{{example}}}'"
        )
    return {spelling[text]: {text} for text in sorted(spelling)}


def _aliases(entry: "TableColumns") -> dict[str, set[str]]:
    """Return the texts that mean each class, from the settings; nothing where they name no classes."""
    return {label: {same_text(text) for text in (label, *others)} for label, others in entry.classes.items()}


def _of_separated_text(cells: pd.Series, entry: "TableColumns", name: str) -> TableLabels:
    """Read independent classes from a column such as `Effusion|Mass`; a label that is not listed is absent."""
    cells = cells.map(_without_brackets)
    parts = cells.map(lambda cell: {same_text(part) for part in _parts(cell, entry.separator)} - {""})
    is_stated = parts.map(lambda texts: bool(texts) and not texts <= (UNCERTAIN | NOT_STATED) - HEALTHY)
    spelled = pd.Series(
        [part.strip() for cell in cells[is_stated] for part in _parts(cell, entry.separator) if part.strip()], dtype=str
    )
    classes = _aliases(entry)
    if not classes:
        findings = spelled[~spelled.map(same_text).isin(HEALTHY | NOT_STATED | UNCERTAIN)]
        classes = _classes_of_cells(findings.rename(cells.name), name, is_exclusive=False)
    known = set().union(*classes.values()) | HEALTHY | NOT_STATED | UNCERTAIN
    others = Counter(part for part in spelled if same_text(part) not in known)
    unknown = WRITTEN[entry.when_empty]
    # What is not listed is absent, unless nothing is listed, or an uncertain mark stands beside what is.
    otherwise = [
        unknown if not stated else WRITTEN[entry.uncertain] if texts & UNCERTAIN else NOT_PRESENT
        for texts, stated in zip(parts, is_stated, strict=True)
    ]
    columns = {
        LABEL + label: [PRESENT if texts & aliases else other for texts, other in zip(parts, otherwise, strict=True)]
        for label, aliases in classes.items()
    }
    rows = pd.DataFrame(columns, index=cells.index, dtype=str)
    return TableLabels(tuple(classes), True, rows, int((~is_stated).sum()), others)


def _parts(cell: str, separator: str | None) -> list[str]:
    return cell.split(separator) if separator else [cell]


def _without_brackets(cell: str) -> str:
    """Return `a, b` for `['a', 'b']`, as Python writes lists."""
    return cell[1:-1].replace("'", "") if cell.startswith("[") and cell.endswith("]") else cell


def _of_columns(table: pd.DataFrame, columns: list[str], entry: "TableColumns", name: str) -> TableLabels:
    """Read independent classes from columns of 0 and 1.

    Raises:
        ChestTransferError: a cell is neither 0, 1, nor uncertain.
    """
    aliases = _aliases(entry)
    if unmatched := [label for label, texts in aliases.items() if not texts & set(map(same_text, columns))]:
        raise ChestTransferError(
            f"own.{name}.classes names '{unmatched[0]}', which is none of the columns {', '.join(columns)}; list the "
            "column among its words, or remove it"
        )
    class_of = {
        column: next((label for label, texts in aliases.items() if same_text(column) in texts), column)
        for column in columns
    }
    written = {
        "present": PRESENT, "absent": NOT_PRESENT, "uncertain": WRITTEN[entry.uncertain],
        "not stated": WRITTEN[entry.when_empty],
    }  # fmt: skip
    rows, not_stated = {}, 0
    for column, label in class_of.items():
        meanings = table[column].map({cell: meaning(cell) for cell in table[column].unique()})
        if meanings.isna().any():
            row = meanings.index[meanings.isna()][0]
            raise ChestTransferError(
                f"column '{column}' row {row} has '{table.at[row, column]}' where 1, 0, yes, no, ? or nothing is "
                f"allowed; correct the table, or own.{name}.label in params.yaml"
            )
        not_stated += int(meanings.isin(["uncertain", "not stated"]).sum())
        values = meanings.map(written)
        rows[label] = rows[label].combine(values, _either) if label in rows else values
    labels = pd.DataFrame({LABEL + label: values for label, values in rows.items()}, index=table.index)
    return TableLabels(tuple(rows), True, labels, not_stated)


def _either(first: str, second: str) -> str:
    """Return the label of a class that two columns stand for: one that is present decides, then one that is unknown."""
    return next((label for label in (PRESENT, UNKNOWN) if label in (first, second)), NOT_PRESENT)
