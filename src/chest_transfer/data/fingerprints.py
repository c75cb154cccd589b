"""Fingerprints: whether two files show the same radiograph, even if it was resized and encoded again.

What is compared is a small image without its low frequencies. On samples of three public archives, copies correlate by
0.95 and more, nearly all by 0.999; radiographs of two people by 0.87 at most.
"""

from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from chest_transfer.data.arrays import Arrays, read_npz
from chest_transfer.data.thumbnails import box_thumbnails

SIDE = 32  # pixels of the compared images
LOW_FREQUENCY_SIGMA = SIDE / 12  # pixels; what a Gaussian of this width keeps is subtracted
SAME_IMAGE = 0.92  # correlation from which two images are the same: between what copies and other images have
FINGERPRINTS = "fingerprints.npz"  # beside arrays: of whole pictures, where the arrays show a part of them
BLOCK = 4096  # images whose correlations are in memory at once


def image_fingerprints(images: np.ndarray) -> np.ndarray:
    """Return (N, SIDE ** 2) float32 of length 1: images whose dot product is their correlation.

    Args:
        images: (N, H, W) uint8 array.
    """
    fingerprints = box_thumbnails(images, SIDE).reshape(len(images), SIDE**2)
    for row, thumbnail in enumerate(fingerprints):
        detail = thumbnail - gaussian_filter(thumbnail.reshape(SIDE, SIDE), LOW_FREQUENCY_SIGMA).ravel()
        detail -= detail.mean()
        fingerprints[row] = detail / max(float(np.linalg.norm(detail)), 1e-6)
    return fingerprints


def is_among(fingerprints: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return (N,) bool: which of the fingerprints (N, D) show an image that is among the others (M, D)."""
    found = np.zeros(len(fingerprints), bool)
    for other_start in range(0, len(others), BLOCK):
        block = others[other_start : other_start + BLOCK]
        for start in range(0, len(fingerprints), BLOCK):
            rows = slice(start, start + BLOCK)
            found[rows] |= (fingerprints[rows] @ block.T > SAME_IMAGE).any(axis=1)
    return found


def copies_between(fingerprints: np.ndarray, datasets: np.ndarray) -> np.ndarray:
    """Return (P, 2) int: the pairs of images of two datasets that show the same radiograph.

    Args:
        fingerprints: (N, D) array, ordered by dataset.
        datasets: (N,) array, the dataset of each.
    """
    pairs = [np.empty((2, 0), int)]
    for dataset in dict.fromkeys(datasets):
        own = np.flatnonzero(datasets == dataset)
        others = np.flatnonzero(np.arange(len(datasets)) > own.max())
        for start in range(0, len(own), BLOCK):
            rows = own[start : start + BLOCK]
            for other_start in range(0, len(others), BLOCK):
                columns = others[other_start : other_start + BLOCK]
                found = np.nonzero(fingerprints[rows] @ fingerprints[columns].T > SAME_IMAGE)
                pairs.append(np.stack([rows[found[0]], columns[found[1]]]))
    return np.concatenate(pairs, axis=1).T


def is_in(fingerprints: np.ndarray, dataset: dict[str, np.ndarray]) -> np.ndarray:
    """Return (N,) bool: which of the fingerprints (N, D) show an image of a dataset, in whatever split."""
    return is_among(fingerprints, np.concatenate(list(dataset.values())))


def split_fingerprints(folder: Path, arrays: dict[str, Arrays]) -> dict[str, np.ndarray]:
    """Return the fingerprints (N, D) of some splits of a dataset, as `data/fingerprints/D.npz` stores them.

    Args:
        folder: Path of the arrays, as `preprocess` writes it.
        arrays: dict of Arrays, by split.
    """
    of_whole = read_npz(folder / FINGERPRINTS)
    return of_whole or {split: image_fingerprints(part.images) for split, part in arrays.items()}


def seen_in_training(fingerprints: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return which radiographs of each split are in the training or the validation split of another dataset.

    Args:
        fingerprints: dict, (N, D) array of each split of the dataset.
        others: dict, (M, D) array of each split of the other dataset.

    Returns:
        dict, (N,) bool array of each split.
    """
    return {split: is_among(own, others["train"]) | is_among(own, others["val"]) for split, own in fingerprints.items()}
