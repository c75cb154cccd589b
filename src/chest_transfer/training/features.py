"""Features: what a frozen backbone makes of each radiograph, worked out once, so that heads train in seconds."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from chest_transfer.data.arrays import Arrays, write_arrays
from chest_transfer.networks.classifier import pooled_backbone
from chest_transfer.training.augmentation import augmentation_layers
from chest_transfer.training.batches import Batches
from chest_transfer.training.determinism import reseed
from chest_transfer.training.fused_norm import folded


def embedder(backbone):
    """A frozen backbone made quick: from grey pixels (N, H, W, 1) 0-255 to features (N, c) float32."""
    return folded(pooled_backbone(backbone))


def embed(network, arrays: Arrays, path: Path, batch_size: int, views: int, augmentation, seed: int) -> None:
    """Run a frozen backbone once over a split, and once more for each augmented view; memory stays flat.

    Args:
        network: an `embedder`.
        arrays: the split.
        path: the npz file of `Features` to write.
        batch_size: radiographs.
        views: augmented ones beside each radiograph as it is.
        augmentation: how they differ; as in `augmentation_layers`.
        seed: another one, other views.
    """
    columns = {name: getattr(arrays, name) for name in ("labels", "patients", "names", "classes")}
    shape = (1 + views, len(arrays.labels), network.output_shape[-1])
    batches = _batches(network, arrays, batch_size, views, augmentation, seed)
    write_arrays(path, "features", "float32", shape, batches, **columns)


def _batches(network, arrays: Arrays, batch_size: int, views: int, augmentation, seed: int) -> Iterator[np.ndarray]:
    plain = Batches(arrays, batch_size)
    layers = augmentation_layers(augmentation, seed) if views else []
    with tqdm(total=(1 + views) * len(arrays.labels), unit=" radiographs", desc="embed", leave=False) as progress:
        for view in range(1 + views):
            reseed((variable for layer in layers for variable in layer.variables), seed, view)
            for index in range(len(plain)):
                images = plain[index][0].astype(np.float32)
                for layer in layers if view else ():
                    images = layer(images, training=True)
                yield network.predict_on_batch(images)
                progress.update(len(images))
