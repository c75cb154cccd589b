"""Batches read from memory-mapped arrays, in an order that depends on the seed and the epoch alone."""

from typing import TYPE_CHECKING

import keras
import numpy as np

from chest_transfer.data.arrays import UNKNOWN, Arrays, Features
from chest_transfer.data.degradations import degrade_at_random
from chest_transfer.data.splits import rarest_label

if TYPE_CHECKING:
    from chest_transfer.settings import Augmentation


class Batches(keras.utils.PyDataset):
    """Batches of (images (n, H, W, 1) uint8 or features (n, C) float32, targets (n, K) float32) for a Keras model.

    Args:
        arrays: Arrays or Features of one split.
        batch_size: int, images; the last batch holds the rest.
        seed: int, to shuffle in each epoch; None keeps the order of the arrays.
        epoch: int, the first epoch, so that a resumed training goes on with the same order.
        probabilities: (N,) array, with which images are drawn, with replacement; None draws each once.
        augmentation: section `augmentation` of the settings, of which `degrade` is done here; None for none.
        mixup: float, inputs are mixed with others by shares of a Beta distribution with this parameter; 0 for none.
    """

    def __init__(
        self,
        arrays: Arrays | Features,
        batch_size: int,
        seed: int | None = None,
        epoch: int = 0,
        probabilities: np.ndarray | None = None,
        augmentation: "Augmentation | None" = None,
        mixup: float = 0.0,
    ):
        super().__init__()
        self._probabilities, self._augmentation, self._mixup = probabilities, augmentation, mixup
        self._arrays, self._targets = arrays, arrays.targets
        self._batch_size, self._seed, self._epoch = batch_size, seed, epoch
        self._rows = self._rows_of_epoch()

    def __len__(self) -> int:
        return -(-len(self._targets) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self._rows[index * self._batch_size : (index + 1) * self._batch_size]
        rng = None if self._seed is None else np.random.default_rng([self._seed, self._epoch, index])
        inputs, targets = self._arrays.inputs(rows, rng), self._targets[rows]
        if self._augmentation and self._augmentation.degrade:
            strengths, share = self._augmentation.degrade, self._augmentation.degraded_share
            inputs = degrade_at_random(inputs[..., 0], strengths, share, rng)[..., np.newaxis]
        return mix(inputs, targets, self._mixup, rng) if self._mixup else (inputs, targets)

    def on_epoch_end(self) -> None:
        self._epoch += 1
        self._rows = self._rows_of_epoch()

    def _rows_of_epoch(self) -> np.ndarray:
        rows = np.arange(len(self._targets))
        if self._seed is None:
            return rows
        rng = np.random.default_rng([self._seed, self._epoch])
        if self._probabilities is None:
            return rng.permutation(rows)
        return rng.choice(rows, len(rows), p=self._probabilities)


def mix(
    images: np.ndarray, targets: np.ndarray, mixup: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return images and targets, each mixed with another one's of the batch (mixup; Zhang et al. 2018).

    A label that is unknown of one of two images is unknown of the mixture.

    Args:
        images: (n, ...) array of images or features.
        targets: (n, K) float32 array.
        mixup: float, the parameter of the symmetric Beta distribution of the shares.
        rng: random generator.
    """
    others = rng.permutation(len(images))
    share = rng.beta(mixup, mixup, (len(images), 1)).astype(np.float32)
    of_image = share.reshape(-1, *[1] * (images.ndim - 1))
    mixed = of_image * images + (1 - of_image) * images[others]
    of_others = targets[others]
    of_mixed = share * targets + (1 - share) * of_others
    return mixed, np.where((targets == UNKNOWN) | (of_others == UNKNOWN), np.float32(UNKNOWN), of_mixed)


def sampling_probabilities(arrays: Arrays | Features, balance_classes: bool) -> np.ndarray | None:
    """Return (N,) the probability with which each image is drawn; None where all are equal.

    The datasets of a pool are drawn equally often, and on request the classes of each dataset, too. An image with
    several labels counts for its rarest.

    Args:
        arrays: Arrays or Features of the training split.
        balance_classes: bool.
    """
    if arrays.sources is None and not balance_classes:
        return None
    probabilities = np.zeros(len(arrays.names))
    sources = np.zeros(len(arrays.names)) if arrays.sources is None else arrays.sources
    for source in np.unique(sources):
        rows = np.flatnonzero(sources == source)
        labels = arrays.labels[rows]
        strata = rarest_label(labels) if labels.ndim == 2 else labels
        _, stratum, counts = np.unique(strata, return_inverse=True, return_counts=True)
        probabilities[rows] = 1 / counts[stratum] / len(counts) if balance_classes else 1 / len(rows)
    return probabilities / len(np.unique(sources))
