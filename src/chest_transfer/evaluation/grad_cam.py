"""Grad-CAM: which parts of a radiograph raise the odds of a class, as the last feature maps of a network show it."""

import numpy as np

from chest_transfer.networks.classifier import head_layers


def _mean_gradient(features, gradients):
    import tensorflow as tf

    return tf.reduce_mean(gradients, axis=(1, 2), keepdims=True)


def _weighted_positive_gradient(features, gradients):
    import tensorflow as tf

    cubes = tf.reduce_sum(features * gradients**3, axis=(1, 2), keepdims=True)
    shares = tf.math.divide_no_nan(gradients**2, 2 * gradients**2 + cubes)
    return tf.reduce_sum(shares * tf.nn.relu(gradients), axis=(1, 2), keepdims=True)


def _each_gradient(features, gradients):
    return gradients


# How feature maps are weighted: grad-cam by the mean gradient (Selvaraju et al. 2017); grad-cam++ by the positive
# gradient, with more weight where few places raise the class (Chattopadhay et al. 2018); hirescam each value by its own
# gradient (Draelos and Carin 2020, arXiv 2011.08891). The last is grad-cam for a head that averages feature maps, and
# points to the places that counted where a head keeps them whole.
METHODS = {"hirescam": _each_gradient, "grad-cam": _mean_gradient, "grad-cam++": _weighted_positive_gradient}


DEFAULT_METHOD = next(iter(METHODS))


class GradCam:
    """Heat maps of a classifier with any backbone.

    What is differentiated are the log odds of the class, log(p / (1 - p)): for a sigmoid the logit itself, for a
    softmax its distance from the others. They do not saturate where the model is certain.

    Args:
        classifier: Keras model from gray levels (N, H, W, 1) 0-255 to probabilities (N, K).
        method: str, a key of `METHODS`.
    """

    def __init__(self, classifier, method: str = DEFAULT_METHOD):
        import keras

        layers = head_layers(classifier)
        self._backbone = keras.Model(classifier.input, layers[0].input)
        features = logits = keras.Input(self._backbone.output_shape[1:], dtype=self._backbone.output.dtype)
        for layer in layers[:-1]:
            logits = layer(logits)
        self._head = keras.Model(features, logits)
        self._is_exclusive = layers[-1].activation is keras.activations.softmax
        self._method = METHODS[method]

    def maps(self, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Return a heat map for each radiograph.

        Args:
            images: (n, H, W) uint8 array.
            classes: (n,) int array, the class that is explained of each.

        Returns:
            (n, H, W) float32 array, 0-1: 1 at the hottest place, 0 everywhere if nothing raises the class.
        """
        import tensorflow as tf

        inputs = tf.constant(images[..., np.newaxis], tf.float32)
        is_class = tf.one_hot(classes, self._head.output_shape[-1])
        features = self._backbone(inputs, training=False)
        with tf.GradientTape() as tape:
            tape.watch(features)
            logits = self._head(features, training=False)
            log_odds = tf.reduce_sum(logits * is_class, axis=-1)
            if self._is_exclusive:
                log_odds -= tf.reduce_logsumexp(logits - 1e9 * is_class, axis=-1)
        gradients = tf.cast(tape.gradient(log_odds, features), tf.float32)
        features = tf.cast(features, tf.float32)
        weights = self._method(features, gradients)
        heat = tf.nn.relu(tf.reduce_sum(weights * features, axis=-1, keepdims=True))
        heat = tf.image.resize(heat, images.shape[1:], method="bilinear")[..., 0]
        return tf.math.divide_no_nan(heat, tf.reduce_max(heat, axis=(1, 2), keepdims=True)).numpy()
