"""Localization: whether heat maps lie where the finding is, in boxes that readers drew or in the lungs."""

import numpy as np
import pandas as pd

from chest_transfer.evaluation.intervals import (
    PatientCounts,
    cluster_bootstrap_weights,
    confidence_interval,
    rounded,
    with_interval,
)

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
        dict of pointing and energy, each with `_low`, `_high` and `_chance`, and `_gain` over chance with its bounds
        `_gain_low` and `_gain_high`; `area`, the masks' mean share of the image; `images`. Empty for fewer than two
        images.
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
        shares = weights @ own / weights.sum(axis=1)
        scores |= with_interval(name, own.mean(), shares, counts)
        by_chance = _of_wrong_pairs(pairs, np.ones((1, images)))[0]
        scores[f"{name}_chance"] = rounded(by_chance)
        # Both are of the same maps, so their difference varies less between patients than either.
        gains = shares - _of_wrong_pairs(pairs, weights)
        bounds = confidence_interval(gains) if counts.are_enough else (np.nan, np.nan)
        names = (f"{name}_gain", f"{name}_gain_low", f"{name}_gain_high")
        scores |= dict(zip(names, map(rounded, (own.mean() - by_chance, *bounds)), strict=True))
    return scores | {"area": rounded(inside.mean()), "images": images}


def is_better_than_chance(scores: dict) -> bool | None:
    """Return whether more heat lies in the masks than by chance; None where too few patients tell.

    By heat, not by the hottest place, because it uses all of a map, and so tells with fewer patients.
    """
    low = scores.get("energy_gain_low")
    return None if low is None else low > 0


def in_words(scores: dict) -> str:
    """Return how much heat lies in the boxes, and how much would by chance."""
    return (
        f"{scores['energy']:.0%} of their heat lies in the boxes of {scores['images']} radiographs, by chance "
        f"{scores['energy_chance']:.0%}"
    )


def _of_wrong_pairs(pairs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean score of maps in the masks of others, for each of (R, n) weights of images."""
    same = weights**2
    of_all = (weights @ pairs * weights).sum(axis=1) - same @ np.diag(pairs)
    count = weights.sum(axis=1) ** 2 - same.sum(axis=1)
    # NaN where a resample has one image alone.
    return np.divide(of_all, count, out=np.full(len(weights), np.nan), where=count > 0)


def _pixel(edge: float, size: int) -> int:
    return int(np.clip(np.rint(edge * size), 0, size))
