"""All radiographs of an archive decoded, in order: large archives by several processes."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import repeat

import numpy as np

from chest_transfer.data.archives import Archive
from chest_transfer.data.radiographs import UnreadableImage, decode_image
from chest_transfer.data.regions import WHOLE, Window
from chest_transfer.workers import parallel_map

IMAGES_PER_PROCESS = 1000  # a process takes as long to start as about two hundred radiographs take to decode


@dataclass(frozen=True)
class SquareRadiograph:
    """A radiograph as a square, and facts about its file.

    Args:
        image: (image_size, image_size) uint8 array, 0-255.
        facts: dict with the fields of `FileFacts`, `brightness` (mean gray level, 0-255) and `digest` (SHA-256).
        warnings: what a DICOM file states that is unusual for a frontal chest radiograph.
    """

    image: np.ndarray
    facts: dict
    warnings: tuple[str, ...] = ()


def decode_all(
    archive: Archive,
    members: list[str],
    image_size: int,
    fit: str,
    processes: int,
    windows: Sequence[Window] | None = None,
) -> Iterator[SquareRadiograph | str]:
    """Decode radiographs in order; an unreadable one gives its reason instead.

    Processes, not threads: the fast PNG decoder holds Python's lock.

    Args:
        archive: Archive that holds them.
        members: list of str, their names in it.
        image_size: int, pixels a side.
        fit: str, a key of `squares.SQUARE_FITS`.
        processes: int, at most so many are started; the result does not depend on it.
        windows: the part that is shown of each; None for the whole of all.
    """
    processes = min(processes, 1 + len(members) // IMAGES_PER_PROCESS)
    cases = zip(members, repeat(WHOLE) if windows is None else windows, strict=windows is not None)
    return parallel_map(partial(_decode_member, archive, image_size, fit), cases, processes)


def _decode_member(
    archive: Archive, image_size: int, fit: str, member_and_window: tuple[str, Window]
) -> SquareRadiograph | str:
    member, window = member_and_window
    try:
        content = archive.read(member)
    except ValueError as error:
        return f"broken: {error}"
    try:
        decoded = decode_image(content, window.whole_side(image_size))
    except UnreadableImage as error:
        return str(error)
    image = decoded.square(image_size, fit, window)
    brightness = round(float(image.mean()), 2)
    digest = hashlib.sha256(content).hexdigest()
    facts = asdict(decoded.facts) | {"brightness": brightness, "digest": digest}
    return SquareRadiograph(image, facts, decoded.warnings)
