"""One's own radiographs, as a section under `own` describes them: a table or class folders become rows of one form."""

from collections import Counter
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pandas as pd

from chest_transfer.data.image_matching import match_images
from chest_transfer.data.label_tables import column_named, read_label_table, without_decimals
from chest_transfer.data.label_words import is_healthy, same_text, sex_of
from chest_transfer.data.layouts import split_named
from chest_transfer.data.own_labels import PRESENT, UNKNOWN, TableLabels, read_labels
from chest_transfer.errors import ChestTransferError

if TYPE_CHECKING:
    from chest_transfer.settings import Own

SHOWN = 3  # examples in a message
COLUMNS = ("split", "patient", "sex", "age", "view", "source")  # of the rows, beside those of labels
_MASK_FOLDERS = ("mask", "masks")


@dataclass(frozen=True)
class Problem:
    """Something in one's own data that was not used, or should be looked at.

    Args:
        what: str, such as `rows that name no file`.
        examples: tuple of str; all of them.
        remedy: str.
    """

    what: str
    examples: tuple[str, ...]
    remedy: str

    @property
    def in_short(self) -> str:
        """The problem without examples, which may name patients."""
        return f"{self.what}: {len(self.examples)}; {self.remedy}"

    def __str__(self) -> str:
        more = ", ..." if len(self.examples) > SHOWN else ""
        return f"{self.what}: {len(self.examples)} ({', '.join(self.examples[:SHOWN])}{more}); {self.remedy}"


@dataclass
class OwnReading:
    """What was read of one's own radiographs.

    Args:
        classes: tuple of str.
        multi_label: bool, whether each class is present or absent by itself.
        rows: DataFrame of text by the images' names in the archive, in their order, with the columns of
            `own_labels.TableLabels.rows` and those of `COLUMNS`, empty where unknown.
        not_used: Counter, how many images or rows are not used, by reason.
        problems: list of Problem.
    """

    classes: tuple[str, ...]
    multi_label: bool
    rows: pd.DataFrame
    not_used: Counter = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)


def read_own(name: str, entry: "Own", members: list[str]) -> OwnReading:
    """Return the radiographs of a dataset of one's own.

    Args:
        name: str, of the dataset.
        entry: its section under `own`.
        members: list of str, the names of the images in its archive.

    Raises:
        ChestTransferError: a column or a class is missing, a row may mean several files, or a split has another name.
    """
    if not members:
        raise ChestTransferError(f"'{entry.images}' holds no images; correct own.{name}.images in params.yaml")
    reading = _from_table(name, entry, members) if entry.table else _from_folders(name, entry, members)
    for label in reading.classes:
        shown = reading.rows[label] == PRESENT if reading.multi_label else reading.rows["label"] == label
        if not shown.any():
            raise ChestTransferError(
                f"no radiograph of '{name}' has the class '{label}'; correct own.{name}.classes or own.{name}.label"
            )
    reading.rows = reading.rows.sort_index()
    reading.not_used = +reading.not_used
    return reading


def _from_table(name: str, entry: "Own", members: list[str]) -> OwnReading:
    table = read_label_table(Path(entry.table).expanduser())
    labels = read_labels(table, entry, name)
    reading = OwnReading(labels.classes, labels.multi_label, labels.rows)
    images = table[column_named(table, entry.image, f"own.{name}.image")]
    member_of = _matched(name, images, members, reading)
    rows = pd.DataFrame(
        {column: _attribute(table, name, entry, column) for column in COLUMNS} | {"member": member_of}
    ).join(labels.rows)
    _report_labels(labels, images, rows, reading)
    if entry.view and entry.view.keep:
        kept = {same_text(view) for view in entry.view.keep}
        is_other = ~rows["view"].map(same_text).isin(kept)
        reading.not_used["other_view"] += int((is_other & (rows["member"] != "")).sum())
        rows = rows[~is_other]
    unlabelled = (rows[list(labels.rows)] == UNKNOWN).all(axis=1)
    reading.not_used["without_label"] += int((unlabelled & (rows["member"] != "")).sum())
    reading.rows = _one_row_each(rows[~unlabelled & (rows["member"] != "")], reading)
    if reading.rows.empty:
        raise ChestTransferError(
            f"no row of '{entry.table}' has both a label and a file in '{entry.images}' (column '{images.name}' has "
            f"{', '.join(map(repr, images[:SHOWN]))}; files are {', '.join(map(repr, members[:SHOWN]))}); correct "
            f"own.{name} in params.yaml"
        )
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


