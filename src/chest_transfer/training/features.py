"""Features of a frozen backbone, computed once for each radiograph, so that heads train in seconds."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from chest_transfer.data.arrays import Arrays, write_arrays
from chest_transfer.data.degradations import degrade_at_random
from chest_transfer.files import atomic_write
from chest_transfer.networks.classifier import pooled_backbone
from chest_transfer.training.augmentation import augmentation_layers
from chest_transfer.training.batches import Batches
from chest_transfer.training.determinism import reseed
from chest_transfer.training.fused_norm import fold_batch_norms

if TYPE_CHECKING:
    from chest_transfer.settings import Embed


def feature_extractor(backbone, fused_batch_norm: bool):
    """Return a fast copy of a frozen backbone: from gray levels (N, H, W, 1) 0-255 to features (N, C) float32."""
    return fold_batch_norms(pooled_backbone(backbone), fused_batch_norm)


def embed(network, arrays: Arrays, path: Path, settings: "Embed", views: int, seed: int) -> None:
    """Write the features of a split, and those of augmented views of it; memory does not grow with its size.

    Args:
        network: a `feature_extractor`.
        arrays: Arrays of the split.
        path: Path of the npz file of `Features` to write.
        settings: section `embed` of the settings: batch_size and augmentation.
        views: int, augmented views of each radiograph beside itself.
        seed: int, of the augmentation.
    """
    shape = (1 + views, len(arrays.labels), network.output_shape[-1])
    batches = _feature_batches(network, arrays, settings, views, seed)
    with atomic_write(path) as aside:
        write_arrays(aside, "features", "float32", shape, batches, **arrays.columns)


def _feature_batches(network, arrays: Arrays, settings: "Embed", views: int, seed: int) -> Iterator[np.ndarray]:
    batches = Batches(arrays, settings.batch_size)
    layers = augmentation_layers(settings.augmentation, seed) if views else []
    total = (1 + views) * len(arrays.labels)
    with tqdm(total=total, unit=" radiographs", desc="embed", leave=False, disable=None) as progress:
        for view in range(1 + views):
            reseed((variable for layer in layers for variable in layer.variables), seed, view)
            for index in range(len(batches)):
                images = batches[index][0]
                if view and settings.augmentation.degrade:
                    rng, augmentation = np.random.default_rng([seed, view, index]), settings.augmentation
                    images = degrade_at_random(images[..., 0], augmentation.degrade, augmentation.degraded_share, rng)[
                        ..., np.newaxis
                    ]
                images = images.astype(np.float32)
                for layer in layers if view else ():
                    images = layer(images, training=True)
                yield network.predict_on_batch(images)
                progress.update(len(images))
