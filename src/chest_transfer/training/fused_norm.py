"""Faster batch norm: TensorFlow's fused kernel, or folding into the convolution before it; never in a saved file.

Keras 3 computes averages, scaling and their gradients one operation at a time, and in 32 bits even in a network of 16.
On CPUs ResNet50 trains 1.3 times as fast with the fused kernel, 1.5 times in bfloat16, and embeds 1.2 times as fast
again when folded (bench/training.py, bench/frozen.py). A saved model contains Keras' ordinary layer.
"""

from functools import lru_cache, partial
from types import MethodType

import keras
import numpy as np
import tensorflow as tf

TOLERANCE = 1e-3  # between Keras' layer and the fused one, of values of about 1


def fuse_batch_norms(network: keras.Model) -> bool:
    """Let the batch norms of a network use the fused kernel, in place; return whether they do.

    The kernel is compared with Keras' layer first, in value, statistics and gradient: where this version of Keras or
    TensorFlow differs, the network stays as it is, and a line says so.
    """
    if not _fused_equals_keras():
        print("fused_batch_norm: the fused kernel differs from Keras' batch norm here and is not used", flush=True)
        return False
    for layer in _batch_norms(network):
        layer.call = MethodType(_fused_call, layer)
    return True


def fold_batch_norms(network: keras.Model, fused: bool) -> keras.Model:
    """Return a copy of a frozen network that computes the same with less work.

    A batch norm that alone follows a convolution without activation is multiplied into its kernel, and only an offset
    remains. Throw the copy away after use: its weights are not those of the network.

    Args:
        network: Keras model.
        fused: bool, whether the other batch norms use the fused kernel.
    """
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    if fused:
        fuse_batch_norms(copy)
    for layer in _batch_norms(copy):
        convolution = layer.input._keras_history.operation
        has_one_reader = type(convolution) is keras.layers.Conv2D and len(convolution._outbound_nodes) == 1
        if not has_one_reader or convolution.activation is not keras.activations.linear:
            continue
        mean, variance = np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)
        gain = (np.asarray(layer.gamma) if layer.scale else 1) / np.sqrt(variance + layer.epsilon)
        bias = np.asarray(convolution.bias) if convolution.use_bias else 0
        offset = (bias - mean) * gain + (np.asarray(layer.beta) if layer.center else 0)
        convolution.kernel.assign(np.asarray(convolution.kernel) * gain)
        if convolution.use_bias:
            convolution.bias.assign(offset)
        layer.call = partial(_add_offset, offset=None if convolution.use_bias else tf.constant(offset, tf.float32))
    return copy


@lru_cache(maxsize=1)
def _fused_equals_keras() -> bool:
    """Compare both kinds of batch norm on random values, while training and at inference."""
    rng = np.random.default_rng(0)
    images, weights = rng.normal(1, 2, (4, 5, 5, 3)), [rng.uniform(0.5, 1.5, 3) for _ in range(4)]
    for training in (True, False):
        results = []
        for fused in (True, False):
            layer = keras.layers.BatchNormalization(momentum=0.9, dtype="float32")
            layer.build(images.shape)
            layer.set_weights(weights)
            if fused:
                layer.call = MethodType(_fused_call, layer)
            inputs = tf.constant(images, tf.float32)
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                outputs = layer(inputs, training=training)
                total = tf.reduce_sum(outputs**3)
            results.append([outputs, tape.gradient(total, inputs), *layer.get_weights()])
        if not all(
            np.allclose(ours, keras_own, TOLERANCE, TOLERANCE) for ours, keras_own in zip(*results, strict=True)
        ):
            return False
    return True


def _batch_norms(network: keras.Model) -> list[keras.layers.BatchNormalization]:
    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    return [layer for layer in norms if not layer.renorm]


def _add_offset(inputs, training=None, mask=None, *, offset=None):
    return inputs if offset is None else tf.nn.bias_add(inputs, tf.cast(offset, inputs.dtype))


def _fused_call(self, inputs, training=None, mask=None):
    """What replaces `BatchNormalization.call`."""
    updates_statistics = bool(training) and self.trainable
    # The kernel has no deterministic gradient on GPUs for statistics that stay as they are, as in fine-tuning.
    if (training and not updates_statistics) or len(inputs.shape) != 4 or self.axis not in (-1, 3):
        return type(self).call(self, inputs, training=training, mask=mask)
    channels = inputs.shape[-1]
    scale = tf.convert_to_tensor(self.gamma) if self.scale else tf.ones([channels])
    offset = tf.convert_to_tensor(self.beta) if self.center else tf.zeros([channels])
    if not updates_statistics:
        outputs, _, _ = _fused_kernel(
            inputs, scale, offset, self.epsilon, is_training=False,
            mean=tf.convert_to_tensor(self.moving_mean), variance=tf.convert_to_tensor(self.moving_variance),
        )  # fmt: skip
        return outputs
    outputs, mean, variance = _fused_kernel(inputs, scale, offset, self.epsilon, is_training=True)
    # The kernel's variance has Bessel's correction, Keras' has not.
    values = tf.cast(tf.size(inputs) // channels, tf.float32)
    variance *= tf.maximum(values - 1, 1) / values
    for average, latest in ((self.moving_mean, mean), (self.moving_variance, variance)):
        average.assign(average * self.momentum + latest * (1 - self.momentum))
    return outputs


def _fused_kernel(inputs, scale, offset, epsilon: float, **options):
    return tf.compat.v1.nn.fused_batch_norm(inputs, scale, offset, epsilon=epsilon, **options)
