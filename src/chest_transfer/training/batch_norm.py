"""Batch-norm statistics, estimated from training images before each validation, and so in every saved model.

Keras' backbones average slowly (MobileNetV2: momentum 0.999), and on small sets even a fast average lags behind weights
that still change: the model then validates at chance while it trains well, and the wrong epoch counts as the best.
Source: precise batch norm, Wu and Johnson 2021, arXiv 2105.07576.
"""

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
        import tensorflow as tf

        norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
        self._norms = [layer for layer in norms if layer.trainable]
        self._batches = batches
        self._images = int(np.clip(images * SHARE, FEWEST_IMAGES, MOST_IMAGES))
        if self._norms:
            signature = [tf.TensorSpec((None, *network.input_shape[1:]), tf.float32)]
            self._forward = tf.function(lambda inputs: network(inputs, training=True), input_signature=signature)

    def estimate(self) -> None:
        """Set each mean and variance to those of all the images of the estimate together."""
        if not self._norms:
            return
        momenta = [layer.momentum for layer in self._norms]
        for layer in self._norms:
            layer.momentum = 0.0  # the moving averages are then those of the last batch
        count, mean_sums, square_sums = 0, [0.0] * len(self._norms), [0.0] * len(self._norms)
        for index in range(len(self._batches)):
            inputs, _ = self._batches[index]
            self._forward(inputs.astype(np.float32))
            count += len(inputs)
            for number, layer in enumerate(self._norms):
                mean = np.asarray(layer.moving_mean, dtype=np.float64)
                variance = np.asarray(layer.moving_variance, dtype=np.float64)
                mean_sums[number] += len(inputs) * mean
                square_sums[number] += len(inputs) * (variance + mean**2)
            if count >= self._images:
                break
        for layer, momentum, mean_sum, square_sum in zip(self._norms, momenta, mean_sums, square_sums, strict=True):
            mean = mean_sum / count
            layer.momentum = momentum
            layer.moving_mean.assign(mean)
            layer.moving_variance.assign(np.maximum(square_sum / count - mean**2, 0))
