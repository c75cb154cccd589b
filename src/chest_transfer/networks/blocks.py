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
    layers = set(map(id, backbone.layers))
    blocks = [[of for of in block if id(of) in layers and of.weights] for block in _by_halvings(backbone)]
    return [block for block in blocks if block]


def block_outputs(backbone) -> list:
    """Return the feature maps (N, h, w, C) that each block of `blocks_of` ends with, as symbolic tensors.

    These are the last ones at its resolution through which everything goes that later blocks read: the sum of a
    residual block, not one of its branches.
    """
    through = _bottlenecks(backbone)
    outputs = []
    for block in _by_halvings(backbone):
        maps = [of for of in block if len(of.output.shape) == 4]
        if any(getattr(of, "weights", []) for of in block):
            outputs.append(([of for of in maps if id(of) in through] or maps)[-1].output)
    return outputs


def _by_halvings(backbone) -> list[list]:
    """Return all operations in order, by how many times the resolution was halved before them."""
    side = backbone.input.shape[1]
    halvings = np.array([_halvings(operation, side) for operation in backbone.operations])
    halvings = np.minimum.accumulate(halvings[::-1])[::-1]
    blocks: dict[int, list] = {}
    for operation, number in zip(backbone.operations, halvings, strict=True):
        blocks.setdefault(int(number), []).append(operation)
    return [blocks[number] for number in sorted(blocks)]


def _halvings(operation, side: int) -> int:
    import keras

    shape = operation.output.shape
    if isinstance(operation, keras.layers.ZeroPadding2D):  # its border is no resolution
        return 99
    return round(np.log2(side / (shape[1] if len(shape) == 4 else 1)))


def _bottlenecks(backbone) -> set[int]:
    """Return the operations (by `id`) that no connection goes around."""
    operations = backbone.operations
    place = {id(operation): number for number, operation in enumerate(operations)}
    last_reader = list(range(len(operations)))
    for number, operation in enumerate(operations):
        for node in operation._inbound_nodes:
            for parent in node.parent_nodes:
                if id(parent.operation) in place:
                    last_reader[place[id(parent.operation)]] = number
    furthest = np.maximum.accumulate([0, *last_reader[:-1]])  # of what comes before each
    return {id(operation) for number, operation in enumerate(operations) if furthest[number] <= number}
