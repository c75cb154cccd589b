"""Localisation: whether heat maps lie where the finding is - on boxes that readers drew, or in the lungs."""

import numpy as np
import pandas as pd

from chest_transfer.evaluation.intervals import drawn
from chest_transfer.evaluation.metrics import rounded, with_interval


def box_masks(boxes: pd.DataFrame, size: int) -> np.ndarray:
    """(size, size) bool: the union of boxes with columns left, top, right, bottom (shares of the image)."""
    inside = np.zeros((size, size), bool)
    for box in boxes.itertuples():
        rows, columns = (np.clip(np.rint(np.array(pair) * size).astype(int), 0, size) for pair in (
            (box.top, box.bottom), (box.left, box.right)
        ))  # fmt: skip
        inside[rows[0] : max(rows[1], rows[0] + 1), columns[0] : max(columns[1], columns[0] + 1)] = True
    return inside


def localisation(maps: np.ndarray, masks: np.ndarray, patients: np.ndarray, rounds: int, seed: int) -> dict:
    """How well heat maps point into masks.

    The pointing game (Zhang et al. 2016) counts the images whose hottest pixel lies inside; energy (Wang et al. 2020)
    is the share of heat inside. What chance gives is measured on the same maps and masks, paired wrongly: a map that
    always points to the middle of the chest scores well on boxes that often lie there, and no better than that.

    Args:
        maps: (n, H, W) float, 0-1.
        masks: (n, H, W) bool.
        patients: (n,) str.
        rounds, seed: of the bootstrap over patients.

    Returns:
        pointing and energy, each with `_low`, `_high` and `_chance`; `area`, the masks' mean share of the image;
        images. Empty for fewer than two images.
    """
    if len(maps) < 2:
        return {}
    flat, inside = maps.reshape(len(maps), -1), masks.reshape(len(masks), -1)
    points = inside[:, flat.argmax(axis=1)].T.astype(float)  # [i, j]: map i's point in mask j
    shares = flat / np.maximum(flat.sum(axis=1, keepdims=True), 1e-9)
    energies = shares @ inside.T.astype(np.float32)
    # A map without heat points nowhere.
    points[flat.max(axis=1) == 0] = 0
    weights, found = drawn(patients, rounds, seed).astype(float), {}
    for name, pairs in (("pointing", points), ("energy", energies)):
        own, others = np.diag(pairs), (pairs.sum() - np.trace(pairs)) / (len(maps) * (len(maps) - 1))
        found |= with_interval(name, own.mean(), weights @ own / weights.sum(axis=1))
        found[f"{name}_chance"] = rounded(others)
    return found | {"area": rounded(inside.mean()), "images": len(maps)}
