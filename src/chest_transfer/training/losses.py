"""Cross-entropy of logits, plain or weighted so that rare classes (class weights) or hard images (focal) count more.

Losses take logits, not probabilities: the log of a probability has to be clipped near 0, and a clipped loss has no
gradient exactly where a model is certain and wrong.
"""

from collections.abc import Callable

import numpy as np

# What is done about rare classes: `class_weights` and `focal` change the loss, `balanced_sampling` the batches.
IMBALANCES = ("none", "class_weights", "balanced_sampling", "focal")
FOCAL_GAMMA = 2.0  # focal loss multiplies an image's cross-entropy by (1 - p)^gamma; arXiv 1708.02002


def cross_entropy(targets: np.ndarray, multi_label: bool, imbalance: str) -> Callable:
    """Return the loss function `(targets (n, K), logits (n, K)) -> (n,)`, a tensor of one loss per image.

    Class weights are scikit-learn's `balanced`: images / (classes * images of the class). For multi-label data, the
    presence and the absence of each finding are weighted as two classes. A class without images has weight 0.

    Args:
        targets: (N, K) array of 0 and 1, the whole training set, whose classes are counted.
        multi_label: bool; whether the K findings are independent (mean of K binary cross-entropies of sigmoids)
            or exclusive (categorical cross-entropy of a softmax).
        imbalance: str, one of `IMBALANCES`.
    """
    from keras import ops

    positives = targets.sum(axis=0)
    if multi_label:
        positive_weights = _balanced_weights(positives, len(targets), classes=2)
        negative_weights = _balanced_weights(len(targets) - positives, len(targets), classes=2)
    else:
        class_weights = _balanced_weights(positives, len(targets), np.count_nonzero(positives))

    def loss(targets, logits):
        targets = ops.cast(targets, logits.dtype)
        if multi_label:
            entropies = ops.binary_crossentropy(targets, logits, from_logits=True)
        else:
            entropies = ops.categorical_crossentropy(targets, logits, from_logits=True)
        if imbalance == "focal":
            # -expm1(-entropy) is 1 - p of the true class, without cancellation.
            entropies *= (-ops.expm1(-entropies)) ** FOCAL_GAMMA
        elif imbalance == "class_weights" and multi_label:
            entropies *= targets * positive_weights + (1 - targets) * negative_weights
        elif imbalance == "class_weights":
            entropies *= ops.sum(targets * class_weights, axis=-1)
        return ops.mean(entropies, axis=-1) if multi_label else entropies

    return loss


def plain_cross_entropy(multi_label: bool):
    """Return Keras' metric of unweighted cross-entropy from logits, comparable whatever the weights of the loss."""
    import keras

    metric = keras.metrics.BinaryCrossentropy if multi_label else keras.metrics.CategoricalCrossentropy
    return metric(from_logits=True, name="cross_entropy")


def _balanced_weights(counts: np.ndarray, images: int, classes: int) -> np.ndarray:
    return np.where(counts > 0, images / (classes * np.maximum(counts, 1)), 0).astype(np.float32)
