"""Fine-tuning without running the frozen layers in every epoch: what they compute of each radiograph is stored once."""

import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from chest_transfer.data.arrays import Arrays, release_pages
from chest_transfer.training.batches import Batches

LARGEST_SHARE = 0.5  # of the free disk space that may be used


@dataclass(frozen=True)
class Activations:
    """What the frozen layers of a network compute for the radiographs of a split, in place of their images.

    Args:
        arrays: Arrays of the split.
        tensors: tuple of (N, ...) float32 arrays, read-only memory maps.
    """

    arrays: Arrays
    tensors: tuple[np.ndarray, ...]

    @property
    def labels(self) -> np.ndarray:
        """As of the arrays."""
        return self.arrays.labels

    @property
    def names(self) -> np.ndarray:
        """As of the arrays."""
        return self.arrays.names

    @property
    def sources(self) -> np.ndarray | None:
        """As of the arrays."""
        return self.arrays.sources

    @cached_property
    def targets(self) -> np.ndarray:
        """As of the arrays."""
        return self.arrays.targets

    def inputs(self, rows: np.ndarray, rng: np.random.Generator | None = None) -> tuple[np.ndarray, ...]:
        """Return the activations of these rows, as the trained part of the network takes them."""
        values = tuple(tensor[rows] for tensor in self.tensors)
        for tensor in self.tensors:
            release_pages(tensor)
        return values


def storable_frozen_part(
    network: keras.Model, splits: dict[str, Arrays], folder: Path
) -> tuple[keras.Model, keras.Model] | None:
    """Return the parts of `split_at_frozen_part`; None as well where the disk is too small for the activations.

    Training the second part on what the first computes gives the same weights as training the whole network.

    Args:
        network: Keras model.
        splits: dict of Arrays, `train` and `val`, without augmentation.
        folder: Path of an existing folder, on whose disk activations are stored.
    """
    parts = split_at_frozen_part(network)
    if parts is None:
        return None
    images = sum(len(splits[split].labels) for split in ("train", "val"))
    needed = images * sum(4 * int(np.prod(tensor.shape[1:])) for tensor in parts[0].outputs)
    free = shutil.disk_usage(folder).free
    if needed > LARGEST_SHARE * free:
        print(
            f"the frozen layers run in every epoch: to store what they compute takes {needed / 1e9:.1f} GB, and of "
            f"{free / 1e9:.1f} GB of free disk space at most {LARGEST_SHARE:.0%} are used",
            flush=True,
        )
        return None
    return parts


def split_at_frozen_part(network: keras.Model) -> tuple[keras.Model, keras.Model] | None:
    """Split a network, whose layers it shares, into the part that training does not change and the rest.

    The rest are the layers with trainable weights or random states (dropout), and all operations that follow them.

    Returns:
        The frozen part, from images to some tensors, and the rest, from these tensors to the output; None where the
        frozen part has no layer with weights.
    """
    rest = set()
    for operation in network.operations:  # layers and sums that are none, each after those that it reads
        if _changes(operation) or any(_source(tensor) in rest for tensor in _inputs(operation)):
            rest.add(operation)
    if not any(layer.weights for layer in network.layers if layer not in rest):
        return None
    crossing = [tensor for operation in network.operations if operation in rest for tensor in _inputs(operation)]
    cut = list({id(tensor): tensor for tensor in crossing if _source(tensor) not in rest}.values())
    return keras.Model(network.input, cut), keras.Model(cut, network.output, name=network.name)


def activations_of(frozen: keras.Model, arrays: Arrays, folder: Path, batch_size: int) -> Activations:
    """Compute the activations of a split and store them as `<folder>/<number>.npy`.

    Args:
        frozen: Keras model, the first part of `split_at_frozen_part`.
        arrays: Arrays of the split.
        folder: Path, replaced.
        batch_size: int, radiographs.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shapes = [(len(arrays.labels), *tensor.shape[1:]) for tensor in frozen.outputs]
    files = [folder / f"{number}.npy" for number in range(len(shapes))]
    maps = [np.lib.format.open_memmap(file, "w+", "float32", shape) for file, shape in zip(files, shapes, strict=True)]
    batches, start = Batches(arrays, batch_size), 0
    for index in tqdm(range(len(batches)), desc="frozen layers", unit=" batches", leave=False, disable=None):
        computed = frozen.predict_on_batch(batches[index][0].astype(np.float32))
        for stored, values in zip(maps, computed if len(maps) > 1 else [computed], strict=True):
            stored[start : start + len(values)] = values
        start += len(values)
    return Activations(arrays, tuple(np.load(file, mmap_mode="r") for file in files))


def _changes(operation: keras.Operation) -> bool:
    """Return whether training changes what an operation computes: it has trainable weights, or random states."""
    if not isinstance(operation, keras.layers.Layer):
        return False
    is_random = any(variable.path.endswith("seed_generator_state") for variable in operation.variables)
    return is_random or bool(operation.trainable_variables)


def _inputs(operation: keras.Operation) -> list:
    return [] if isinstance(operation, keras.layers.InputLayer) else keras.tree.flatten(operation.input)


def _source(tensor) -> keras.Operation:
    return tensor._keras_history.operation
