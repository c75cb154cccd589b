"""Class folders of one's own: any depth, with splits above or below, and folders of patients or sites around them."""

from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pandas as pd

from chest_transfer.data.label_words import is_healthy, same_text
from chest_transfer.data.layouts import split_named
from chest_transfer.data.own_labels import MOST_CLASSES, healthy_first
from chest_transfer.data.own_record import COLUMNS, SHOWN, OwnReading, Problem
from chest_transfer.errors import ChestTransferError

if TYPE_CHECKING:
    from chest_transfer.data.own_section import TableColumns

_MASK_FOLDERS = ("mask", "masks")


def read_own_folders(name: str, entry: "TableColumns", members: list[str]) -> OwnReading:
    """Return the radiographs in class folders.

    Args:
        name: str, of the dataset.
        entry: its section; `classes` has the names of folders. Without them, the classes are the folders that lie
            beside one whose name means healthy.
        members: list of str, the images.

    Raises:
        ChestTransferError: there are no folders of at least two classes.
    """
    reading, folders, splits = OwnReading((), False, pd.DataFrame()), {}, {}
    for member in members:
        parts = PurePosixPath(member).parent.parts
        if any(part.lower() in _MASK_FOLDERS for part in parts):
            reading.not_used["masks"] += 1
            continue
        named = [split_named(part) for part in parts]
        place = next((place for place, split in enumerate(named) if split), None)
        splits[member] = "" if place is None else named[place]
        folders[member] = parts if place is None else parts[:place] + parts[place + 1 :]
    label_of = _stated_classes(entry, folders) if entry.classes else _classes_beside_the_healthy(name, folders)
    classes = tuple(healthy_first({label: set() for label in entry.classes or sorted(set(label_of.values()))}))
    if not 2 <= len(set(label_of.values())) <= MOST_CLASSES:
        raise ChestTransferError(
            f"'{name}' has folders of {len(set(label_of.values()))} classes where 2 to {MOST_CLASSES} are allowed (its "
            f"images lie in {_first_folders(folders)}, ...); put them into a folder for each class, or name "
            f"own.{name}.table in params.yaml"
        )
    others = Counter(str(PurePosixPath(*parts)) for member, parts in folders.items() if member not in label_of)
    if others:
        found = tuple(f"{folder} ({count})" for folder, count in others.most_common())
        reading.not_used["other_folder"] += others.total()
        remedy = f"add them to own.{name}.classes if they are"
        reading.problems.append(Problem("folders of no class", found, remedy))
    rows = pd.DataFrame({"label": pd.Series(label_of, dtype=str)} | dict.fromkeys(COLUMNS, ""))
    rows["split"] = [splits[member] for member in rows.index]
    reading.classes, reading.rows = classes, rows
    return reading


def _stated_classes(entry: "TableColumns", folders: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """Return the class of each image: that of the innermost folder whose name is among those of the settings."""
    class_of = {same_text(text): label for label, texts in entry.classes.items() for text in (label, *texts)}
    found = {member: [class_of.get(same_text(part)) for part in parts] for member, parts in folders.items()}
    return {member: [*filter(None, labels)][-1] for member, labels in found.items() if any(labels)}


def _classes_beside_the_healthy(name: str, folders: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """Return the class of each image: its folder at the depth at which one is called normal, healthy ..."""
    depth = next(
        (depth for depth in range(max(map(len, folders.values()), default=0))
         if any(is_healthy(parts[depth]) for parts in folders.values() if len(parts) > depth)),
        None,
    )  # fmt: skip
    if depth is None:
        raise ChestTransferError(
            f"no folder of '{name}' is known to mean healthy (its images lie in {_first_folders(folders)}, ...); put "
            f"them into a folder for each class, and name the classes, the healthy one first, under own.{name}.classes "
            f"in params.yaml, or name own.{name}.table"
        )
    spelling: dict[str, str] = {}
    return {
        member: spelling.setdefault(same_text(parts[depth]), parts[depth])
        for member, parts in sorted(folders.items())
        if len(parts) > depth
    }


def _first_folders(folders: dict[str, tuple[str, ...]]) -> str:
    return ", ".join(sorted({str(PurePosixPath(*parts)) for parts in folders.values()})[:SHOWN])
