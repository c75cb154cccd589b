"""Conformal prediction sets: the classes that are possible at a stated error rate; a model answers where one is left.

Split conformal prediction, class by class (Vovk 2012, Conditional validity of inductive conformal predictors): of new
radiographs of each class, at most the error rate has a set without it, whatever the model, as long as they are drawn
like those of validation. At another hospital they are not, and nothing is promised.
"""

import numpy as np

from chest_transfer.data.arrays import UNKNOWN
from chest_transfer.evaluation.calibrated_predictions import CalibratedPredictions
from chest_transfer.evaluation.intervals import proportion_interval, rounded

ERROR_RATES = (0.05, 0.1, 0.2)  # that a packed model has cutoffs for


def fit_cutoffs(labels: np.ndarray, probabilities: np.ndarray, multi_label: bool, error_rate: float) -> np.ndarray:
    """Return the probability from which each class is possible.

    Args:
        labels: (N, K) array of 0, 1 and `UNKNOWN`, of the validation split.
        probabilities: (N, K) array, calibrated.
        multi_label: bool, whether the K classes are independent.
        error_rate: float, 0-1.

    Returns:
        (K, 2) array: from which probability of absence a class may be absent, and from which probability of presence it
        may be present. Of exclusive classes the first is 0: a class is possible or not. 0 also where validation has too
        few radiographs to exclude anything.
    """
    cutoffs = np.zeros((labels.shape[1], 2))
    for k in range(labels.shape[1]):
        cutoffs[k, 1] = _cutoff(probabilities[labels[:, k] == 1, k], error_rate)
        if multi_label:
            cutoffs[k, 0] = _cutoff(1 - probabilities[labels[:, k] == 0, k], error_rate)
    return cutoffs


def possible(probabilities: np.ndarray, cutoffs: np.ndarray) -> np.ndarray:
    """Return (N, K, 2) bool: whether each class may be absent, and whether it may be present."""
    return np.stack([1 - probabilities, probabilities], axis=2) >= cutoffs


def is_answered(sets: np.ndarray, multi_label: bool) -> np.ndarray:
    """Return (N,) bool, whether one class alone is possible; (N, K) for independent ones: one of absent and present.

    Args:
        sets: (N, K, 2) bool array of `possible`.
        multi_label: bool, whether the K classes are independent.
    """
    return sets.sum(axis=2) == 1 if multi_label else sets[..., 1].sum(axis=1) == 1


def conformal_scores(predictions: CalibratedPredictions, cutoffs: np.ndarray) -> dict[str, float | None]:
    """Return what prediction sets are worth on a split.

    Args:
        predictions: CalibratedPredictions.
        cutoffs: (K, 2) array of `fit_cutoffs`.

    Returns:
        dict: `coverage`, the share of radiographs (of independent classes: of known labels) whose set has the true
        class, with its interval over patients; `set_size`, the mean number of possible classes; `answered`, the share
        with one; `accuracy_answered`, of these.
    """
    labels, sets = predictions.labels, possible(predictions.probabilities, cutoffs)
    if predictions.multi_label:
        known = labels != UNKNOWN
        right = np.take_along_axis(sets, np.where(known, labels, 0)[..., None], axis=2)[..., 0][known]
        sizes, answered = sets.sum(axis=2)[known], is_answered(sets, multi_label=True)[known]
    else:
        right, sizes = (sets[..., 1] & (labels == 1)).any(axis=1), sets[..., 1].sum(axis=1)
        answered = is_answered(sets, multi_label=False)
    patients = predictions.patient_counts(predictions.averaged_classes).patients
    low, high = proportion_interval(float(right.mean()), patients)
    return {
        "coverage": rounded(right.mean()), "coverage_low": rounded(low), "coverage_high": rounded(high),
        "set_size": rounded(sizes.mean()), "answered": rounded(answered.mean()),
        "accuracy_answered": rounded(right[answered].mean()) if answered.any() else None,
    }  # fmt: skip


def _cutoff(probabilities: np.ndarray, error_rate: float) -> float:
    """Return the probability of the true class that at most the error rate of new radiographs does not reach."""
    excluded = int(error_rate * (len(probabilities) + 1))
    return float(np.sort(probabilities)[excluded - 1]) if excluded else 0.0
