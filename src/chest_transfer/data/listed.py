"""What is listed of an archive: its radiographs with labels and patients, and what was not used."""

from collections import Counter
from dataclasses import dataclass, field

import pandas as pd

from chest_transfer.data.archives import Archive

FOLDERS_SHOWN = 8  # in errors and summaries


@dataclass(frozen=True)
class ListedRadiograph:
    """One image of an archive.

    Args:
        member: str, its name in the zip file.
        name: str, how this project calls it: unique in its dataset.
        labels: tuple of str, its classes.
        patient: str or None, the key of its patient where the archive tells.
        split: `train`, `val` or `test` where the archive is split.
        unknown: tuple of str, classes of which the archive does not say whether it shows them.
    """

    member: str
    name: str
    labels: tuple[str, ...]
    patient: str | None
    split: str | None = None
    unknown: tuple[str, ...] = ()


@dataclass
class Listing:
    """The radiographs of an archive, in the order of their names.

    A radiograph whose patient is unknown counts as a patient of its own.

    Args:
        radiographs: list of ListedRadiograph.
        not_used: how many images were not used, by reason.
        tables: SHA-256 of each table that was read: versions of one table differ in labels.
        other_folders: how many images lie in folders that are of no class.
        classes: tuple of str, where the archive itself says what they are.
        multi_label: bool, whether these are independent.
        attributes: DataFrame, as of `descriptions.read_attributes`, where the archive has been prepared.
        cautions: list of str, what was noticed while it was prepared.
        pool: tuple of str, the datasets that it is a pool of.
    """

    radiographs: list[ListedRadiograph]
    not_used: Counter = field(default_factory=Counter)
    tables: dict[str, str] = field(default_factory=dict)
    other_folders: Counter = field(default_factory=Counter)
    classes: tuple[str, ...] = ()
    multi_label: bool = False
    attributes: pd.DataFrame | None = None
    cautions: list[str] = field(default_factory=list)
    pool: tuple[str, ...] = ()


def first_members(archive: Archive) -> str:
    """Return how many files an archive holds, and the first of them, for errors."""
    first = ", ".join(archive.members[:3])
    return f"{len(archive.members)} files ({first}, ...)" if first else "no files"
