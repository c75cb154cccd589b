"""Samples to look at: radiographs of each class as the archive has them, and as training sees one."""

from pathlib import Path

import numpy as np
import pandas as pd

from chest_transfer.data.archives import Archive
from chest_transfer.data.arrays import Arrays
from chest_transfer.data.catalog import Dataset
from chest_transfer.data.radiographs import read_grey
from chest_transfer.evaluation.explanation import in_fixed_order

LONGEST = 320  # pixels of a side


def samples(dataset: Dataset, archive_path: Path, files: pd.DataFrame, images: int) -> dict[str, list[np.ndarray]]:
    """Class -> its first radiographs in order of their names' hashes, (H, W) uint8, at most `LONGEST` a side."""
    found = {}
    with Archive(archive_path) as archive:
        member_of = {radiograph.name: radiograph.member for radiograph in dataset.layout.read(archive).radiographs}
        for name in dataset.classes:
            of_class = files.index[files["labels"].str.split("|").map(lambda labels, name=name: name in labels)]
            names = of_class.to_numpy(str)
            names = names[in_fixed_order(names)][:images]
            if len(names):
                found[name] = [read_grey(archive.read(member_of[each]), LONGEST).at_most(LONGEST) for each in names]
    return found


def augmented(train: Arrays, augmentation, seed: int, images: int) -> list[np.ndarray]:
    """One radiograph of the training split as it is, then as training may see it: (H, W) uint8 each."""
    from chest_transfer.training.augmentation import augmentation_layers

    image = train.inputs(in_fixed_order(train.names)[:1]).astype(np.float32)
    found = [image]
    layers = augmentation_layers(augmentation, seed)
    for _ in range(images - 1):
        changed = image
        for layer in layers:
            changed = layer(changed, training=True)
        found.append(np.asarray(changed))
    return [np.clip(np.rint(each[0, ..., 0]), 0, 255).astype(np.uint8) for each in found]
