"""Pictures to predict: files, folders, patterns and archives become names with their bytes, one at a time."""

import glob
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chest_transfer.data.archives import LARGEST_MEMBER, Archive
from chest_transfer.data.dicom import is_dicom
from chest_transfer.data.layouts import IMAGE_SUFFIXES

SUFFIXES = (*IMAGE_SUFFIXES, ".tif", ".tiff", ".bmp", ".gif", ".webp", ".jp2", ".pgm")


@dataclass(frozen=True)
class Picture:
    """One file: its name as it was given, and its bytes, or why there are none."""

    name: str
    content: bytes | None
    reason: str = ""


def pictures(places: list[str]) -> Iterator[Picture]:
    """The pictures at some places, in order.

    Args:
        places: files; folders, with all below them; patterns such as `images/*.png`; zip archives. In a folder or an
            archive, only files that end as pictures do, or begin as DICOM files do, count. A place without any is one
            picture that cannot be read.
    """
    for place in places:
        found = False
        for picture in _at(place):
            found = True
            yield picture
        if not found:
            allowed = f"{', '.join(SUFFIXES)}, DICOM; folders, zip archives, patterns"
            yield Picture(place, None, f"no picture there (allowed: {allowed}); check the path")


def _at(place: str) -> Iterator[Picture]:
    path = Path(place)
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.is_file() and (file.suffix.lower() in SUFFIXES or _begins_as_dicom(file)):
                yield _read(file)
    elif path.suffix.lower() == ".zip" and path.is_file():
        with Archive(path) as archive:
            for member in archive.members:
                if Path(member).suffix.lower() in SUFFIXES:
                    yield _member(archive, f"{place}/{member}", member)
    elif path.is_file():
        yield _read(path)
    else:
        for match in sorted(glob.glob(place, recursive=True)):  # noqa: PTH207 - a pattern may be absolute
            yield from _at(match)


def _read(path: Path) -> Picture:
    try:
        if path.stat().st_size > LARGEST_MEMBER:
            return Picture(str(path), None, f"it has more than {LARGEST_MEMBER:,} bytes")
        return Picture(str(path), path.read_bytes())
    except OSError as error:
        return Picture(str(path), None, error.strerror or "it cannot be read")


def _member(archive: Archive, name: str, member: str) -> Picture:
    try:
        return Picture(name, archive.read(member))
    except ValueError as error:
        return Picture(name, None, str(error))


def _begins_as_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return is_dicom(file.read(132))
    except OSError:
        return False
