"""Blocks of a backbone: its layers with weights, by the resolution that they work at, which halves block by block."""

import numpy as np


def blocks_of(backbone) -> list[list]:
    """Return the layers of a backbone that have weights, by block, from the input on.

    A layer belongs to the block of the coarsest resolution at which no later layer is finer: the layers of
    squeeze-and-excitation, which see each map as one number, belong to the block that they weight.

    Args:
        backbone: Keras model from gray levels (N, H, W, 1) to feature maps (N, h, w, C).

    Returns:
        list of lists of Keras layers, none empty.
    """
    return [with_weights for layers in _by_halvings(backbone) if (with_weights := [of for of in layers if of.weights])]


def block_outputs(backbone) -> list:
    """Return the feature maps (N, h, w, C) that each block of `blocks_of` ends with, as symbolic tensors."""
    return [
        [layer.output for layer in layers if len(layer.output.shape) == 4][-1]
        for layers in _by_halvings(backbone)
        if any(layer.weights for layer in layers)
    ]


def _by_halvings(backbone) -> list[list]:
    """Return all layers, by how many times the resolution was halved before them."""
    side = backbone.input.shape[1]
    halvings = np.array([round(np.log2(side / _side_of_output(layer))) for layer in backbone.layers])
    halvings = np.minimum.accumulate(halvings[::-1])[::-1]
    blocks: dict[int, list] = {}
    for layer, number in zip(backbone.layers, halvings, strict=True):
        blocks.setdefault(int(number), []).append(layer)
    return [blocks[number] for number in sorted(blocks)]


def _side_of_output(layer) -> int:
    shape = layer.output.shape
    return shape[1] if len(shape) == 4 else 1
