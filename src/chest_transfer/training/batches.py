"""Batches straight from memory-mapped arrays, in an order that depends on the seed and the epoch alone."""

import keras
import numpy as np

from chest_transfer.data.arrays import Arrays, Features
from chest_transfer.data.splits import rarest_label


class Batches(keras.utils.PyDataset):
    """Batches of (images (n, H, W, 1) uint8 or features (n, c) float32, targets (n, K) float32) for a Keras model.

    Args:
        arrays: one split.
        batch_size: radiographs; the last batch holds the rest.
        seed: shuffle anew each epoch; None keeps the arrays' order.
        epoch: the first epoch, so that a resumed training goes on with the same order.
        balanced: draw with replacement, each class alike often; an image of several labels counts for its rarest.
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
        self._chances = _alike(arrays.labels) if balanced else None
        self._arrays, self._targets = arrays, arrays.targets
        self._batch_size, self._seed, self._epoch = batch_size, seed, epoch
        self._order = self._ordered()

    def __len__(self) -> int:
        return -(-len(self._targets) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        chance = None if self._seed is None else np.random.default_rng([self._seed, self._epoch, index])
        return self._arrays.inputs(rows, chance), self._targets[rows]

    def on_epoch_end(self) -> None:
        self._epoch += 1
        self._order = self._ordered()

    def _ordered(self) -> np.ndarray:
        rows = np.arange(len(self._targets))
        if self._seed is None:
            return rows
        chance = np.random.default_rng([self._seed, self._epoch])
        return chance.permutation(rows) if self._chances is None else chance.choice(rows, len(rows), p=self._chances)


def _alike(labels: np.ndarray) -> np.ndarray:
    """(N,) the chance of each image, so that each class that there is comes alike often."""
    strata = rarest_label(labels) if labels.ndim == 2 else labels
    _, of, counts = np.unique(strata, return_inverse=True, return_counts=True)
    return 1 / counts[of] / len(counts)
