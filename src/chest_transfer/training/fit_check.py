"""Whether a fit failed: constant predictions, hardly better than the class frequencies, or no epoch that improved.

A failed fit still gives a model and metrics, so it has to be looked for.
"""

import numpy as np
import pandas as pd
from scipy.special import expit, log_softmax, softmax

from chest_transfer.data.arrays import UNKNOWN

CONSTANT = 0.002  # standard deviation of the predicted probabilities below which they are constant
LEAST_EXPLAINED = 0.02  # share of the entropy of the classes below which nothing was learned
OK = "ok"


def check_fit(labels: np.ndarray, logits: np.ndarray, history: pd.DataFrame, multi_label: bool) -> str:
    """Return `ok`, or in a few words why a fit has to be considered failed.

    Args:
        labels: (N, K) array of 0, 1 and `UNKNOWN`, of the validation split.
        logits: (N, K) array, the model's.
        history: table of `fitting.fit`.
        multi_label: bool, whether the K classes are independent.
    """
    probabilities = expit(logits) if multi_label else softmax(logits, axis=1)
    if probabilities.std(axis=0).max() < CONSTANT:
        return "the predictions are constant"
    if _explained_share(labels, logits, multi_label) < LEAST_EXPLAINED:
        return "the validation loss is not clearly below that of the class frequencies"
    if history["val_loss"].idxmin() == 0 and history["epoch"].iloc[0] == 0:
        return "no epoch improved on the initial weights, which were restored"
    return OK


def has_failed(scores: dict) -> bool:
    """Return whether the scores of a model, as `metrics/detail` has them, say that its fit failed.

    Scores of a model that was not fitted to the dataset (`as_is`) say nothing about a fit.
    """
    return scores.get("fit", OK) != OK


def _explained_share(labels: np.ndarray, logits: np.ndarray, multi_label: bool) -> float:
    """Return the share of the entropy of the classes that a model explains: 0 is no better than their frequencies.

    It is 1 minus the cross-entropy over that of predicting the class frequencies for every image (McFadden's pseudo
    R^2), over images as they are or with classes weighted equally, whichever is larger: a model that was trained with
    class weights predicts as if classes were equally frequent.
    """
    if multi_label:
        entropies = np.logaddexp(0, logits) - labels * logits
        known = labels != UNKNOWN
        columns = [
            (entropies[known[:, k], k], labels[known[:, k], k]) for k in range(labels.shape[1]) if known[:, k].any()
        ]
    else:
        columns = [(-(labels * log_softmax(logits, axis=1)).sum(axis=1), labels.argmax(axis=1))]
    model, guess = np.array([_cross_entropies(*column) for column in columns]).sum(axis=0)
    return float((1 - model / np.maximum(guess, 1e-12)).max())  # entropy: 0 where only one class occurs


def _cross_entropies(entropies: np.ndarray, classes: np.ndarray) -> tuple[list[float], list[float]]:
    """Return the cross-entropy of a model and that of guessing, each for images as they are and with classes balanced.

    Args:
        entropies: (N,) array, the model's cross-entropy of each image.
        classes: (N,) int array.
    """
    _, class_of, counts = np.unique(classes, return_inverse=True, return_counts=True)
    frequencies = counts / len(classes)
    by_class = np.bincount(class_of, weights=entropies) / counts
    return [by_class @ frequencies, by_class.mean()], [-frequencies @ np.log(frequencies), np.log(len(counts))]
