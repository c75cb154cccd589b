"""Features: what a frozen backbone makes of each radiograph, worked out once, so that heads train in seconds."""

from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from chest_transfer.data.arrays import Arrays, Features, write_arrays
from chest_transfer.errors import ChestTransferError
from chest_transfer.networks.classifier import head_of, pooled_backbone
from chest_transfer.training.augmentation import augmentation_layers
from chest_transfer.training.batches import Batches

CHECKED = 16  # radiographs on which stored features are held against the whole model
FARTHEST = 2e-3  # between probabilities by the two ways


def embed(backbone, arrays: Arrays, path: Path, batch_size: int, views: int, augmentation, seed: int) -> None:
    """Run a frozen backbone once over a split, and once more for each augmented view; memory stays flat.

    Args:
        backbone: from grey pixels (N, H, W, 1) 0-255 to feature maps.
        arrays: the split.
        path: the npz file of `Features` to write.
        batch_size: radiographs.
        views: augmented ones beside each radiograph as it is.
        augmentation: how they differ; as in `augmentation_layers`.
        seed: another one, other views.
    """
    network = pooled_backbone(backbone)
    columns = {name: getattr(arrays, name) for name in ("labels", "patients", "names", "classes")}
    shape = (1 + views, len(arrays.labels), network.output_shape[-1])
    batches = _batches(network, arrays, batch_size, views, augmentation, seed)
    write_arrays(path, "features", "float32", shape, batches, **columns)


def _batches(network, arrays: Arrays, batch_size: int, views: int, augmentation, seed: int) -> Iterator[np.ndarray]:
    plain = Batches(arrays, batch_size)
    layers = augmentation_layers(augmentation, seed) if views else []
    with tqdm(total=(1 + views) * len(arrays.labels), unit=" radiographs", desc="embed", leave=False) as progress:
        for view in range(1 + views):
            chance = np.random.default_rng([seed, view])
            for variable in (variable for layer in layers for variable in layer.variables):
                variable.assign(chance.integers(2**32, size=variable.shape, dtype=np.uint32))
            for index in range(len(plain)):
                images = plain[index][0].astype(np.float32)
                for layer in layers if view else ():
                    images = layer(images, training=True)
                yield network.predict_on_batch(images)
                progress.update(len(images))


def scales_of(features: Features) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance (c,) float64 of each feature over the radiographs as they are; no variance is near 0.

    Features of a random backbone are a hundred times smaller than ImageNet's: one learning rate cannot serve both.
    """
    plain = features.features[0]
    mean, variance = plain.mean(axis=0, dtype=np.float64), plain.var(axis=0, dtype=np.float64)
    return mean, np.maximum(variance, 1e-3 * variance.mean() + 1e-12)


def predicted(classifier, arrays: Arrays, features: Features, batch_size: int) -> np.ndarray:
    """A saved probe's probabilities (N, K), from stored features; some are held against the whole model.

    Raises:
        ChestTransferError: the features are not those of the model's backbone.
    """
    few = np.linspace(0, len(arrays.labels) - 1, min(CHECKED, len(arrays.labels))).astype(int)
    head = head_of(classifier)
    probabilities = head.predict(Batches(features, batch_size), verbose=0)
    whole = keras.ops.convert_to_numpy(classifier(arrays.inputs(few).astype(np.float32)))
    if (away := float(np.abs(whole - probabilities[few]).max())) > FARTHEST:
        raise ChestTransferError(
            f"the stored features give probabilities up to {away:.4f} off the model's own (allowed: {FARTHEST}); "
            "embed again: dvc repro -f embed"
        )
    return probabilities
