"""The heads: from a backbone's feature maps to the last hidden layer; the classifier adds the output."""

from chest_transfer.errors import unknown_name


def _linear(features):
    from keras import layers

    return layers.GlobalAveragePooling2D(name="head_pool")(features)


def _dense256(features):
    from keras import layers

    return layers.Dense(256, activation="relu", name="head_dense")(_linear(features))


def _dense64(features):
    from keras import layers

    return layers.Dense(64, activation="relu", name="head_dense")(layers.Flatten(name="head_flatten")(features))


def _dense256_128_64(features):
    from keras import layers

    hidden = layers.Flatten(name="head_flatten")(features)
    for units in (256, 128, 64):
        hidden = layers.Dense(units, activation="relu", name=f"head_dense{units}")(hidden)
        hidden = layers.Dropout(0.5, name=f"head_dropout{units}")(hidden)
    return hidden


HEADS = {
    "linear": _linear,
    "dense256": _dense256,
    "dense64": _dense64,
    "dense256_128_64": _dense256_128_64,
}


def head_named(name: str):
    """The table's head of that name: a function from feature maps (N, h, w, c) to (N, units).

    Raises:
        ChestTransferError: there is none; the nearest name is given.
    """
    if name not in HEADS:
        raise unknown_name("head", name, HEADS, "mend architectures.<model>.head in params.yaml")
    return HEADS[name]
