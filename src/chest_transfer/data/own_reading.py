"""One's own radiographs, as a section under `own` describes them: a table or class folders become rows of one form."""

from typing import TYPE_CHECKING

import pandas as pd

from chest_transfer.data.image_matching import match_images
from chest_transfer.data.label_tables import GUESSES, SHORT_ROWS, column_named
from chest_transfer.data.label_words import NOT_STATED, same_text, sex_of, without_decimals
from chest_transfer.data.layouts import split_named
from chest_transfer.data.own_folders import read_own_folders
from chest_transfer.data.own_labels import LABEL, PRESENT, UNKNOWN, TableLabels, read_labels
from chest_transfer.data.own_record import COLUMNS, SHOWN, OwnReading, Problem
from chest_transfer.data.patient_keys import is_rounded, patient_key
from chest_transfer.data.readers import combined_rows
from chest_transfer.errors import ChestTransferError

if TYPE_CHECKING:
    from chest_transfer.data.own_section import TableColumns


def read_own(name: str, entry: "TableColumns", members: list[str], table: pd.DataFrame | None) -> OwnReading:
    """Return the radiographs of a dataset of one's own, or of a public one with a table.

    Args:
        name: str, of the dataset.
        entry: what the columns of its table mean.
        members: list of str, the names of the images in its archive.
        table: DataFrame of text; None for class folders.

    Raises:
        ChestTransferError: a column or a class is missing, a row may mean several files, or a split has another name.
    """
    if not members:
        raise ChestTransferError(f"there are no images of '{name}'; correct own.{name}.images in params.yaml")
    reading = read_own_folders(name, entry, members) if table is None else _from_table(name, entry, members, table)
    reading.rows = reading.rows.sort_index()
    reading.not_used = +reading.not_used
    return reading


def check_all_classes(name: str, reading: OwnReading) -> None:
    """Check that each class has radiographs: one that has none is misspelt in the settings.

    Raises:
        ChestTransferError: a class has none.
    """
    for label in reading.classes:
        shown = reading.rows[LABEL + label] == PRESENT if reading.multi_label else reading.rows["label"] == label
        if not shown.any():
            causes = "".join(f"; {problem}" for problem in reading.problems)
            raise ChestTransferError(
                f"no radiograph of '{name}' has the class '{label}'; correct own.{name}.classes or own.{name}.label"
                f"{causes}"
            )


def _from_table(name: str, entry: "TableColumns", members: list[str], table: pd.DataFrame) -> OwnReading:
    labels = read_labels(table, entry, name)
    reading = OwnReading(labels.classes, labels.multi_label, labels.rows, entry.view.keep if entry.view else ())
    images = table[column_named(table, entry.image, f"own.{name}.image")]
    member_of = _matched(name, images, members, reading)
    rows = pd.DataFrame(
        {column: _attribute(table, name, entry, column) for column in COLUMNS} | {"member": member_of}
    ).join(labels.rows)
    _report_labels(labels, images, rows, reading)
    _report_cells(table, entry, rows, reading)
    unlabelled = (rows[list(labels.rows)] == UNKNOWN).all(axis=1)
    reading.not_used["without_label"] += int((unlabelled & (rows["member"] != "")).sum())
    rows = rows[~unlabelled & (rows["member"] != "")]
    if rows.empty:
        raise ChestTransferError(
            f"no row of the table of '{name}' has both a label and a file (column '{images.name}' has "
            f"{', '.join(map(repr, images[:SHOWN]))}; files are {', '.join(map(repr, members[:SHOWN]))}); correct "
            f"own.{name} in params.yaml"
        )
    if entry.rows != "one":
        readers = table[column_named(table, entry.reader, f"own.{name}.reader")] if entry.reader else None
        rows = combined_rows(rows, list(labels.rows), readers, entry.rows)
    reading.rows = _one_row_each(rows, reading)
    return reading


def _matched(name: str, images: pd.Series, members: list[str], reading: OwnReading) -> pd.Series:
    """Return the file of each row, empty where there is none.

    Raises:
        ChestTransferError: a row may mean several files.
    """
    found = match_images(list(images), members)
    several = [
        f"row {row} '{cell}': {' or '.join(sorted(files)[:2])}"
        for (row, cell), files in zip(images.items(), found, strict=True)
        if len(files) > 1
    ]
    if several:
        problem = Problem("rows that may mean several files", tuple(several), f"give paths in column '{images.name}'")
        raise ChestTransferError(f"own.{name}: {problem}")
    matched = pd.Series([next(iter(files), "") for files in found], index=images.index, dtype=str)
    absent = tuple(f"row {row} '{cell}'" for row, cell in images[matched == ""].items())
    if absent:
        reading.not_used["listed_but_absent"] += len(absent)
        reading.problems.append(
            Problem("rows that name no file", absent, f"correct column '{images.name}', or add the files")
        )
    unlisted = tuple(sorted(set(members) - set(matched)))
    if unlisted:
        reading.not_used["absent_from_table"] += len(unlisted)
        reading.problems.append(Problem("images that are in no row", unlisted, "add rows, or leave them out"))
    return matched


