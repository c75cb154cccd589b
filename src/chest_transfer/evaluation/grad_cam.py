"""Grad-CAM: which part of a radiograph raises a class's odds, as a model's last feature maps show it."""

import keras
import numpy as np
import tensorflow as tf

from chest_transfer.networks.classifier import of_head

METHODS = ("grad-cam", "grad-cam++")


class GradCam:
    """Heat maps of a classifier, any backbone of the table.

    What is followed back is the class's log odds, log p / (1 - p): before the sigmoid that is the output itself, before
    a softmax its distance from the others, and it does not fade where the model is sure.

    Args:
        classifier: from grey pixels (N, H, W, 1) 0-255 to probabilities (N, K).
        method: `grad-cam` (Selvaraju et al. 2017: feature maps weighed by the mean gradient) or `grad-cam++`
            (Chattopadhay et al. 2018: by the gradient where it is positive, more where few places raise the class).
    """

    def __init__(self, classifier: keras.Model, method: str = "grad-cam"):
        head = [layer for layer in classifier.layers if of_head(layer)]
        self._backbone = keras.Model(classifier.input, head[0].input)
        features = hidden = keras.Input(self._backbone.output_shape[1:], dtype=self._backbone.output.dtype)
        for layer in head[:-1]:
            hidden = layer(hidden)
        output = head[-1]
        logits = keras.layers.Dense(output.units, name="logits", dtype="float32")  # the output without its activation
        self._head = keras.Model(features, logits(hidden))
        logits.set_weights(output.get_weights())
        self._exclusive = output.activation is keras.activations.softmax
        self._method = method

    def maps(self, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """One heat map for each radiograph.

        Args:
            images: (n, H, W) uint8.
            classes: (n,) int, whose class to explain.

        Returns:
            (n, H, W) float32, 0-1: 1 at the brightest place, all 0 where nothing raises the class.
        """
        inputs = tf.constant(images[..., np.newaxis], tf.float32)
        chosen = tf.one_hot(classes, self._head.output_shape[-1])
        features = self._backbone(inputs, training=False)
        with tf.GradientTape() as tape:
            tape.watch(features)
            logits = self._head(features, training=False)
            odds = tf.reduce_sum(logits * chosen, axis=-1)
            if self._exclusive:
                odds -= tf.reduce_logsumexp(logits - 1e9 * chosen, axis=-1)
        gradients = tf.cast(tape.gradient(odds, features), tf.float32)
        features = tf.cast(features, tf.float32)
        if self._method == "grad-cam":
            weights = tf.reduce_mean(gradients, axis=(1, 2), keepdims=True)
        else:
            shares = tf.math.divide_no_nan(
                gradients**2, 2 * gradients**2 + tf.reduce_sum(features * gradients**3, axis=(1, 2), keepdims=True)
            )
            weights = tf.reduce_sum(shares * tf.nn.relu(gradients), axis=(1, 2), keepdims=True)
        heat = tf.nn.relu(tf.reduce_sum(weights * features, axis=-1, keepdims=True))
        heat = tf.image.resize(heat, images.shape[1:], method="bilinear")[..., 0]
        return tf.math.divide_no_nan(heat, tf.reduce_max(heat, axis=(1, 2), keepdims=True)).numpy()
