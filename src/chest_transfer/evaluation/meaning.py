"""Classes matched by meaning: what a model of one dataset says of another, as healthy or diseased."""

import numpy as np
import pandas as pd

from chest_transfer.data.predictions import table_of

HEALTH = ["healthy", "diseased"]


def as_health(values: np.ndarray, multi_label: bool) -> np.ndarray:
    """(N, 2) healthy and diseased, from truth or probabilities (N, K) of one dataset's classes.

    The first of several exclusive classes is the healthy one. Of independent findings, the likeliest decides.
    """
    diseased = values.max(axis=1) if multi_label else 1 - values[:, 0]
    return np.stack([1 - diseased, diseased], axis=1)


def health_table(
    names: np.ndarray, patients: np.ndarray, truth: np.ndarray, several: bool, probabilities: np.ndarray, models: bool
) -> pd.DataFrame:
    """Predictions as healthy or diseased: columns as of `predictions_table`.

    Args:
        names, patients: (N,) str.
        truth: (N, K) of the dataset's classes.
        several: whether those are several labels an image.
        probabilities: (N, K') of the model's own classes.
        models: whether those are several labels an image.
    """
    return table_of(names, patients, as_health(truth, several), as_health(probabilities, models), HEALTH)
