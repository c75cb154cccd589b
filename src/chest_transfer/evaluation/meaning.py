"""Classes matched by meaning: what a model of one dataset says of another, as healthy or diseased."""

import numpy as np
import pandas as pd

from chest_transfer.data.arrays import Arrays
from chest_transfer.data.predictions import predictions_table

HEALTH = ["healthy", "diseased"]


def as_health(values: np.ndarray, multi_label: bool) -> np.ndarray:
    """(N, 2) healthy and diseased, from truth or probabilities (N, K) of one dataset's classes.

    The first of several exclusive classes is the healthy one. Of independent findings, the likeliest decides.
    """
    diseased = values.max(axis=1) if multi_label else 1 - values[:, 0]
    return np.stack([1 - diseased, diseased], axis=1)


def health_table(
    arrays: Arrays, several: bool, probabilities: np.ndarray, models_several: bool, seen: np.ndarray
) -> pd.DataFrame:
    """What a model of another dataset says of a split: columns as of `predictions_table`, and `seen`.

    Args:
        arrays: the split.
        several: whether its dataset has several labels an image.
        probabilities: (N, K) of the model's own classes.
        models_several: whether those are independent.
        seen: (N,) bool, images that the model learnt from.
    """
    truth = as_health(arrays.targets, several)[:, 1].astype(np.int64)
    split = Arrays(arrays.images, truth, arrays.patients, arrays.names, np.array(HEALTH))
    return predictions_table(split, as_health(probabilities, models_several)).assign(seen=seen.astype(int))
