"""What a fit starts from: pretrained weights as they are, or random ones that are drawn anew for each training seed."""

import numpy as np

from chest_transfer.model_names import starting_network
from chest_transfer.networks.facts import StartingFacts
from chest_transfer.networks.saving import load_model


def load_starting_point(name: str, weights: str, seed: int):
    """Load a backbone with its starting weights; random ones depend on the seed alone.

    Those of `none` are drawn by each layer's initializer. Those of `statistics` have the mean and standard deviation of
    each array of ImageNet's weights: what is left of pretraining without its features (Mean Var of Raghu et al. 2019,
    arXiv 1902.07208).

    Args:
        name: str, a key of `backbones.BACKBONES`.
        weights: str, the name of the starting weights.
        seed: int, of random weights; pretrained ones are the same for all.

    Returns:
        (Keras model from gray levels to feature maps, StartingFacts).

    Raises:
        ChestTransferError: as `saving.load_model`.
    """
    import keras

    backbone, facts = load_model(starting_network(name, weights), StartingFacts)
    if weights == "none":
        keras.utils.set_random_seed(seed)
        backbone = keras.models.clone_model(backbone)  # by the initializer of each layer
    elif weights == "statistics":
        _draw_by_statistics(backbone, seed)
    return backbone, facts


def _draw_by_statistics(backbone, seed: int) -> None:
    """Replace each array of weights by normal ones of its mean and standard deviation, averages of batch norm by it."""
    rng = np.random.default_rng(seed)
    for layer in backbone.layers:
        trainable = {variable.path for variable in layer.trainable_variables}
        for variable in layer.weights:
            values = np.asarray(variable, np.float64)
            spread = values.std() if variable.path in trainable else 0
            variable.assign(rng.normal(values.mean(), spread, values.shape))
