"""A classifier: a backbone with a head and an output, as one flat graph from raw gray levels to probabilities."""

import numpy as np

from chest_transfer.errors import ChestTransferError
from chest_transfer.networks.heads import HEADS, head_named

HEAD = "head_"  # what the names of a head's layers start with
POOL, LOGITS, PROBABILITIES = "head_pool", "logits", "probabilities"


def build_classifier(backbone, head: str, classes: int, multi_label: bool, feature_moments=None):
    """Put a head on a backbone.

    The head is built on `backbone.output`, not around a nested backbone, so that Grad-CAM and export see every layer.

    Args:
        backbone: Keras model from gray levels (N, H, W, 1) 0-255 to feature maps (N, h, w, C).
        head: str, a key of `heads.HEADS`.
        classes: int, number of outputs.
        multi_label: bool, whether each output is a probability of its own (sigmoid), or all sum to 1 (softmax).
        feature_moments: None, or mean and variance (C,) by which averaged features are standardized before the head.

    Returns:
        Keras model from (N, H, W, 1) to (N, classes) float32, 0-1; its last two layers are `LOGITS`, `PROBABILITIES`.
    """
    import keras

    row = head_named(head)
    # Float32 whatever the precision of the backbone: averages of many values, and few weights.
    pool = (
        keras.layers.GlobalAveragePooling2D(name=POOL, dtype="float32")
        if row.pooled
        else keras.layers.Flatten(name="head_flatten", dtype="float32")
    )
    hidden = pool(backbone.output)
    if feature_moments is not None:
        # Keras' Normalization takes no standard deviation below 1e-7, and a random MobileNetV2's features have 3e-12.
        mean, standard_deviation = feature_moments[0], np.sqrt(feature_moments[1])
        scale, offset = (1 / standard_deviation).tolist(), (-mean / standard_deviation).tolist()
        hidden = keras.layers.Rescaling(scale, offset, name="head_standardized", dtype="float32")(hidden)
    for layer in row.hidden():
        hidden = layer(hidden)
    logits = keras.layers.Dense(classes, dtype="float32", name=LOGITS)(hidden)
    activation = "sigmoid" if multi_label else "softmax"
    probabilities = keras.layers.Activation(activation, dtype="float32", name=PROBABILITIES)(logits)
    return keras.Model(backbone.input, probabilities, name=backbone.name)


def logits_network(classifier):
    """Return a classifier without its last activation, sharing its layers: to logits (N, K) float32."""
    import keras

    return keras.Model(classifier.input, classifier.get_layer(LOGITS).output, name=classifier.name)


def pooled_backbone(backbone):
    """Return a Keras model from gray levels (N, H, W, 1) 0-255 to the average of each feature map (N, C) float32."""
    import keras

    pooled = keras.layers.GlobalAveragePooling2D(name=POOL, dtype="float32")(backbone.output)
    return keras.Model(backbone.input, pooled, name=backbone.name)


def backbone_of(classifier):
    """Return the backbone of a classifier, sharing its layers, all of them trainable: from gray levels to maps."""
    import keras

    for layer in classifier.layers:  # a fine-tuned classifier has frozen layers
        layer.trainable = True
    return keras.Model(classifier.input, head_layers(classifier)[0].input, name=classifier.name)


def head_of(classifier):
    """Return the head of a classifier, sharing its layers: from averaged features (N, C) to logits (N, K).

    Raises:
        ChestTransferError: the head keeps whole feature maps.
    """
    import keras

    layers = head_layers(classifier)
    if layers[0].name != POOL:
        allowed = ", ".join(name for name, head in HEADS.items() if head.pooled)
        raise ChestTransferError(
            f"a probe needs a head that averages feature maps, and this one keeps them whole (allowed: {allowed}); "
            "run: dvc exp run -S probe.head=dense256"
        )
    features = keras.Input(layers[0].output.shape[1:], name="features")
    output = features
    for layer in layers[1:-1]:
        output = layer(output)
    return keras.Model(features, output, name=f"{classifier.name}_head")


def head_layers(classifier) -> list:
    """Return the layers of a classifier's head in order, `LOGITS` and `PROBABILITIES` included."""
    return [layer for layer in classifier.layers if is_head_layer(layer)]


def is_head_layer(layer) -> bool:
    """Return whether a classifier's layer belongs to its head, logits and probabilities included."""
    return layer.name.startswith(HEAD) or layer.name in (LOGITS, PROBABILITIES)
