"""Adapting a network to another hospital's radiographs without labels: their statistics replace those of training.

Batch norms get the averages of the new images (Li et al. 2016, arXiv 1603.04779), mixed with the old ones as if these
were of `SOURCE_IMAGES` images (Schneider et al. 2020, arXiv 2006.16971). A network without batch norm sees gray levels
with the mean and the standard deviation of its training images.
"""

from dataclasses import dataclass

import keras
import numpy as np

from chest_transfer.data.arrays import Arrays
from chest_transfer.errors import ChestTransferError
from chest_transfer.training.batch_norm import image_statistics, training_mode
from chest_transfer.training.batches import Batches

FEWEST_IMAGES = 100
SOURCE_IMAGES = 256
BATCH = 32
PREPROCESSING = "preprocessing"  # the layer that scales gray levels


@dataclass(frozen=True)
class GrayStatistics:
    """The gray levels of the radiographs of a split.

    Args:
        mean: float, of all pixels, 0-255.
        deviation: float, their standard deviation.
    """

    mean: float
    deviation: float


def gray_statistics(arrays: Arrays) -> GrayStatistics:
    """Return the mean and the standard deviation of the gray levels of all pixels."""
    count, total, squares = 0, 0.0, 0.0
    for start in range(0, len(arrays.names), BATCH):
        pixels = arrays.inputs(np.arange(start, min(start + BATCH, len(arrays.names)))).astype(np.float64)
        count, total, squares = count + pixels.size, total + pixels.sum(), squares + (pixels**2).sum()
    mean = total / count
    return GrayStatistics(mean, max(float(np.sqrt(max(squares / count - mean**2, 0))), 1.0))


def adapt_statistics(network, arrays: Arrays, source: GrayStatistics) -> str:
    """Replace a network's statistics by those of radiographs without labels, in place; return what was replaced.

    Args:
        network: Keras model from gray levels (N, H, W, 1) 0-255.
        arrays: Arrays of radiographs, of which only the images are used.
        source: GrayStatistics of the radiographs that the network was trained on.

    Raises:
        ChestTransferError: there are too few radiographs.
    """
    images = len(arrays.names)
    if images < FEWEST_IMAGES:
        raise ChestTransferError(
            f"{images} radiographs are too few to adapt to: statistics of so few do more harm than good (allowed: "
            f"{FEWEST_IMAGES} or more); use the model as it is"
        )
    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    if not norms:
        return _adapt_gray_levels(network.get_layer(PREPROCESSING), gray_statistics(arrays), source)
    kept = SOURCE_IMAGES / (SOURCE_IMAGES + images)
    old = [(np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)) for layer in norms]
    were_trainable = [layer.trainable for layer in norms]
    for layer in norms:
        layer.trainable = True  # a frozen one would stay as it is
    new = image_statistics(training_mode(network), norms, Batches(arrays, BATCH, seed=0), images)
    for layer, was_trainable in zip(norms, were_trainable, strict=True):
        layer.trainable = was_trainable
    for layer, (old_mean, old_variance), (new_mean, new_variance) in zip(norms, old, new, strict=True):
        mean = kept * old_mean + (1 - kept) * new_mean
        square = kept * (old_variance + old_mean**2) + (1 - kept) * (new_variance + new_mean**2)
        layer.moving_mean.assign(mean)
        layer.moving_variance.assign(np.maximum(square - mean**2, 0))
    return f"the averages of {len(norms)} batch norms, to {1 - kept:.0%} those of {images} radiographs"


def _adapt_gray_levels(layer, target: GrayStatistics, source: GrayStatistics) -> str:
    scale = source.deviation / target.deviation
    offset = source.mean - scale * target.mean
    layer.offset = (np.asarray(layer.offset) + np.asarray(layer.scale) * offset).tolist()
    layer.scale = (np.asarray(layer.scale) * scale).tolist()
    return f"gray levels, times {scale:.3f} and {offset:+.1f}, so that their mean and deviation are those of training"
