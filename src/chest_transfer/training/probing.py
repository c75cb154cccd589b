"""Probes: how stored features are scaled for a head, and predictions from them that are the whole model's."""

import numpy as np

from chest_transfer.data.arrays import Arrays, Features
from chest_transfer.errors import ChestTransferError
from chest_transfer.networks.classifier import head_of
from chest_transfer.training.batches import Batches

CHECKED = 16  # radiographs on which stored features are held against the whole model
FARTHEST = {"float32": 2e-3, "bfloat16": 0.05}  # between probabilities by the two ways, by the backbone's precision


def scales_of(features: Features) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance (c,) float64 of each feature over the radiographs as they are; no variance is near 0.

    Features of a random backbone are much smaller than ImageNet's (MobileNetV2's by twelve orders of magnitude): one
    learning rate cannot serve both. What hardly varies beside the others is not blown up; what never does counts as 1.
    """
    plain = features.features[0]
    mean, variance = plain.mean(axis=0, dtype=np.float64), plain.var(axis=0, dtype=np.float64)
    return mean, np.maximum(variance, 1e-3 * variance.mean()) if variance.any() else np.ones_like(variance)


def predicted(classifier, arrays: Arrays, features: Features) -> np.ndarray:
    """A saved probe's probabilities (N, K), from stored features; some are held against the whole model.

    Raises:
        ChestTransferError: the features are not those of the model's backbone.
    """
    few = np.linspace(0, len(arrays.labels) - 1, min(CHECKED, len(arrays.labels))).astype(int)
    head = head_of(classifier)
    probabilities = head.predict(Batches(features, 1024), verbose=0)
    whole = classifier.predict_on_batch(arrays.inputs(few).astype(np.float32))
    away, allowed = float(np.abs(whole - probabilities[few]).max()), FARTHEST[classifier.layers[1].compute_dtype]
    if away > allowed:
        raise ChestTransferError(
            f"the stored features give probabilities up to {away:.4f} off the model's own (allowed: {allowed}); "
            "embed again: dvc repro -f embed"
        )
    return probabilities
