"""Batch norm: its moving averages re-estimated over the training set once the weights are final.

Keras' backbones average slowly (MobileNetV2: momentum 0.999), so after a short training from random weights the
averages still hold where they began, and the model predicts at chance. Source: precise batch norm, arXiv 2105.07576.
"""

import keras
import numpy as np


def set_momentum(model: keras.Model, momentum: float) -> None:
    """Let every batch norm of the model average with this momentum; call it before the model is compiled."""
    for layer in _batch_norms(model):
        layer.momentum = momentum


def reestimate(model: keras.Model, batches: keras.utils.PyDataset) -> None:
    """Set each batch norm's mean and variance to those of all the batches together.

    Args:
        model: whose weights are final; its batch norms are updated in place.
        batches: of (images, targets), shuffled and without augmentation.
    """
    import tensorflow as tf

    norms = _batch_norms(model)
    if not norms:
        return
    momenta = [layer.momentum for layer in norms]
    set_momentum(model, 0.0)  # the moving averages are then those of the last batch

    # A function of its own, traced now: the momentum is a constant of the graph.
    forward = tf.function(lambda images: model(images, training=True), reduce_retracing=True)
    count, means, squares = 0, [0.0] * len(norms), [0.0] * len(norms)
    for index in range(len(batches)):
        images, _ = batches[index]
        forward(tf.cast(images, tf.float32))
        count += len(images)
        for number, layer in enumerate(norms):
            mean = np.asarray(layer.moving_mean, dtype=np.float64)
            means[number] += len(images) * mean
            squares[number] += len(images) * (np.asarray(layer.moving_variance, dtype=np.float64) + mean**2)
    for layer, momentum, mean, square in zip(norms, momenta, means, squares, strict=True):
        layer.momentum = momentum
        layer.moving_mean.assign(mean / count)
        layer.moving_variance.assign(np.maximum(square / count - (mean / count) ** 2, 0))


def _batch_norms(model: keras.Model) -> list[keras.layers.Layer]:
    return [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
