"""A classifier: a backbone with a head and an output, as one flat graph from raw grey pixels to probabilities."""

import numpy as np

from chest_transfer.errors import ChestTransferError
from chest_transfer.networks.heads import HEADS, head_named

POOL = "head_pool"


def build_classifier(backbone, head: str, classes: int, multi_label: bool, scales=None):
    """Put a head on a backbone.

    The head is built on `backbone.output`, not around a nested backbone: Grad-CAM and export see every layer.

    Args:
        backbone: a Keras model from (N, H, W, 1) grey pixels 0-255 to feature maps (N, h, w, c).
        head: a key of `heads.HEADS`.
        classes: how many outputs.
        scales: None, or mean and variance (c,) that averaged features are standardized by before the head.
        multi_label: each output a probability of its own (sigmoid), else all sum to 1 (softmax).

    Returns:
        A Keras model from (N, H, W, 1) to (N, classes) float32, 0-1.
    """
    import keras

    row = head_named(head)
    # Float32 whatever the backbone's precision: averages of many values, and few weights.
    pool = (
        keras.layers.GlobalAveragePooling2D(name=POOL, dtype="float32")
        if row.pooled
        else keras.layers.Flatten(name="head_flatten", dtype="float32")
    )
    hidden = pool(backbone.output)
    if scales is not None:
        # Keras' Normalization takes no deviation below 1e-7, and a random MobileNetV2's features have 3e-12.
        mean, deviation = scales[0], np.sqrt(scales[1])
        scale, offset = (1 / deviation).tolist(), (-mean / deviation).tolist()
        hidden = keras.layers.Rescaling(scale, offset, name="head_standardized", dtype="float32")(hidden)
    for layer in row.hidden():
        hidden = layer(hidden)
    output = keras.layers.Dense(
        classes, activation="sigmoid" if multi_label else "softmax", dtype="float32", name="probabilities"
    )(hidden)
    return keras.Model(backbone.input, output, name=backbone.name)


def pooled_backbone(backbone):
    """A Keras model from (N, H, W, 1) grey pixels 0-255 to features (N, c) float32: each feature map's average."""
    import keras

    pooled = keras.layers.GlobalAveragePooling2D(name=POOL, dtype="float32")(backbone.output)
    return keras.Model(backbone.input, pooled, name=backbone.name)


def backbone_of(classifier):
    """The backbone alone, sharing its layers with the classifier, all of them to learn: from grey pixels to maps."""
    import keras

    for layer in classifier.layers:  # a fine-tuned one comes with frozen layers
        layer.trainable = True
    first = next(layer for layer in classifier.layers if of_head(layer))
    return keras.Model(classifier.input, first.input, name=classifier.name)


def of_head(layer) -> bool:
    """Whether a classifier's layer belongs to its head, the output included."""
    return layer.name.startswith("head_") or layer.name == "probabilities"


def head_of(classifier):
    """The head alone, sharing its layers with the classifier: from features (N, c) to probabilities (N, K).

    Raises:
        ChestTransferError: the head keeps whole feature maps.
    """
    import keras

    names = [layer.name for layer in classifier.layers]
    if POOL not in names:
        allowed = ", ".join(name for name, head in HEADS.items() if head.pooled)
        raise ChestTransferError(
            f"a probe's head works on averaged features, and this one keeps whole feature maps (allowed: {allowed}); "
            "run: dvc exp run -S probe.head=dense256"
        )
    features = keras.Input(classifier.get_layer(POOL).output.shape[1:], name="features")
    output = features
    for name in names[names.index(POOL) + 1 :]:
        output = classifier.get_layer(name)(output)
    return keras.Model(features, output, name=f"{classifier.name}_head")
