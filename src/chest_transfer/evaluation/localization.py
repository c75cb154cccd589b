"""Localization: whether heat maps lie where the finding is, in boxes that readers drew or in the lungs."""

import numpy as np
import pandas as pd

from chest_transfer.evaluation.intervals import PatientCounts, cluster_bootstrap_weights, rounded, with_interval

RESAMPLES, SEED = 1000, 1  # of the bootstrap over patients


def box_mask(boxes: pd.DataFrame, size: int) -> np.ndarray:
    """Return (size, size) bool: the union of boxes with columns left, top, right, bottom (fractions of the image)."""
    mask = np.zeros((size, size), bool)
    for box in boxes.itertuples():
        top, bottom, left, right = (_pixel(edge, size) for edge in (box.top, box.bottom, box.left, box.right))
        mask[top : max(bottom, top + 1), left : max(right, left + 1)] = True  # at least one pixel
    return mask


def localization_scores(maps: np.ndarray, masks: np.ndarray, patients: np.ndarray) -> dict:
    """Return how well heat maps point into masks.

    The pointing game (Zhang et al. 2016) is the share of images whose hottest pixel is inside the mask; energy (Wang et
    al. 2020) is the share of heat inside. The score by chance is measured on the same maps and masks, paired wrongly:
    a map that always points to the middle of the chest may score well where boxes often lie there, but not above
    chance.

    Args:
        maps: (n, H, W) float array, 0-1.
        masks: (n, H, W) bool array.
        patients: (n,) str array.

    Returns:
        dict of pointing and energy, each with `_low`, `_high` and `_chance`; `area`, the masks' mean share of the
        image; `images`. Empty for fewer than two images.
    """
    images = len(maps)
    if images < 2:
        return {}
    heat, inside = maps.reshape(images, -1), masks.reshape(images, -1)
    hottest = heat.argmax(axis=1)
    # [i, j] is the score of map i in mask j: the right pairs are on the diagonal.
    pointing = inside[:, hottest].T.astype(float)
    pointing[heat.max(axis=1) == 0] = 0  # a map without heat points nowhere
    energy = heat / np.maximum(heat.sum(axis=1, keepdims=True), 1e-9) @ inside.T.astype(np.float32)
    weights = cluster_bootstrap_weights(patients, RESAMPLES, SEED).astype(float)
    count = len(np.unique(patients))
    counts = PatientCounts(ill=count, healthy=count, patients=count)
    scores: dict = {}
    for name, pairs in (("pointing", pointing), ("energy", energy)):
        own = np.diag(pairs)
        wrong_pairs = images * (images - 1)
        scores |= with_interval(name, own.mean(), weights @ own / weights.sum(axis=1), counts)
        scores[f"{name}_chance"] = rounded((pairs.sum() - np.trace(pairs)) / wrong_pairs)
    return scores | {"area": rounded(inside.mean()), "images": images}


def _pixel(edge: float, size: int) -> int:
    return int(np.clip(np.rint(edge * size), 0, size))
