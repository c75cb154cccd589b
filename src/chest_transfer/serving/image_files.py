"""Image files for prediction: files, folders, glob patterns and zip archives, read one at a time."""

import glob
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chest_transfer.data.archives import LARGEST_MEMBER, Archive
from chest_transfer.data.dicom import is_dicom
from chest_transfer.data.layouts import IMAGE_SUFFIXES

SUFFIXES = (*IMAGE_SUFFIXES, ".tif", ".tiff", ".bmp", ".gif", ".webp", ".jp2", ".pgm")
DICOM_HEADER_BYTES = 132  # a preamble of 128 bytes, then "DICM"


@dataclass(frozen=True)
class ImageFile:
    """An image file.

    Args:
        name: String, its path as the user gave it.
        content: Its bytes. `None` if it could not be read.
        reason: String, why it could not be read, in one line.
    """

    name: str
    content: bytes | None
    reason: str = ""


def find_images(places: list[str]) -> Iterator[ImageFile]:
    """Yield the image files at some places, in order.

    Args:
        places: List of strings: files, folders (searched recursively), glob patterns such as `images/*.png`, or zip
            archives. In folders, files with one of `SUFFIXES` and DICOM files are used; in archives, files with one of
            `SUFFIXES`. A place without any yields one `ImageFile` that could not be read.
    """
    for place in places:
        is_empty = True
        for picture in _pictures_at(place):
            is_empty = False
            yield picture
        if is_empty:
            allowed = f"{', '.join(SUFFIXES)}, DICOM; folders, zip archives, patterns"
            yield ImageFile(place, None, f"no picture there (allowed: {allowed}); check the path")


def _pictures_at(place: str) -> Iterator[ImageFile]:
    path = Path(place)
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.is_file() and (file.suffix.lower() in SUFFIXES or _is_dicom_file(file)):
                yield _read_file(file)
    elif path.suffix.lower() == ".zip" and path.is_file():
        with Archive(path) as archive:
            for member in archive.members:
                if Path(member).suffix.lower() in SUFFIXES:
                    yield _read_member(archive, f"{place}/{member}", member)
    elif path.is_file():
        yield _read_file(path)
    else:
        for match in sorted(glob.glob(place, recursive=True)):  # noqa: PTH207 - a pattern may be absolute
            yield from _pictures_at(match)


def _read_file(path: Path) -> ImageFile:
    try:
        if path.stat().st_size > LARGEST_MEMBER:
            return ImageFile(str(path), None, f"the file is larger than {LARGEST_MEMBER:,} bytes")
        return ImageFile(str(path), path.read_bytes())
    except OSError as error:
        return ImageFile(str(path), None, error.strerror or "the file cannot be read")


def _read_member(archive: Archive, name: str, member: str) -> ImageFile:
    try:
        return ImageFile(name, archive.read(member))
    except ValueError as error:
        return ImageFile(name, None, str(error))


def _is_dicom_file(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return is_dicom(file.read(DICOM_HEADER_BYTES))
    except OSError:
        return False
