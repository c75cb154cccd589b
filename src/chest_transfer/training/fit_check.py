"""Whether a fit failed: constant predictions, none better than the class frequencies, or no epoch that improved.

A failed fit still gives a model and metrics, so it has to be looked for.
"""

import numpy as np
import pandas as pd
from scipy.special import expit, log_softmax, softmax

CONSTANT = 0.002  # standard deviation of the predicted probabilities below which they are constant
OK = "ok"


def check_fit(labels: np.ndarray, logits: np.ndarray, history: pd.DataFrame, multi_label: bool) -> str:
    """Return `ok`, or in a few words why a fit has to be considered failed.

    Args:
        labels: (N, K) array of 0 and 1, of the validation split.
        logits: (N, K) array, the model's.
        history: table of `fitting.fit`.
        multi_label: bool, whether the K classes are independent.
    """
    probabilities = expit(logits) if multi_label else softmax(logits, axis=1)
    if probabilities.std(axis=0).max() < CONSTANT:
        return "the predictions are constant"
    if _is_no_better_than_guessing(labels, logits, multi_label):
        return "the validation loss is not below that of the class frequencies"
    if history["val_loss"].idxmin() == 0 and history["epoch"].iloc[0] == 0:
        return "no epoch improved on the initial weights, which were restored"
    return OK


def _is_no_better_than_guessing(labels: np.ndarray, logits: np.ndarray, multi_label: bool) -> bool:
    """Return whether predicting the class frequencies for every image has as low a cross-entropy.

    They are compared on images as they are and with classes weighted equally, and the model passes if it is better in
    either: one that was trained with class weights predicts as if classes were equally frequent.
    """
    if multi_label:
        entropies = np.logaddexp(0, logits) - labels * logits
        columns = [(entropies[:, k], labels[:, k]) for k in range(labels.shape[1])]
    else:
        columns = [(-(labels * log_softmax(logits, axis=1)).sum(axis=1), labels.argmax(axis=1))]
    plain, balanced = zip(*(_excess_over_guessing(*column) for column in columns), strict=True)
    return np.mean(plain) >= 0 and np.mean(balanced) >= 0


def _excess_over_guessing(entropies: np.ndarray, classes: np.ndarray) -> tuple[float, float]:
    """Return the mean cross-entropy minus that of guessing, for images as they are and with classes balanced.

    Args:
        entropies: (N,) array, the model's cross-entropy of each image.
        classes: (N,) int array.
    """
    _, class_of, counts = np.unique(classes, return_inverse=True, return_counts=True)
    frequencies = counts / len(classes)
    by_class = np.bincount(class_of, weights=entropies) / counts
    plain = by_class @ frequencies + frequencies @ np.log(frequencies)
    return float(plain), float(by_class.mean() - np.log(len(counts)))
