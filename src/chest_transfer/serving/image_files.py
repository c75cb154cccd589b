"""Image files for prediction: files, folders, glob patterns and zip archives, read one at a time."""

import glob
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chest_transfer.data.archive_packing import files_below
from chest_transfer.data.archives import LARGEST_MEMBER, Archive
from chest_transfer.data.dicom import HEADER_BYTES, holds_image, is_dicom
from chest_transfer.data.file_kinds import IMAGE_SUFFIXES, is_image_name


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
        places: List of strings: files, folders (searched recursively, links followed), glob patterns such as
            `images/*.png`, or zip archives. In folders and archives, files with one of `IMAGE_SUFFIXES` and DICOM files
            are used; DICOM files without an image, as a CD's directory, are counted on stderr. A place without any
            picture yields one `ImageFile` that could not be read.
    """
    for place in places:
        is_empty = True
        for picture in _pictures_at(place):
            is_empty = False
            yield picture
        if is_empty:
            allowed = f"{', '.join(IMAGE_SUFFIXES)}, DICOM; folders, zip archives, patterns"
            yield ImageFile(place, None, f"no picture there (allowed: {allowed}); check the path")


def _pictures_at(place: str) -> Iterator[ImageFile]:
    path = Path(place)
    if path.is_dir():
        yield from _with_image(place, map(_read_file, filter(_may_be_image, files_below(path))))
    elif path.suffix.lower() == ".zip" and path.is_file():
        with Archive(path) as archive:
            members = (_read_member(archive, f"{place}/{member}", member) for member in archive.members)
            yield from _with_image(place, filter(_is_image, members))
    elif path.is_file():
        yield _read_file(path)
    else:
        for match in sorted(glob.glob(place, recursive=True)):  # noqa: PTH207 - a pattern may be absolute
            if Path(match).is_dir() or Path(match).is_file():
                yield from _pictures_at(match)
            else:
                yield ImageFile(match, None, "a link that leads nowhere, or no ordinary file")


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


def _may_be_image(path: Path) -> bool:
    if is_image_name(path.name):
        return True
    try:
        with path.open("rb") as file:
            return is_dicom(file.read(HEADER_BYTES))
    except OSError:
        return False


def _is_image(picture: ImageFile) -> bool:
    return is_image_name(picture.name) or is_dicom(picture.content or b"")


def _with_image(place: str, pictures: Iterator[ImageFile]) -> Iterator[ImageFile]:
    """Yield the pictures but the DICOM files without an image, which are counted on stderr."""
    without = []
    for picture in pictures:
        if picture.content and is_dicom(picture.content) and not holds_image(picture.content):
            without.append(picture.name)
        else:
            yield picture
    if without:
        print(f"{place}: {len(without)} DICOM files hold no image, such as {without[0]}", file=sys.stderr)
