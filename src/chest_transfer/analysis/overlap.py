"""Overlap: which datasets show the same radiographs. The public datasets republish each other's images."""

from itertools import permutations
from pathlib import Path

import pandas as pd

from chest_transfer.data.arrays import read_npz
from chest_transfer.data.fingerprints import is_among, seen_in_training
from chest_transfer.data.splits import SPLITS

OVERLAP_COLUMNS = ("dataset", "other", "images", "also_in_other", "test_images", "test_in_training")


def shared_images(files: dict[str, Path]) -> pd.DataFrame:
    """Return which datasets show the same radiographs.

    Args:
        files: dict, the file of fingerprints of each dataset.

    Returns:
        Table with the columns `OVERLAP_COLUMNS`, a row for each ordered pair: `also_in_other` of the dataset's
        `images` are in the other dataset, `test_in_training` of its `test_images` in the other's training or
        validation split.
    """
    rows = []
    for name, other in permutations(files, 2):
        own, theirs = read_npz(files[name]), read_npz(files[other])
        in_fitted = seen_in_training(own, theirs)
        in_any = sum(int((in_fitted[split] | is_among(own[split], theirs["test"])).sum()) for split in SPLITS)
        images = sum(len(prints) for prints in own.values())
        rows.append((name, other, images, in_any, len(own["test"]), int(in_fitted["test"].sum())))
    return pd.DataFrame(rows, columns=list(OVERLAP_COLUMNS))
