"""The radiographs of an archive, whatever its layout."""

from collections.abc import Mapping
from types import MappingProxyType

from chest_transfer.data.archives import Archive
from chest_transfer.data.class_folders import read_class_folders
from chest_transfer.data.layouts import ClassFolders, NihTables, Prepared
from chest_transfer.data.listed import Listing
from chest_transfer.data.nih_tables import read_nih_tables
from chest_transfer.data.prepared import read_prepared

NO_OTHER_NAMES: Mapping[str, str] = MappingProxyType({})


def read_listing(
    layout: ClassFolders | NihTables | Prepared,
    archive: Archive,
    folders: Mapping[str, str] = NO_OTHER_NAMES,
    keep_splits: bool = True,
) -> Listing:
    """Return the radiographs of an archive, and what was not used.

    Args:
        layout: of the dataset.
        archive: Archive.
        folders: dict of other names of class folders to classes, from the settings.
        keep_splits: bool, whether splits that the archive has are read.

    Raises:
        ChestTransferError: the archive has another layout, or a class has no radiographs; a table or a list is missing.
    """
    if isinstance(layout, Prepared):
        return read_prepared(archive, keep_splits)
    if isinstance(layout, NihTables):
        return read_nih_tables(layout, archive, keep_splits)
    return read_class_folders(layout, archive, folders, keep_splits)
