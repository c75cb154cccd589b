"""Regions: which part of a radiograph the networks see, all of it, the box around the lungs, or lungs alone."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

REGIONS = ("whole", "lungs")
OUTSIDE_LUNGS = ("keep", "black")  # within the box
SIDE = 128  # pixels a side of the squares in which lungs are looked for
MASK_SIDE = SIDE // 2  # of the masks
MARGIN = 0.04  # of the lungs' box on each side: the chest wall and the domes stay visible
SMALLEST_PART = 0.15  # of the larger lung: what is smaller is none
SMALLEST_AREA, LARGEST_AREA = 0.06, 0.6  # of the radiograph, that both lungs together may cover
SMALLEST_SIDE = 0.25  # of the radiograph, of the box
NARROWEST = 0.55  # width over height of the box: one lung alone is twice as high as wide
GROWN = 2  # pixels by which lungs that are shown alone are larger than found: the pleura stays visible
CLOSED = 2  # pixels either way: what a rib or a tube cuts off still belongs to its lung


@dataclass(frozen=True)
class Window:
    """A part of a picture, its edges as fractions of the picture's width and height.

    Args:
        left: float, 0-1.
        top: float, 0-1.
        right: float, 0-1.
        bottom: float, 0-1.
        mask: (side, side) uint8 array over the whole picture, 255 on what is shown, 0 on what is black; None where
            nothing is.
    """

    left: float
    top: float
    right: float
    bottom: float
    mask: np.ndarray | None = field(default=None, compare=False, repr=False)

    def whole_side(self, size: int) -> int:
        """Return the pixels a side that the whole picture needs, so that the window has `size` of them."""
        return math.ceil(size / min(self.right - self.left, self.bottom - self.top))

    def columns(self) -> dict[str, float]:
        """Return the edges under the names that they have in `images.csv`."""
        return dict(zip(WINDOW_COLUMNS, (self.left, self.top, self.right, self.bottom), strict=True))

    def pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return (left, top, right, bottom) in whole pixels of a picture, at least one pixel each way."""
        left, top = round(self.left * width), round(self.top * height)
        return left, top, max(round(self.right * width), left + 1), max(round(self.bottom * height), top + 1)


WHOLE = Window(0.0, 0.0, 1.0, 1.0)
WINDOW_COLUMNS = tuple(f"window_{edge}" for edge in ("left", "top", "right", "bottom"))  # of `images.csv`


def window_of(row: Mapping) -> Window:
    """Return the window that a row of `images.csv` states; the whole picture where it states none."""
    return Window(*(row[column] for column in WINDOW_COLUMNS)) if WINDOW_COLUMNS[0] in row else WHOLE


def lung_window(probabilities: np.ndarray, outside: str = "keep") -> Window | None:
    """Return the box around the lungs, with a margin; None where what was found does not look like lungs.

    Args:
        probabilities: (side, side) float array, that a pixel shows lung.
        outside: str, one of `OUTSIDE_LUNGS`: what becomes of the rest of the box.
    """
    closed = ndimage.binary_closing(np.pad(probabilities > 0.5, CLOSED), iterations=CLOSED)
    parts, count = ndimage.label(closed[CLOSED:-CLOSED, CLOSED:-CLOSED])
    areas = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    if not count:
        return None
    largest = np.argsort(-areas, kind="stable")[:2]
    lungs = np.isin(parts, 1 + largest[areas[largest] >= SMALLEST_PART * areas.max()])
    rows, columns = np.flatnonzero(lungs.any(axis=1)), np.flatnonzero(lungs.any(axis=0))
    top, left = rows[0] / len(lungs), columns[0] / len(lungs)
    bottom, right = (rows[-1] + 1) / len(lungs), (columns[-1] + 1) / len(lungs)
    width, height = right - left, bottom - top
    is_large = SMALLEST_AREA <= lungs.mean() <= LARGEST_AREA and min(width, height) >= SMALLEST_SIDE
    if not is_large or width < NARROWEST * height:
        return None
    across, down = MARGIN * width, MARGIN * height
    edges = left - across, top - down, right + across, bottom + down
    grown = np.uint8(255) * ndimage.binary_dilation(lungs, iterations=GROWN)
    return Window(*(round(float(np.clip(edge, 0, 1)), 4) for edge in edges), mask=grown if outside == "black" else None)
