"""Radiographs shrunk to a few pixels a side, with memory that does not grow with their number."""

import numpy as np
from PIL import Image

from chest_transfer.data.arrays import release_pages

IMAGES_AT_ONCE = 512  # whose pages of the memory map count as memory


def box_thumbnails(images: np.ndarray, side: int) -> np.ndarray:
    """Return (N, side, side) float32, each pixel the mean of what it covers.

    Args:
        images: (N, H, W) uint8 array.
        side: int, pixels.
    """
    thumbnails = np.empty((len(images), side, side), np.float32)
    for start in range(0, len(images), IMAGES_AT_ONCE):
        for row in range(start, min(start + IMAGES_AT_ONCE, len(images))):
            thumbnails[row] = Image.fromarray(images[row]).resize((side, side), Image.Resampling.BOX)
        release_pages(images)
    return thumbnails
