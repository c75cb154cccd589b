"""Batch-norm statistics, estimated from training images before each validation, and so in every saved model.

Keras' backbones average slowly (MobileNetV2: momentum 0.999), and on small sets even a fast average lags behind weights
that still change: the model then validates at chance while it trains well, and the wrong epoch counts as the best.
Source: precise batch norm, Wu and Johnson 2021, arXiv 2105.07576.
"""

from collections.abc import Callable

import keras
import numpy as np

from chest_transfer.training.batches import Batches

# Images of an estimate: an eighth of the training set, within these bounds, so that it stays cheap beside an epoch.
FEWEST_IMAGES, MOST_IMAGES, SHARE = 128, 512, 1 / 8


class BatchNormStatistics:
    """Estimates the means and variances of a network's batch norms.

    Args:
        network: Keras model whose batch norms are updated in place, frozen ones excepted.
        batches: Batches of (images, targets), shuffled and without augmentation.
        images: int, of the training set.
    """

    def __init__(self, network: keras.Model, batches: Batches, images: int):
        norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
        self._norms = [layer for layer in norms if layer.trainable]
        self._batches = batches
        self._images = int(np.clip(images * SHARE, FEWEST_IMAGES, MOST_IMAGES))
        self._forward = training_mode(network) if self._norms else None

    def estimate(self) -> None:
        """Set each mean and variance to those of all the images of the estimate together."""
        if self._norms:
            statistics = image_statistics(self._forward, self._norms, self._batches, self._images)
            for layer, (mean, variance) in zip(self._norms, statistics, strict=True):
                layer.moving_mean.assign(mean)
                layer.moving_variance.assign(variance)


def training_mode(network: keras.Model) -> Callable:
    """Return a traced function from gray levels (N, H, W, 1) float32 that runs a network as training does."""
    import tensorflow as tf

    signature = [tf.TensorSpec((None, *network.input_shape[1:]), tf.float32)]
    return tf.function(lambda inputs: network(inputs, training=True), input_signature=signature)


def image_statistics(
    forward: Callable, norms: list[keras.layers.BatchNormalization], batches: Batches, images: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the mean and the variance (C,) float64 of the inputs of each batch norm, over at least so many images.

    The layers keep their momentum; their moving averages are left as those of the last batch.

    Args:
        forward: function of `training_mode`.
        norms: list of batch norms of that network, trainable ones.
        batches: Batches of (images, targets).
        images: int, after which the estimate ends.
    """
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0  # the moving averages are then those of the last batch
    count, mean_sums, square_sums = 0, [0.0] * len(norms), [0.0] * len(norms)
    for index in range(len(batches)):
        inputs, _ = batches[index]
        forward(inputs.astype(np.float32))
        count += len(inputs)
        for number, layer in enumerate(norms):
            mean = np.asarray(layer.moving_mean, dtype=np.float64)
            variance = np.asarray(layer.moving_variance, dtype=np.float64)
            mean_sums[number] += len(inputs) * mean
            square_sums[number] += len(inputs) * (variance + mean**2)
        if count >= images:
            break
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
    means = [total / count for total in mean_sums]
    return [
        (mean, np.maximum(square_sum / count - mean**2, 0)) for mean, square_sum in zip(means, square_sums, strict=True)
    ]
