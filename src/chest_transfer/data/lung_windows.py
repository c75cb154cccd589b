"""Lung windows: the box around the lungs of every radiograph of an archive, found in a small copy of each."""

from contextlib import closing
from itertools import islice
from typing import Protocol

import numpy as np

from chest_transfer.data.archives import Archive
from chest_transfer.data.decoding import SquareRadiograph, decode_all
from chest_transfer.data.regions import SIDE, WHOLE, Window, lung_window

BATCH = 256
NOT_FOUND = "lungs not found, the whole picture is shown"


class LungFinder(Protocol):
    """What finds lungs: `networks.lung_network.LungNetwork`."""

    def masks(self, images: np.ndarray) -> np.ndarray:
        """Return the probability of lung (N, side, side) in radiographs (N, SIDE, SIDE) uint8, squeezed."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Return its weights by name."""


def find_lung_windows(
    archive: Archive, members: list[str], finder: LungFinder, outside: str, processes: int
) -> tuple[list[Window], list[bool]]:
    """Return the window of each radiograph, and whether lungs were found: the whole where they were not.

    Args:
        archive: Archive that holds them.
        members: list of str, their names in it.
        finder: LungFinder.
        outside: str, one of `regions.OUTSIDE_LUNGS`.
        processes: int, that decode, at most; the result does not depend on it.
    """
    windows: list[Window | None] = []
    with closing(decode_all(archive, members, SIDE, "squeeze", processes)) as decoded:
        while batch := list(islice(decoded, BATCH)):
            readable = [one.image for one in batch if isinstance(one, SquareRadiograph)]
            masks = iter(finder.masks(np.stack(readable)) if readable else ())
            windows += [
                lung_window(next(masks), outside) if isinstance(one, SquareRadiograph) else None for one in batch
            ]
    return [window or WHOLE for window in windows], [window is not None for window in windows]
