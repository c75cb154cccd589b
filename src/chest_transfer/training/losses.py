"""Cross-entropy of logits, plain or weighted so that rare classes (class weights) or hard images (focal) count more.

Losses take logits, not probabilities: the log of a probability has to be clipped near 0, and a clipped loss has no
gradient exactly where a model is certain and wrong.
"""

from collections.abc import Callable

import numpy as np

from chest_transfer.data.arrays import UNKNOWN

# What is done about rare classes: `class_weights` and `focal` change the loss, `balanced_sampling` the batches.
IMBALANCES = ("none", "class_weights", "balanced_sampling", "focal")
FOCAL_GAMMA = 2.0  # focal loss multiplies an image's cross-entropy by (1 - p)^gamma; arXiv 1708.02002


def cross_entropy(
    targets: np.ndarray,
    multi_label: bool,
    imbalance: str,
    probabilities: np.ndarray | None = None,
    smoothing: float = 0.0,
) -> Callable:
    """Return the loss function `(targets (n, K), logits (n, K)) -> (n,)`, a tensor of one loss per image.

    Class weights are scikit-learn's `balanced`: images / (classes * images of the class). For multi-label data, the
    presence and the absence of each finding are weighted as two classes. A class without images has weight 0. Unknown
    labels have no loss; the others weigh more, by the inverse of the share of the training set's labels that is known,
    so that the learning rate means the same.

    Args:
        targets: (N, K) array of 0, 1 and `UNKNOWN`, the whole training set, whose classes are counted.
        multi_label: bool; whether the K findings are independent (mean of K binary cross-entropies of sigmoids)
            or exclusive (categorical cross-entropy of a softmax).
        imbalance: str, one of `IMBALANCES`.
        probabilities: (N,) array, with which images are drawn, and so count; None where all are equal.
        smoothing: float, of labels: this share of each is spread evenly over all classes (Szegedy et al. 2016).
    """
    from keras import ops

    times = np.ones(len(targets)) if probabilities is None else probabilities * len(targets)  # an image is drawn
    positives, known = times @ (targets == 1), times @ (targets != UNKNOWN)
    classes = targets.shape[1]
    known_share = float(np.float32(known.sum() / targets.size))
    if multi_label:
        positive_weights = _balanced_weights(positives, known, classes=2)
        negative_weights = _balanced_weights(known - positives, known, classes=2)
    else:
        class_weights = _balanced_weights(positives, len(targets), np.count_nonzero(positives))

    def loss(targets, logits):
        targets = ops.cast(targets, logits.dtype)
        if multi_label:
            is_known, targets = _known(targets, logits)
            smoothed = (1 - smoothing) * targets + smoothing / 2
            entropies = ops.binary_crossentropy(smoothed, logits, from_logits=True)
        else:
            smoothed = (1 - smoothing) * targets + smoothing / classes
            entropies = ops.categorical_crossentropy(smoothed, logits, from_logits=True)
        if imbalance == "focal":
            # -expm1(-entropy) is 1 - p of the true class, without cancellation.
            entropies *= (-ops.expm1(-entropies)) ** FOCAL_GAMMA
        elif imbalance == "class_weights" and multi_label:
            entropies *= targets * positive_weights + (1 - targets) * negative_weights
        elif imbalance == "class_weights":
            entropies *= ops.sum(targets * class_weights, axis=-1)
        return ops.mean(entropies * is_known, axis=-1) / known_share if multi_label else entropies

    return loss


def plain_cross_entropy(multi_label: bool):
    """Return a metric of unweighted cross-entropy from logits, comparable whatever the weights of the loss."""
    import keras
    from keras import ops

    if not multi_label:
        return keras.metrics.CategoricalCrossentropy(from_logits=True, name="cross_entropy")

    def of_known(targets, logits):
        is_known, targets = _known(targets, logits)
        entropies = ops.binary_crossentropy(targets, logits, from_logits=True)
        return _mean_of_known(entropies, is_known)

    return keras.metrics.MeanMetricWrapper(of_known, name="cross_entropy")


def accuracy(multi_label: bool):
    """Return a metric of accuracy from logits: of images, or the mean over images of that of their known labels."""
    import keras
    from keras import ops

    if not multi_label:
        return keras.metrics.CategoricalAccuracy("accuracy")

    def of_known(targets, logits):
        is_known, targets = _known(targets, logits)
        is_right = ops.cast(ops.equal(targets > 0.5, logits > 0), logits.dtype)  # a probability of 0.5
        return _mean_of_known(is_right, is_known)

    return keras.metrics.MeanMetricWrapper(of_known, name="accuracy")


def _known(targets, logits):
    """Return which labels are known, and the labels with 0 for those that are not, as tensors of the logits' dtype."""
    from keras import ops

    targets = ops.cast(targets, logits.dtype)
    return ops.cast(targets >= 0, logits.dtype), ops.maximum(targets, 0)


def _mean_of_known(values, is_known):
    """Return the mean of each image's values whose labels are known; 0 where none is."""
    from keras import ops

    return ops.mean(values * is_known, axis=-1) / ops.maximum(ops.mean(is_known, axis=-1), 1e-7)


def _balanced_weights(counts: np.ndarray, images: int | np.ndarray, classes: int) -> np.ndarray:
    return np.where(counts > 0, images / (classes * np.where(counts > 0, counts, 1)), 0).astype(np.float32)
