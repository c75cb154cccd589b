"""Healthy or diseased: how the classes of one dataset are compared with those of another."""

from dataclasses import replace

import numpy as np
from scipy.special import logsumexp

from chest_transfer.data.arrays import UNKNOWN
from chest_transfer.data.label_words import is_healthy
from chest_transfer.data.predictions import Predictions

HEALTH_CLASSES = ["healthy", "diseased"]


def is_health(predictions: Predictions) -> bool:
    """Return whether predictions distinguish healthy from diseased only."""
    return predictions.classes == HEALTH_CLASSES


def as_health(predictions: Predictions, multi_label_labels: bool) -> Predictions:
    """Return predictions as two exclusive classes, healthy and diseased.

    The first of several exclusive classes is the healthy one. Of independent findings the most probable one decides;
    an image is healthy if all are known to be absent, or if a class such as `No Finding` says so. One of which neither
    is known is neither (`UNKNOWN` twice).

    Args:
        predictions: Predictions, whose labels and logits may be of different classes.
        multi_label_labels: bool, whether the labels are independent findings.
    """
    diseased = diseased_labels(predictions.labels, predictions.label_classes, multi_label_labels)
    labels = np.stack([1 - diseased, diseased], axis=1)
    return replace(
        predictions,
        labels=np.where(diseased[:, None] == UNKNOWN, UNKNOWN, labels),
        logits=health_logits(predictions.logits, predictions.classes, predictions.multi_label),
        label_classes=HEALTH_CLASSES,
        classes=HEALTH_CLASSES,
        multi_label=False,
    )


def finding_columns(classes: list[str], multi_label: bool) -> list[int]:
    """Return the numbers of the classes that are diseases: not those that say that nothing was found."""
    return [k for k, name in enumerate(classes) if (not is_healthy(name) if multi_label else k > 0)]


def diseased_labels(labels: np.ndarray, classes: list[str], multi_label: bool) -> np.ndarray:
    """Return (N,) int: 1 for diseased, 0 for healthy, `UNKNOWN` where that is not known.

    Args:
        labels: (N, K) array of 0, 1 and `UNKNOWN`.
        classes: list of K str.
        multi_label: bool, whether they are independent.
    """
    findings = finding_columns(classes, multi_label)
    healthy = [k for k in range(len(classes)) if k not in findings]
    is_diseased, is_free = (labels[:, findings] == 1).any(axis=1), (labels[:, findings] == 0).all(axis=1)
    is_called_healthy = (labels[:, healthy] == 1).any(axis=1)
    if not multi_label:
        is_free = is_called_healthy
    return np.select([is_diseased, is_free | is_called_healthy], [1, 0], UNKNOWN)


def health_logits(logits: np.ndarray, classes: list[str], multi_label: bool) -> np.ndarray:
    """Return (N, 2) logits of healthy and diseased, with the probabilities that logits (N, K) give them."""
    findings = finding_columns(classes, multi_label)
    if multi_label:
        diseased = logits[:, findings].max(axis=1)
        return np.stack([np.zeros_like(diseased), diseased], axis=1)
    return np.stack([logits[:, 0], logsumexp(logits[:, 1:], axis=1)], axis=1)
