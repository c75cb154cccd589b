"""Probes: how features are standardized for a head, and a probe's predictions from stored features."""

import numpy as np

from chest_transfer.data.arrays import Arrays, Features
from chest_transfer.errors import ChestTransferError
from chest_transfer.networks.classifier import head_of, logits_network
from chest_transfer.training.batches import Batches

IMAGES_COMPARED = 16  # on which predictions from features are compared with those of the whole network
PREDICTION_BATCH = 1024
SMALLEST_VARIANCE = 1e-3  # of a feature, as a fraction of the mean variance
# Largest difference allowed between the probabilities of both, by the precision of the backbone.
TOLERANCE = {"float32": 2e-3, "bfloat16": 0.05}


def feature_moments(features: Features) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance (C,) float64 of each feature over the radiographs without augmentation.

    Features of a random backbone are much smaller than those of ImageNet (MobileNetV2's by twelve orders of magnitude):
    one learning rate cannot serve both. Variances are bounded from below, so that a feature that hardly varies is not
    amplified; if no feature varies, all have variance 1.
    """
    unchanged = features.features[0] if features.rows is None else features.inputs(np.arange(len(features.labels)))
    mean, variance = unchanged.mean(axis=0, dtype=np.float64), unchanged.var(axis=0, dtype=np.float64)
    if not variance.any():
        return mean, np.ones_like(variance)
    return mean, np.maximum(variance, SMALLEST_VARIANCE * variance.mean())


def logits_from_features(classifier, arrays: Arrays, features: Features) -> np.ndarray:
    """Return a saved probe's logits (N, K) from stored features, compared with the whole network on a few images.

    Args:
        classifier: Keras model with a head on averaged features.
        arrays: Arrays of the split.
        features: Features of the same split.

    Raises:
        ChestTransferError: the features are not those of the model's backbone.
    """
    rows = np.linspace(0, len(arrays.labels) - 1, min(IMAGES_COMPARED, len(arrays.labels))).astype(int)
    from_images = logits_network(classifier).predict_on_batch(arrays.inputs(rows).astype(np.float32))
    logits = head_of(classifier).predict(Batches(features, PREDICTION_BATCH), verbose=0)
    activation = classifier.layers[-1]
    difference = float(np.abs(np.asarray(activation(from_images)) - np.asarray(activation(logits[rows]))).max())
    allowed = TOLERANCE[classifier.layers[1].compute_dtype]
    if difference > allowed:
        raise ChestTransferError(
            f"the stored features give probabilities up to {difference:.4f} from the model's own (allowed: {allowed}); "
            "compute them again: dvc repro -f embed"
        )
    return logits