def _attribute(table: pd.DataFrame, name: str, entry: "TableColumns", attribute: str) -> pd.Series:
    """Return one attribute of each row, empty where unknown."""
    setting = getattr(entry, attribute)
    if setting is None:
        return pd.Series("", index=table.index, dtype=str)
    named = setting if isinstance(setting, str) else setting.column
    cells = table[column_named(table, named, f"own.{name}.{attribute}")]
    if attribute == "split":
        splits = cells.map(lambda cell: split_named(cell) or "")
        if (other := (splits == "") & (cells != "")).any():
            raise ChestTransferError(
                f"column '{cells.name}' row {cells.index[other][0]} has '{cells[other].iloc[0]}' (allowed: train, val, "
                f"test, or nothing for train); correct the table, or remove own.{name}.split"
            )
        return splits
    if attribute == "patient":
        extracted = cells.str.extract(setting.pattern, expand=False).fillna("")
        if (extracted == "").all():
            raise ChestTransferError(
                f"own.{name}.patient finds nobody in column '{cells.name}' (it has '{cells.iloc[0]}', ...); correct it"
            )
        return extracted.map(patient_key)
    plain = {"sex": sex_of, "age": without_decimals, "view": str.upper}.get(attribute, str)
    return cells.map(plain)


def _report_labels(labels: TableLabels, images: pd.Series, rows: pd.DataFrame, reading: OwnReading) -> None:
    if labels.other_labels:
        found = tuple(f"'{label}' in {count} rows" for label, count in labels.other_labels.most_common())
        reading.problems.append(Problem("labels that are of no class", found, "add them to `classes` if they are"))
    if labels.not_stated:
        what = "rows with unknown labels" if labels.multi_label else "rows without a label"
        unknown = (rows[list(labels.rows)] == UNKNOWN).any(axis=1)
        if found := tuple(f"row {row} '{cell}'" for row, cell in images[unknown].items()):
            reading.problems.append(Problem(what, found, "these labels are left out"))


def _report_cells(table: pd.DataFrame, entry: "TableColumns", rows: pd.DataFrame, reading: OwnReading) -> None:
    """Report cells that a spreadsheet damaged, and those that say nothing that is known here."""
    if guesses := table.attrs.get(GUESSES):
        reading.notes.append(Problem("guesses about the table", guesses, "save it as CSV UTF-8 if they are wrong"))
    if short := table.attrs.get(SHORT_ROWS):
        reading.problems.append(Problem("rows with fewer cells than the header", short, "correct them"))
    if entry.patient:
        cells = table[column_named(table, entry.patient.column, "patient")]
        rounded = tuple(f"row {row} '{cell}'" for row, cell in cells[cells.map(is_rounded)].items())
        if rounded:
            remedy = "several patients may be one: format the column as text or number, and save it again"
            reading.problems.append(Problem("patients that were rounded", rounded, remedy))
    if entry.sex:
        cells = table[column_named(table, entry.sex, "sex")]
        other = cells[(rows["sex"] == "") & ~cells.map(same_text).isin(NOT_STATED)]
        if found := tuple(f"'{cell}' in {count} rows" for cell, count in other.value_counts().items()):
            reading.problems.append(Problem("sexes that are neither M nor F", found, "they count as unknown"))


def _one_row_each(rows: pd.DataFrame, reading: OwnReading) -> pd.DataFrame:
    """Return one row for each image by its name; images with rows that differ are left out."""
    distinct = rows.drop_duplicates()
    reading.not_used["listed_twice"] += len(rows) - len(distinct)
    differ = distinct["member"].duplicated(keep=False)
    if differ.any():
        contradictory = tuple(sorted(set(distinct.loc[differ, "member"])))
        reading.not_used["contradictory_rows"] += len(contradictory)
        reading.problems.append(
            Problem("images whose rows differ", contradictory, "they are left out: correct the table")
        )
    return distinct[~differ].set_index("member")
