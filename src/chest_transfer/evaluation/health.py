"""Healthy or diseased: how the classes of one dataset are compared with those of another."""

from dataclasses import replace

import numpy as np
from scipy.special import logsumexp

from chest_transfer.data.arrays import UNKNOWN
from chest_transfer.data.predictions import Predictions

HEALTH_CLASSES = ["healthy", "diseased"]


def is_health(predictions: Predictions) -> bool:
    """Return whether predictions distinguish healthy from diseased only."""
    return predictions.classes == HEALTH_CLASSES


def as_health(predictions: Predictions, multi_label_labels: bool) -> Predictions:
    """Return predictions as two exclusive classes, healthy and diseased.

    The first of several exclusive classes is the healthy one. Of independent findings the most probable one decides;
    an image without any that is known to be there is healthy if all are known, else neither (`UNKNOWN` twice).

    Args:
        predictions: Predictions, whose labels and logits may be of different classes.
        multi_label_labels: bool, whether the labels are independent findings.
    """
    labels = predictions.labels
    if multi_label_labels:
        diseased, healthy = (labels == 1).any(axis=1), (labels == 0).all(axis=1)
    else:
        diseased, healthy = labels[:, 0] == 0, labels[:, 0] == 1
    kinds = np.stack([healthy, diseased], axis=1)
    return replace(
        predictions,
        labels=np.where(kinds.any(axis=1, keepdims=True), kinds, UNKNOWN).astype(int),
        logits=health_logits(predictions.logits, predictions.multi_label),
        label_classes=HEALTH_CLASSES,
        classes=HEALTH_CLASSES,
        multi_label=False,
    )


def health_logits(logits: np.ndarray, multi_label: bool) -> np.ndarray:
    """Return (N, 2) logits of healthy and diseased, with the probabilities that logits (N, K) give them."""
    if multi_label:
        diseased = logits.max(axis=1)
        return np.stack([np.zeros_like(diseased), diseased], axis=1)
    return np.stack([logits[:, 0], logsumexp(logits[:, 1:], axis=1)], axis=1)
