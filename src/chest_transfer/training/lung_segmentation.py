"""Training of the network that finds lungs: on simulated radiographs, moved and degraded more than real ones are."""

from typing import TYPE_CHECKING

import keras
import numpy as np

from chest_transfer.data.degradations import degrade_at_random
from chest_transfer.data.regions import MASK_SIDE, SIDE
from chest_transfer.networks.lung_network import LungNetwork, build_lung_network

if TYPE_CHECKING:
    from chest_transfer.settings import Lungs

BATCH, LEARNING_RATE = 32, 2e-3
HOLD_OUT_EVERY = 10
# The largest strengths: beyond what hospitals do to a radiograph, because the simulated ones are much alike.
DEGRADATIONS = {
    "blur": 0.02, "sharpen": 6.0, "noise": 20.0, "gamma": 1.0, "contrast": 0.6, "histogram": 1.0, "jpeg": 80.0,
    "resample": 3.0, "border": 0.12, "letter": 0.12,
}  # fmt: skip
DEGRADED_SHARE = 0.8
ROTATION, SHIFT, ZOOM = 12 / 360, 0.1, 0.25  # of a turn, of the side


def train_lung_network(
    images: np.ndarray, masks: np.ndarray, settings: "Lungs", seed: int
) -> tuple[LungNetwork, dict[str, float]]:
    """Train the network on radiographs whose lungs are known, all but every tenth.

    Args:
        images: (N, SIDE, SIDE) uint8 array.
        masks: (N, MASK_SIDE, MASK_SIDE) uint8 array, 255 on lung.
        settings: section `lungs` of the settings.
        seed: int.

    Returns:
        The network, and its Dice coefficients on the radiographs that it was not trained on: the mean, and what one in
        twenty falls below.
    """
    held_out = np.arange(len(images)) % HOLD_OUT_EVERY == HOLD_OUT_EVERY - 1
    network, batches = build_lung_network(), _Batches(images[~held_out], masks[~held_out], seed)
    trainer = _behind_random_moves(network, seed)
    rates = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, settings.epochs * len(batches))
    trainer.compile(optimizer=keras.optimizers.Adam(rates), loss=_loss)
    trainer.fit(batches, epochs=settings.epochs, shuffle=False, verbose=2)
    trained = LungNetwork(network)
    scores = dice(trained.masks(images[held_out]) > 0.5, masks[held_out] > 127)
    return trained, {
        "dice": round(float(scores.mean()), 4),
        "dice_of_twentieth": round(float(np.quantile(scores, 0.05)), 4),
        "held_out": int(held_out.sum()),
    }


def dice(masks: np.ndarray, true_masks: np.ndarray) -> np.ndarray:
    """Return the Dice coefficient of each pair of masks (N, H, W) bool, which is 1 where both are empty."""
    overlap, total = (masks & true_masks).sum(axis=(1, 2)), masks.sum(axis=(1, 2)) + true_masks.sum(axis=(1, 2))
    return np.where(total > 0, 2 * overlap / np.maximum(total, 1), 1.0)


class _Batches(keras.utils.PyDataset):
    """Batches of (radiograph and mask (n, SIDE, SIDE, 2) float32 0-255, zeros (n,): the mask is among the inputs)."""

    def __init__(self, images: np.ndarray, masks: np.ndarray, seed: int):
        super().__init__()
        self._images, self._masks, self._seed, self._epoch = images, masks, seed, 0

    def __len__(self) -> int:
        return -(-len(self._images) // BATCH)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = np.random.default_rng([self._seed, self._epoch]).permutation(len(self._images))
        rows = rows[index * BATCH : (index + 1) * BATCH]
        rng = np.random.default_rng([self._seed, self._epoch, index])
        images = degrade_at_random(self._images[rows], DEGRADATIONS, DEGRADED_SHARE, rng)
        masks = self._masks[rows].repeat(SIDE // MASK_SIDE, axis=1).repeat(SIDE // MASK_SIDE, axis=2)
        return np.stack([images, masks], axis=-1).astype(np.float32), np.zeros(len(rows), np.float32)

    def on_epoch_end(self) -> None:
        self._epoch += 1


def _behind_random_moves(network: keras.Model, seed: int) -> keras.Model:
    """Return a model from radiographs with masks, moved together, to (N, MASK_SIDE, MASK_SIDE, 2): logits and mask."""
    layers, edge = keras.layers, {"fill_mode": "constant", "fill_value": 0.0}
    inputs = moved = keras.Input((SIDE, SIDE, 2))
    for layer in (
        layers.RandomFlip("horizontal", seed=seed),
        layers.RandomRotation(ROTATION, seed=seed + 1, **edge),
        layers.RandomTranslation(SHIFT, SHIFT, seed=seed + 2, **edge),
        layers.RandomZoom((-ZOOM, ZOOM), (-ZOOM, ZOOM), seed=seed + 3, **edge),
    ):
        moved = layer(moved)
    masks = layers.AveragePooling2D(SIDE // MASK_SIDE)(moved[..., 1:] / 255)
    return keras.Model(inputs, layers.Concatenate()([network(moved[..., :1]), masks]))


def _loss(_, outputs):
    """Return binary cross-entropy plus 1 - soft Dice (Milletari et al. 2016) of logits and masks in one tensor."""
    ops = keras.ops
    logits, masks = outputs[..., 0], outputs[..., 1]
    probabilities, pixels = ops.sigmoid(logits), (1, 2)
    overlap = ops.sum(probabilities * masks, axis=pixels)
    total = ops.sum(probabilities, axis=pixels) + ops.sum(masks, axis=pixels)
    cross_entropy = ops.mean(ops.binary_crossentropy(masks, logits, from_logits=True), axis=pixels)
    return cross_entropy + 1 - (2 * overlap + 1) / (total + 1)
