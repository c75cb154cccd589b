"""Cross-entropy, plain or so that rare classes (class weights) or hard images (focal) count more."""

from collections.abc import Callable

import keras
import numpy as np

FOCUS = 2.0  # focal loss: an image that is right with p counts (1 - p) to this power; as in arXiv 1708.02002


def crossentropy(targets: np.ndarray, multi_label: bool, imbalance: str) -> Callable:
    """The loss for targets (n, K) of 0 or 1 and probabilities (n, K): a function to (n,).

    Class weights are `balanced`, as in scikit-learn: the number of images over classes times images of the class; for
    multi-label, presence and absence of each finding are weighed as two classes. A class without images weighs nothing.

    Args:
        targets: (N, K) of the whole training set, to count classes.
        multi_label: the mean of K binary cross-entropies, else one categorical one.
        imbalance: `class_weights`, `focal`, or anything else for plain cross-entropy.
    """
    present = targets.sum(axis=0)
    negative = None
    if multi_label:
        positive, negative = _balanced(len(targets), 2, present), _balanced(len(targets), 2, len(targets) - present)
    else:
        positive = _balanced(len(targets), np.count_nonzero(present), present)
    if imbalance != "class_weights":
        positive, negative = np.ones_like(positive), None if negative is None else np.ones_like(negative)

    def loss(truth, probabilities):
        safe = keras.ops.clip(probabilities, 1e-7, 1 - 1e-7)
        right, wrong = keras.ops.log(safe), keras.ops.log(1 - safe)
        if imbalance == "focal":
            right, wrong = right * (1 - safe) ** FOCUS, wrong * safe**FOCUS
        terms = positive * truth * right
        if negative is None:
            return -keras.ops.sum(terms, axis=-1)
        return -keras.ops.mean(terms + negative * (1 - truth) * wrong, axis=-1)

    return loss


def _balanced(images: int, classes: int, counts: np.ndarray) -> np.ndarray:
    return np.where(counts > 0, images / (classes * np.maximum(counts, 1)), 0).astype(np.float32)
