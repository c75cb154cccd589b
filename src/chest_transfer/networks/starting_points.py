"""What a fit starts from: pretrained weights as they are, or random ones that are drawn anew for each training seed."""

from itertools import chain

import numpy as np

from chest_transfer.model_names import starting_network
from chest_transfer.networks.blocks import blocks_of
from chest_transfer.networks.facts import StartingFacts
from chest_transfer.networks.saving import load_model


def load_starting_point(name: str, weights: str, seed: int):
    """Load a backbone with its starting weights; random ones depend on the seed alone.

    Those of `none` are drawn by each layer's initializer. Those of `statistics` have the mean and standard deviation of
    each array of ImageNet's weights: what is left of pretraining without its features (Mean Var of Raghu et al. 2019,
    arXiv 1902.07208). Weights of which only the first blocks are pretrained are of the same paper (weight transfusion).

    Args:
        name: str, a key of `backbones.BACKBONES`.
        weights: str, the name of the starting weights.
        seed: int, of random weights; pretrained ones are the same for all.

    Returns:
        (Keras model from gray levels to feature maps, StartingFacts).

    Raises:
        ChestTransferError: as `saving.load_model`.
    """
    backbone, facts = load_model(starting_network(name, weights), StartingFacts)
    if weights == "none":
        backbone = _redrawn(backbone, seed)
    elif weights == "statistics":
        _draw_by_statistics(backbone, seed)
    elif facts.pretrained_blocks is not None:
        pretrained, backbone = backbone, _redrawn(backbone, seed)
        for layer in chain(*blocks_of(backbone)[: facts.pretrained_blocks]):
            layer.set_weights(pretrained.get_layer(layer.name).get_weights())
    return backbone, facts


def _redrawn(backbone, seed: int):
    """Return a backbone with other weights, by the initializer of each layer."""
    import keras

    keras.utils.set_random_seed(seed)
    return keras.models.clone_model(backbone)


def _draw_by_statistics(backbone, seed: int) -> None:
    """Replace each array of weights by normal ones of its mean and standard deviation, averages of batch norm by it."""
    rng = np.random.default_rng(seed)
    for layer in backbone.layers:
        trainable = {variable.path for variable in layer.trainable_variables}
        for variable in layer.weights:
            values = np.asarray(variable, np.float64)
            spread = values.std() if variable.path in trainable else 0
            variable.assign(rng.normal(values.mean(), spread, values.shape))
