"""The table of a public dataset, put together from those in its archive."""

from fnmatch import fnmatch

import pandas as pd

from chest_transfer.data.archives import Archive
from chest_transfer.data.label_tables import LARGEST_TABLE, column_named, parse_label_table
from chest_transfer.data.public_sets import PublicSet, TableFile
from chest_transfer.errors import ChestTransferError

SPLIT = "official split"  # a column that tables of one split each get


def read_public_table(name: str, entry: PublicSet, archive: Archive, images: list[str]) -> pd.DataFrame | None:
    """Return the table of a public dataset, put together from those in its archive; None for class folders.

    Args:
        name: str, of the dataset.
        entry: PublicSet.
        archive: Archive.
        images: list of str, the names of its images.

    Raises:
        ChestTransferError: a table is missing or damaged.
    """
    if entry.label_in_name:
        stems = pd.Series(images, dtype=str)
        return pd.DataFrame({"image": stems, "label": stems.str.extract(entry.label_in_name, expand=False).fillna("")})
    table = None
    for part in entry.tables:
        read = _read(name, entry, part, archive)
        if part.split:
            read[SPLIT] = part.split
        if table is None:
            table = read
        elif part.on:
            on = [column_named(table, column, "on") for column in part.on]
            new = [column for column in read if column in on or column not in table]
            table = table.merge(read[new].drop_duplicates(on), on=on, how="left").fillna("")
        else:
            table = pd.concat([table, read]).fillna("")
    if table is not None:
        table.index = pd.RangeIndex(2, len(table) + 2, name="row")
    return table


def _read(name: str, entry: PublicSet, part: TableFile, archive: Archive) -> pd.DataFrame:
    found = [member for member in archive.members if fnmatch(member.rsplit("/", 1)[-1].lower(), part.file.lower())]
    if not found:
        raise ChestTransferError(
            f"'{archive.path}' holds no {part.file}, a table of '{name}' ({entry.title}); get it from {entry.home} and "
            "put it beside the images"
        )
    if len({archive.checksum(member) for member in found}) > 1:
        raise ChestTransferError(f"'{archive.path}' holds tables that differ: {', '.join(found[:3])}; keep one of them")
    return parse_label_table(archive.read(found[0], LARGEST_TABLE), found[0])
