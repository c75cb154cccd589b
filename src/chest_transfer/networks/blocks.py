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
    side = backbone.input.shape[1]
    halvings = np.array([round(np.log2(side / _side_of_output(layer))) for layer in backbone.layers])
    halvings = np.minimum.accumulate(halvings[::-1])[::-1]
    blocks: dict[int, list] = {}
    for layer, number in zip(backbone.layers, halvings, strict=True):
        if layer.weights:
            blocks.setdefault(int(number), []).append(layer)
    return [blocks[number] for number in sorted(blocks)]


def _side_of_output(layer) -> int:
    shape = layer.output.shape
    return shape[1] if len(shape) == 4 else 1
