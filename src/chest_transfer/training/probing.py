"""Probes: a head trained on stored features becomes a whole model, and predicts from them as that model does."""

import keras
import numpy as np
import pandas as pd

from chest_transfer.data.arrays import Arrays, Features
from chest_transfer.errors import ChestTransferError
from chest_transfer.networks.classifier import build_classifier, head_of
from chest_transfer.training.batches import Batches
from chest_transfer.training.checkpoints import Checkpoints
from chest_transfer.training.fitting import fit

CHECKED = 16  # radiographs on which stored features are held against the whole model
FARTHEST = {"float32": 2e-3, "bfloat16": 0.05}  # between probabilities by the two ways, by the backbone's precision


def probe(
    backbone: keras.Model,
    train: Features,
    val: Features,
    settings,
    multi_label: bool,
    seed: int,
    checkpoints: Checkpoints,
) -> tuple[keras.Model, pd.DataFrame]:
    """Train a head on a frozen backbone's features.

    Args:
        backbone: whose features they are; it does not run.
        train, val, multi_label, seed, checkpoints: as of `fitting.fit`.
        settings: those of `fitting.fit`, head, learning_rate and standardize.

    Returns:
        (whole classifier, from grey pixels (N, H, W, 1) 0-255 to probabilities; history).
    """
    scales = scales_of(train) if settings.standardize else None
    classifier = build_classifier(backbone, settings.head, len(train.classes), multi_label, scales)
    return classifier, fit(
        head_of(classifier), train, val, settings, settings.learning_rate, multi_label, seed, checkpoints
    )


def scales_of(features: Features) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance (c,) float64 of each feature over the radiographs as they are; no variance is near 0.

    Features of a random backbone are a hundred times smaller than ImageNet's: one learning rate cannot serve both.
    """
    plain = features.features[0]
    mean, variance = plain.mean(axis=0, dtype=np.float64), plain.var(axis=0, dtype=np.float64)
    return mean, np.maximum(variance, 1e-3 * variance.mean() + 1e-12)


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
