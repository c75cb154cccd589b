"""Cross-entropy with a weight for each class, so that a rare class counts as much as a common one."""

from collections.abc import Callable

import keras
import numpy as np


def crossentropy(targets: np.ndarray, multi_label: bool, weighted: bool) -> Callable:
    """The loss for targets (n, K) of 0 or 1 and probabilities (n, K): a function to (n,).

    Weights are `balanced`, as in scikit-learn: the number of images over classes times images of the class; for
    multi-label, presence and absence of each finding are weighed as two classes. A class without images weighs nothing.

    Args:
        targets: (N, K) of the whole training set, to count classes.
        multi_label: the mean of K binary cross-entropies, else one categorical one.
        weighted: False weighs all alike.
    """
    present = targets.sum(axis=0)
    negative = None
    if multi_label:
        positive, negative = _balanced(len(targets), 2, present), _balanced(len(targets), 2, len(targets) - present)
    else:
        positive = _balanced(len(targets), np.count_nonzero(present), present)
    if not weighted:
        positive, negative = np.ones_like(positive), None if negative is None else np.ones_like(negative)

    def loss(truth, probabilities):
        safe = keras.ops.clip(probabilities, 1e-7, 1 - 1e-7)
        terms = positive * truth * keras.ops.log(safe)
        if negative is None:
            return -keras.ops.sum(terms, axis=-1)
        return -keras.ops.mean(terms + negative * (1 - truth) * keras.ops.log(1 - safe), axis=-1)

    return loss


def _balanced(images: int, classes: int, counts: np.ndarray) -> np.ndarray:
    return np.where(counts > 0, images / (classes * np.maximum(counts, 1)), 0).astype(np.float32)
