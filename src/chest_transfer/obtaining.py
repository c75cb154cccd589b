"""Obtaining the archive of a dataset, wherever its radiographs come from."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from chest_transfer.data.archive_packing import folder_beside
from chest_transfer.data.catalog import POOL, dataset_named, source_of
from chest_transfer.data.downloads import fetch
from chest_transfer.data.own_archive import write_own_archive, write_public_archive
from chest_transfer.data.own_record import OwnReading
from chest_transfer.data.pool_archive import write_pool_archive
from chest_transfer.data.public_sets import public_sets
from chest_transfer.files import atomic_write
from chest_transfer.phantom.archive import write_archive
from chest_transfer.phantom.public_layouts import write_public_layout

if TYPE_CHECKING:
    from chest_transfer.settings import Settings

CHECKSUMS = Path("data/checksums.txt")


def obtain(name: str, settings: "Settings", target: Path) -> list[str]:
    """Write the archive of a dataset: simulated, fetched, taken from this machine, or put together from others.

    Args:
        name: str, of the dataset.
        settings: Settings.
        target: Path of the zip file to write, complete or not at all.

    Returns:
        What should be mended or known, in lines that start with the name of the dataset.

    Raises:
        ChestTransferError: it cannot be fetched, or cannot be read.
    """
    source = source_of(name, settings)
    if source == POOL:
        return _obtain_pool(name, settings, target)
    if source == "own":
        return _lines(name, write_own_archive(name, settings.own[name], target))
    if name in public_sets():
        with tempfile.TemporaryDirectory() as folder:
            if source == "phantom":
                source = str(Path(folder, "simulated.zip"))
                write_public_layout(name, settings.phantom, Path(source))
            return _lines(name, write_public_archive(name, public_sets()[name], source, target))
    if source == "phantom":
        write_archive(dataset_named(name), settings.phantom, target, settings.threads)
    else:
        fetch(dataset_named(name), source, target, CHECKSUMS)
    return []


def _lines(name: str, reading: OwnReading) -> list[str]:
    return [f"{name}: {problem}" for problem in reading.problems]


def _obtain_pool(name: str, settings: "Settings", target: Path) -> list[str]:
    with atomic_write(target) as aside, folder_beside(aside) as folder:
        archives = {member: folder / f"{member}.zip" for member in settings.pools[name]}
        lines = [line for member, archive in archives.items() for line in obtain(member, settings, archive)]
        write_pool_archive(archives, settings, aside)
    return lines
