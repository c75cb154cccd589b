"""Batch norm at full speed: by TensorFlow's fused kernel, or folded into the convolution before it; never in a file.

Keras 3 works out averages, scaling and their gradients one operation at a time, and in 32 bits even in a network of 16.
On CPUs ResNet50 trains 1.3 times as fast with the fused kernel, 1.5 times in bfloat16, and embeds 1.2 times as fast
again when folded (bench/training.py, bench/frozen.py). What is saved is Keras' ordinary layer.
"""

from functools import partial
from types import MethodType

import keras
import numpy as np
import tensorflow as tf


def fuse_batch_norms(model: keras.Model) -> None:
    """Let a model's batch norms use the fused kernel from now on, in place; they learn and answer the same."""
    for layer in _batch_norms(model):
        layer.call = MethodType(_call, layer)


def folded(model: keras.Model) -> keras.Model:
    """A copy of a frozen model that answers the same with less to do.

    Each batch norm that alone follows a convolution without activation is multiplied into its kernel, and what remains
    is an offset; the others use the fused kernel. The copy is to be used and thrown away: its weights are no longer the
    model's.
    """
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    fuse_batch_norms(copy)
    for layer in _batch_norms(copy):
        before = layer.input._keras_history.operation
        alone = type(before) is keras.layers.Conv2D and len(before._outbound_nodes) == 1
        if not alone or before.activation is not keras.activations.linear:
            continue
        mean, variance = np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)
        gain = (np.asarray(layer.gamma) if layer.scale else 1) / np.sqrt(variance + layer.epsilon)
        bias = np.asarray(before.bias) if before.use_bias else 0
        offset = (bias - mean) * gain + (np.asarray(layer.beta) if layer.center else 0)
        before.kernel.assign(np.asarray(before.kernel) * gain)
        if before.use_bias:
            before.bias.assign(offset)
        layer.call = partial(_shifted, offset=None if before.use_bias else tf.constant(offset, tf.float32))
    return copy


def _batch_norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    return [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization) and not layer.renorm]


def _shifted(inputs, training=None, mask=None, *, offset=None):
    return inputs if offset is None else tf.nn.bias_add(inputs, tf.cast(offset, inputs.dtype))


def _call(self, inputs, training=None, mask=None):
    learns = bool(training) and self.trainable
    # The kernel has no deterministic gradient on GPUs for averages that stay as they are, as in fine-tuning.
    if (training and not learns) or len(inputs.shape) != 4 or self.axis not in (-1, 3):
        return type(self).call(self, inputs, training=training, mask=mask)
    channels = inputs.shape[-1]
    scale = tf.convert_to_tensor(self.gamma) if self.scale else tf.ones([channels])
    offset = tf.convert_to_tensor(self.beta) if self.center else tf.zeros([channels])
    if not learns:
        return _fused(
            inputs, scale, offset, self.epsilon, is_training=False,
            mean=tf.convert_to_tensor(self.moving_mean), variance=tf.convert_to_tensor(self.moving_variance),
        )[0]  # fmt: skip
    outputs, mean, variance = _fused(inputs, scale, offset, self.epsilon, is_training=True)
    values = tf.cast(tf.size(inputs) // channels, tf.float32)
    variance *= tf.maximum(values - 1, 1) / values  # the kernel's is that of a sample; Keras keeps the plain one
    for average, latest in ((self.moving_mean, mean), (self.moving_variance, variance)):
        average.assign(average * self.momentum + latest * (1 - self.momentum))
    return outputs


def _fused(inputs, scale, offset, epsilon: float, **options):
    return tf.compat.v1.nn.fused_batch_norm(inputs, scale, offset, epsilon=epsilon, **options)
