"""Overlap: the same radiograph in two splits or datasets, found even if it was resized and encoded again.

The public datasets republish each other's images: their files differ, their content does not. What is compared is a
small image without its low frequencies. On samples of three public archives, copies correlate by 0.95 and more, nearly
all by 0.999; radiographs of two people by 0.87 at most.
"""

from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from chest_transfer.data.arrays import Arrays, read_npz
from chest_transfer.data.splits import SPLITS
from chest_transfer.data.thumbnails import box_thumbnails

SIDE = 32  # pixels of the compared images
LOW_FREQUENCY_SIGMA = SIDE / 12  # pixels; what a Gaussian of this width keeps is subtracted
SAME_IMAGE = 0.92  # correlation from which two images are the same: between what copies and other images have
BLOCK = 4096  # images whose correlations are in memory at once
OVERLAP_COLUMNS = ("dataset", "other", "images", "also_in_other", "test_images", "test_in_training")


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


def is_in(fingerprints: np.ndarray, dataset: dict[str, np.ndarray]) -> np.ndarray:
    """Return (N,) bool: which of the fingerprints (N, D) show an image of a dataset, in whatever split."""
    return is_among(fingerprints, np.concatenate(list(dataset.values())))


def split_fingerprints(arrays: dict[str, Arrays]) -> dict[str, np.ndarray]:
    """Return the fingerprints of each split, as `data/fingerprints/D.npz` stores them."""
    return {split: image_fingerprints(part.images) for split, part in arrays.items()}


def seen_in_training(fingerprints: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return which radiographs of each split are in the training or the validation split of another dataset.

    Args:
        fingerprints: dict, (N, D) array of each split of the dataset.
        others: dict, (M, D) array of each split of the other dataset.

    Returns:
        dict, (N,) bool array of each split.
    """
    return {split: is_among(own, others["train"]) | is_among(own, others["val"]) for split, own in fingerprints.items()}


def shared_images(files: dict[str, Path]) -> pd.DataFrame:
    """Return which datasets show the same radiographs.

    Args:
        files: dict, the file of fingerprints of each dataset.

    Returns:
        Table with the columns `OVERLAP_COLUMNS`, a row for each ordered pair: `also_in_other` of the dataset's
        `images` are in the other dataset, `test_in_training` of its `test_images` in the other's training or
        validation split.
    """
    rows = []
    for name, other in permutations(files, 2):
        own, theirs = read_npz(files[name]), read_npz(files[other])
        in_fitted = seen_in_training(own, theirs)
        in_any = sum(int((in_fitted[split] | is_among(own[split], theirs["test"])).sum()) for split in SPLITS)
        images = sum(len(prints) for prints in own.values())
        rows.append((name, other, images, in_any, len(own["test"]), int(in_fitted["test"].sum())))
    return pd.DataFrame(rows, columns=list(OVERLAP_COLUMNS))
