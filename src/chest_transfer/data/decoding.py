"""All radiographs of an archive decoded, in order: large archives on several processes."""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np

from chest_transfer.data.archives import Archive
from chest_transfer.data.radiographs import UnreadableImage, read_grey
from chest_transfer.workers import in_order

SHARE = 1000  # radiographs that are worth a process: it starts in the time of about two hundred


@dataclass(frozen=True)
class Decoded:
    """A radiograph as a square, and what is told of its file.

    Args:
        image: (image_size, image_size) uint8, 0-255.
        facts: of `FileFacts`, mean brightness (0-255), and the digest of the file (SHA-256).
    """

    image: np.ndarray
    facts: dict


def decode_all(
    archive: Archive, members: list[str], image_size: int, fit: str, processes: int
) -> Iterator[Decoded | str]:
    """Each radiograph decoded, or the reason why it cannot be, in order; the result does not depend on `processes`.

    Processes, not threads: the fast decoder of PNGs lets no other thread run beside it.
    """
    processes = min(processes, 1 + len(members) // SHARE)
    return in_order(partial(_decoded, archive, image_size, fit), members, processes)


def _decoded(archive: Archive, image_size: int, fit: str, member: str) -> Decoded | str:
    try:
        content = archive.read(member)
        read = read_grey(content, image_size)
    except UnreadableImage as error:
        return str(error)
    except ValueError as error:
        return f"broken: {error}"
    image = read.square(image_size, fit)
    brightness = round(float(image.mean()), 2)
    digest = hashlib.sha256(content).hexdigest()
    return Decoded(image, asdict(read.facts) | {"brightness": brightness, "digest": digest})
