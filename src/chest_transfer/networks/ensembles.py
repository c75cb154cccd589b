"""An ensemble as one network: its members side by side, and the mean of their probabilities."""

from chest_transfer.networks.classifier import PROBABILITIES

MEMBER = "member"  # what the names of its networks start with


def build_ensemble(members: list):
    """Put classifiers of the same inputs and classes side by side.

    Args:
        members: list of Keras models of `classifier.build_classifier`.

    Returns:
        Keras model from gray levels (N, H, W, 1) 0-255 to the mean of their probabilities (N, K) float32.
    """
    import keras

    radiograph = keras.Input(members[0].input.shape[1:], name="radiograph")
    probabilities = [
        keras.Model(member.input, member.output, name=f"{MEMBER}{number}")(radiograph)
        for number, member in enumerate(members, start=1)
    ]
    mean = keras.layers.Average(dtype="float32", name=PROBABILITIES)(probabilities)
    return keras.Model(radiograph, mean, name=members[0].name)


def members_of(network) -> list:
    """Return the classifiers of an ensemble; of a single classifier, itself."""
    return [layer for layer in network.layers if layer.name.startswith(MEMBER)] or [network]