def _attribute(table: pd.DataFrame, name: str, entry: "Own", attribute: str) -> pd.Series:
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
        return extracted.map(without_decimals).str.upper()
    return cells.map(sex_of) if attribute == "sex" else cells


def _report_labels(labels: TableLabels, images: pd.Series, rows: pd.DataFrame, reading: OwnReading) -> None:
    if labels.other_labels:
        found = tuple(f"'{label}' in {count} rows" for label, count in labels.other_labels.most_common())
        reading.problems.append(Problem("labels that are of no class", found, "add them to `classes` if they are"))
    if labels.not_stated:
        what = "rows with unknown labels" if labels.multi_label else "rows without a label"
        unknown = (rows[list(labels.rows)] == UNKNOWN).any(axis=1)
        if found := tuple(f"row {row} '{cell}'" for row, cell in images[unknown].items()):
            reading.problems.append(Problem(what, found, "these labels are left out"))


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


def _from_folders(name: str, entry: "Own", members: list[str]) -> OwnReading:
    """Read class folders, with or without folders of splits above or below them; what is below does not matter."""
    reading = OwnReading((), False, pd.DataFrame())
    folders, splits = {}, {}
    for member in members:
        parts = PurePosixPath(member).parent.parts
        if any(part.lower() in _MASK_FOLDERS for part in parts):
            reading.not_used["masks"] += 1
            continue
        named = [split_named(part) for part in parts]
        place = next((place for place, split in enumerate(named) if split), None)
        splits[member] = "" if place is None else named[place]
        folders[member] = parts if place is None else parts[:place] + parts[place + 1 :]
    root = sum(1 for _ in takewhile(lambda names: len(set(names)) == 1, zip(*folders.values(), strict=False)))
    folder_of = pd.Series({member: parts[root] for member, parts in folders.items() if len(parts) > root}, dtype=str)
    class_of = {same_text(text): label for label, texts in entry.classes.items() for text in (label, *texts)}
    if not class_of:
        spelling = {same_text(folder): folder for folder in folder_of}
        class_of = {text: spelling[text] for text in sorted(spelling, key=lambda text: (not is_healthy(text), text))}
    labels = folder_of.map(same_text).map(class_of)
    classes = tuple(dict.fromkeys(class_of.values()))
    if len(classes) < 2 or labels.nunique() < 2:
        held = ", ".join(sorted({str(PurePosixPath(member).parent) for member in members})[:SHOWN])
        raise ChestTransferError(
            f"'{entry.images}' has no folders of at least two classes (its images lie in {held}, ...); put them into a "
            f"folder for each class, or name own.{name}.table in params.yaml"
        )
    others = Counter(folder_of[labels.isna()]) + Counter({".": len(folders) - len(folder_of)})
    if others:
        found = tuple(f"{folder} ({count})" for folder, count in others.most_common())
        reading.not_used["other_folder"] += others.total()
        reading.problems.append(Problem("folders of no class", found, f"add them to own.{name}.classes if they are"))
    labels = labels.dropna()
    rows = pd.DataFrame({"label": labels} | dict.fromkeys(COLUMNS, ""))
    rows["split"] = [splits[member] for member in rows.index]
    reading.classes, reading.rows = classes, rows
    return reading
