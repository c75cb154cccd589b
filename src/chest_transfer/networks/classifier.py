"""A classifier: a backbone with a head and an output, as one flat graph from raw grey pixels to probabilities."""

from chest_transfer.networks.heads import head_named


def build_classifier(backbone, head: str, classes: int, multi_label: bool):
    """Put a head on a backbone.

    The head is built on `backbone.output`, not around a nested backbone: Grad-CAM and export see every layer.

    Args:
        backbone: a Keras model from (N, H, W, 1) grey pixels 0-255 to feature maps (N, h, w, c).
        head: a key of `heads.HEADS`.
        classes: how many outputs.
        multi_label: each output a probability of its own (sigmoid), else all sum to 1 (softmax).

    Returns:
        A Keras model from (N, H, W, 1) to (N, classes) float32, 0-1.
    """
    import keras

    hidden = head_named(head)(backbone.output)
    output = keras.layers.Dense(
        classes, activation="sigmoid" if multi_label else "softmax", dtype="float32", name="probabilities"
    )(hidden)
    return keras.Model(backbone.input, output, name=backbone.name)
