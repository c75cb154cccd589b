"""Batches read from memory-mapped arrays, in an order that depends on the seed and the epoch alone."""

import keras
import numpy as np

from chest_transfer.data.arrays import Arrays, Features
from chest_transfer.data.splits import rarest_label


class Batches(keras.utils.PyDataset):
    """Batches of (images (n, H, W, 1) uint8 or features (n, C) float32, targets (n, K) float32) for a Keras model.

    Args:
        arrays: Arrays or Features of one split.
        batch_size: int, images; the last batch holds the rest.
        seed: int, to shuffle in each epoch; None keeps the order of the arrays.
        epoch: int, the first epoch, so that a resumed training goes on with the same order.
        balanced: bool, whether to sample with replacement so that every class is equally frequent; an image with
            several labels counts for its rarest.
    """

    def __init__(
        self,
        arrays: Arrays | Features,
        batch_size: int,
        seed: int | None = None,
        epoch: int = 0,
        balanced: bool = False,
    ):
        super().__init__()
        self._sampling_probabilities = _balanced_probabilities(arrays.labels) if balanced else None
        self._arrays, self._targets = arrays, arrays.targets
        self._batch_size, self._seed, self._epoch = batch_size, seed, epoch
        self._rows = self._rows_of_epoch()

    def __len__(self) -> int:
        return -(-len(self._targets) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self._rows[index * self._batch_size : (index + 1) * self._batch_size]
        rng = None if self._seed is None else np.random.default_rng([self._seed, self._epoch, index])
        return self._arrays.inputs(rows, rng), self._targets[rows]

    def on_epoch_end(self) -> None:
        self._epoch += 1
        self._rows = self._rows_of_epoch()

    def _rows_of_epoch(self) -> np.ndarray:
        rows = np.arange(len(self._targets))
        if self._seed is None:
            return rows
        rng = np.random.default_rng([self._seed, self._epoch])
        if self._sampling_probabilities is None:
            return rng.permutation(rows)
        return rng.choice(rows, len(rows), p=self._sampling_probabilities)


def _balanced_probabilities(labels: np.ndarray) -> np.ndarray:
    """Return (N,) the probability of each image with which every class that is present is equally frequent."""
    strata = rarest_label(labels) if labels.ndim == 2 else labels
    _, stratum, counts = np.unique(strata, return_inverse=True, return_counts=True)
    return 1 / counts[stratum] / len(counts)
