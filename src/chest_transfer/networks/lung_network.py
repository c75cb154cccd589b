"""The network that finds the lungs: a small U-Net, trained on simulated radiographs, whose true lungs are known.

Source: Ronneberger et al. 2015, arXiv 1505.04597. Here small, because it only has to place a box.
"""

import keras
import numpy as np

from chest_transfer.data.regions import SIDE
from chest_transfer.errors import ChestTransferError

CHANNELS = (16, 24, 32, 48, 64)  # at 1/2, 1/4 ... 1/32 of the side
GROUPS = 8  # of group norm, which needs no averages of radiographs: those of simulated ones would not hold
BATCH = 32


def build_lung_network() -> keras.Model:
    """Return the network from gray levels (N, SIDE, SIDE, 1) 0-255 to logits (N, MASK_SIDE, MASK_SIDE, 1)."""
    layers = keras.layers
    inputs = keras.Input((SIDE, SIDE, 1))
    # Each radiograph with mean 0 and standard deviation 1: exposure does not count.
    features = layers.LayerNormalization(axis=(1, 2, 3), center=False, scale=False, epsilon=1.0)(inputs)
    skipped = []
    for channels in CHANNELS:
        features = _convolved(features, channels, strides=2)
        features = _convolved(features, channels)
        skipped.append(features)
    for channels, skip in zip(CHANNELS[-2::-1], skipped[-2::-1], strict=True):
        features = layers.UpSampling2D(interpolation="bilinear")(features)
        features = _convolved(layers.Concatenate()([features, skip]), channels)
    return keras.Model(inputs, layers.Conv2D(1, 1, dtype="float32")(features), name="lungs")


class LungNetwork:
    """A trained network, ready to find lungs.

    Args:
        network: Keras model of `build_lung_network`, trained.
    """

    def __init__(self, network: keras.Model):
        self._network = network

    @classmethod
    def of_arrays(cls, arrays: dict[str, np.ndarray]) -> "LungNetwork":
        """Return the network of weights as `arrays` returns them.

        Raises:
            ChestTransferError: they are not such weights.
        """
        network = build_lung_network()
        try:
            network.set_weights([arrays[name] for name in sorted(arrays)])
        except ValueError as error:
            raise ChestTransferError(
                f"not the weights of the network that finds lungs: {str(error).splitlines()[0]}; run: dvc repro"
            ) from None
        return cls(network)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the weights by number, in the order of Keras."""
        return {f"{number:02d}": array for number, array in enumerate(self._network.get_weights())}

    def masks(self, images: np.ndarray) -> np.ndarray:
        """Return the probability of lung (N, MASK_SIDE, MASK_SIDE) float32 in radiographs (N, SIDE, SIDE) uint8."""
        logits = [
            self._network.predict_on_batch(images[start : start + BATCH, ..., np.newaxis].astype(np.float32))
            for start in range(0, len(images), BATCH)
        ]
        return np.asarray(keras.ops.sigmoid(np.concatenate(logits)[..., 0]))


def _convolved(features, channels: int, strides: int = 1):
    layers = keras.layers
    features = layers.Conv2D(channels, 3, strides=strides, padding="same", use_bias=False)(features)
    features = layers.GroupNormalization(GROUPS)(features)
    return layers.Activation("relu")(features)
