"""The mean and the standard deviation of the gray levels of many radiographs."""

from dataclasses import dataclass

import numpy as np

IMAGES_AT_ONCE = 256


@dataclass(frozen=True)
class GrayStatistics:
    """The gray levels of radiographs.

    Args:
        mean: float, of all pixels, 0-255.
        deviation: float, their standard deviation, at least 1.
    """

    mean: float
    deviation: float


def gray_statistics(images: np.ndarray) -> GrayStatistics:
    """Return the statistics of all pixels of images (N, H, W) uint8."""
    total = squares = 0.0
    for start in range(0, len(images), IMAGES_AT_ONCE):
        pixels = np.asarray(images[start : start + IMAGES_AT_ONCE], np.float64)
        total, squares = total + pixels.sum(), squares + (pixels**2).sum()
    mean = total / images.size
    return GrayStatistics(float(mean), max(float(np.sqrt(max(squares / images.size - mean**2, 0))), 1.0))
