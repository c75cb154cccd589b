"""The mean of the probabilities of several models, as logits: what an ensemble predicts.

Averaged before calibration, which comes after: a mean of calibrated probabilities is not calibrated (Rahaman & Thiery
2021, Uncertainty Quantification and Deep Ensembles).
"""

from dataclasses import replace

import numpy as np

from chest_transfer.data.predictions import Predictions


def logits_of_mean(logits: np.ndarray, multi_label: bool) -> np.ndarray:
    """Return (N, K) float64 logits of the mean of several models' probabilities.

    Computed from logarithms, because probabilities of models that are certain round to 0 and 1.

    Args:
        logits: (S, N, K) array, of each model.
        multi_label: bool, whether the K classes are independent (sigmoid), or exclusive (softmax).
    """
    from scipy.special import log_expit, log_softmax, logsumexp

    logits = np.asarray(logits, np.float64)
    if multi_label:
        return logsumexp(log_expit(logits), axis=0) - logsumexp(log_expit(-logits), axis=0)
    return logsumexp(log_softmax(logits, axis=-1), axis=0) - np.log(len(logits))


def mean_predictions(members: list[Predictions]) -> Predictions:
    """Return the predictions of an ensemble for the radiographs that its members predict."""
    first = members[0]
    return replace(first, logits=logits_of_mean(np.stack([of.logits for of in members]), first.multi_label))
