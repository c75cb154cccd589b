"""Overlap: the same radiograph in two datasets, found although it was resized and encoded anew.

The public sets republish each other's images: file hashes differ, pictures do not. What is compared is a small picture
without its wide shades. On samples of three public archives, copies correlate by 0.95 and more, nearly all by 0.999;
radiographs of two people by 0.87 at most.
"""

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from chest_transfer.data.arrays import release

SIDE = 32
SAME = 0.92  # correlation from which two pictures are one; between what was seen of copies and of others
CHUNK = 4096
READ = 512  # radiographs whose pages count as memory at a time


def shrunk(images: np.ndarray, side: int) -> np.ndarray:
    """(N, side, side) float32: each pixel the mean of what it covers.

    Args:
        images: (N, H, W) uint8.
        side: pixels.
    """
    small = np.empty((len(images), side, side), np.float32)
    for first in range(0, len(images), READ):
        for row in range(first, min(first + READ, len(images))):
            small[row] = Image.fromarray(images[row]).resize((side, side), Image.Resampling.BOX)
        release(images)
    return small


def fingerprints(images: np.ndarray) -> np.ndarray:
    """(N, SIDE ** 2) float32, of length 1: each picture shrunk, without its wide shades.

    Args:
        images: (N, H, W) uint8.
    """
    found = shrunk(images, SIDE).reshape(len(images), SIDE**2)
    for row, small in enumerate(found):
        detail = small - gaussian_filter(small.reshape(SIDE, SIDE), SIDE / 12).ravel()
        detail -= detail.mean()
        found[row] = detail / max(float(np.linalg.norm(detail)), 1e-6)
    return found


def same_as_any(prints: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which of these fingerprints (N, d) are among the others (M, d): (N,) bool."""
    seen = np.zeros(len(prints), bool)
    for start in range(0, len(others), CHUNK):
        for first in range(0, len(prints), CHUNK):
            rows = slice(first, first + CHUNK)
            seen[rows] |= (prints[rows] @ others[start : start + CHUNK].T > SAME).any(axis=1)
    return seen


def seen_in(images: np.ndarray, others: list[np.ndarray]) -> np.ndarray:
    """Which of these radiographs are among the others: (N,) bool.

    Args:
        images: (N, H, W) uint8.
        others: sets of (M, H', W') uint8, made square in the same way (`preprocess.fit`).
    """
    prints = fingerprints(images)
    return np.any([same_as_any(prints, fingerprints(some)) for some in others], axis=0)
