"""Lung windows: the box around the lungs of every radiograph of an archive, found in a small copy of each."""

from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np

from chest_transfer.data.archives import Archive
from chest_transfer.data.decoding import SquareRadiograph, decode_all
from chest_transfer.data.fingerprints import image_fingerprints
from chest_transfer.data.regions import SIDE, WHOLE, Window, lung_window

BATCH = 256
NOT_FOUND = "lungs not found, the whole picture is shown"


class LungFinder(Protocol):
    """What finds lungs: `networks.lung_network.LungNetwork`."""

    def masks(self, images: np.ndarray) -> np.ndarray:
        """Return the probability of lung (N, side, side) in radiographs (N, SIDE, SIDE) uint8, squeezed."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Return its weights by name."""


@dataclass(frozen=True)
class FoundLungs:
    """What was found in each file of an archive.

    Args:
        windows: list of N Window, the whole picture where lungs were not found.
        found: list of N bool, whether lungs were found.
        fingerprints: (N, D) float32 array, of the whole pictures: copies of a radiograph may have other windows.
    """

    windows: list[Window]
    found: list[bool]
    fingerprints: np.ndarray


def find_lungs(archive: Archive, members: list[str], finder: LungFinder, outside: str, processes: int) -> FoundLungs:
    """Find the lungs in each radiograph; in those that cannot be read there are none.

    Args:
        archive: Archive that holds them.
        members: list of str, their names in it.
        finder: LungFinder.
        outside: str, one of `regions.OUTSIDE_LUNGS`.
        processes: int, that decode, at most; the result does not depend on it.
    """
    windows: list[Window | None] = []
    fingerprints: list[np.ndarray] = []
    unreadable = np.zeros((SIDE, SIDE), np.uint8)
    with closing(decode_all(archive, members, SIDE, "squeeze", processes)) as decoded:
        while batch := list(islice(decoded, BATCH)):
            is_readable = [isinstance(one, SquareRadiograph) for one in batch]
            images = np.stack([one.image if ok else unreadable for one, ok in zip(batch, is_readable, strict=True)])
            masks = finder.masks(images)
            windows += [lung_window(mask, outside) if ok else None for mask, ok in zip(masks, is_readable, strict=True)]
            fingerprints.append(image_fingerprints(images))
    found = [window is not None for window in windows]
    return FoundLungs([window or WHOLE for window in windows], found, np.concatenate(fingerprints))
