"""Batch norm: its averages estimated anew from training images before each validation, and so in every saved model.

Keras' backbones average slowly (MobileNetV2: momentum 0.999), and on small sets even a fast average lags behind weights
that still change: the model then validates at chance while it trains well, and the wrong epoch counts as the best.
Source: precise batch norm, arXiv 2105.07576.
"""

import keras
import numpy as np

from chest_transfer.training.batches import Batches

MOST_IMAGES = 512  # the estimate gains little from more, and its cost stays small beside an epoch


class BatchNormStatistics:
    """Estimates the means and variances of a model's batch norms.

    Args:
        model: whose batch norms are updated in place, but for frozen ones.
        batches: of (images, targets), shuffled and without augmentation; the first `MOST_IMAGES` or so are used.
    """

    def __init__(self, model: keras.Model, batches: Batches):
        import tensorflow as tf

        norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
        self._norms = [layer for layer in norms if layer.trainable]
        self._batches = batches
        signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)]
        self._forward = tf.function(lambda images: model(images, training=True), input_signature=signature)

    def estimate(self) -> None:
        """Set each mean and variance to those of all the batches together."""
        if not self._norms:
            return
        momenta = [layer.momentum for layer in self._norms]
        for layer in self._norms:
            layer.momentum = 0.0  # the moving averages are then those of the last batch
        count, means, squares = 0, [0.0] * len(self._norms), [0.0] * len(self._norms)
        for index in range(len(self._batches)):
            images, _ = self._batches[index]
            self._forward(images.astype(np.float32))
            count += len(images)
            for number, layer in enumerate(self._norms):
                mean = np.asarray(layer.moving_mean, dtype=np.float64)
                means[number] += len(images) * mean
                squares[number] += len(images) * (np.asarray(layer.moving_variance, dtype=np.float64) + mean**2)
            if count >= MOST_IMAGES:
                break
        for layer, momentum, mean, square in zip(self._norms, momenta, means, squares, strict=True):
            layer.momentum = momentum
            layer.moving_mean.assign(mean / count)
            layer.moving_variance.assign(np.maximum(square / count - (mean / count) ** 2, 0))
