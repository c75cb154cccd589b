"""What is in a dataset: counts, file facts by class, leaks between splits, and what shortcuts tell."""

import json
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from chest_transfer.data.arrays import Arrays, open_arrays
from chest_transfer.data.descriptions import read_images
from chest_transfer.data.overlap import fingerprints, same_as_any
from chest_transfer.evaluation.shortcuts import shortcut_scores

SPLITS = ("train", "val", "test")
BRIGHTNESS_STEP = 8  # grey levels a bar
SIZE_STEP = 32  # pixels a side


def explored(folder: Path, multi_label: bool, rounds: int, seed: int) -> dict:
    """All that is tracked of a dataset.

    Args:
        folder: of `preprocess`.
        multi_label: whether an image may have several labels.
        rounds, seed: of the bootstrap.

    Returns:
        JSON: preprocess' summary; `files`, of each class the medians and the colour modes; `leaks`, patients and
        pictures that two splits share, found anew in the arrays themselves; `shortcuts`, of `shortcut_scores`.
    """
    files = read_images(folder)
    arrays = {split: open_arrays(folder / f"{split}.npz") for split in SPLITS}
    summary = json.loads((folder / "summary.json").read_text())
    summary["files"] = {name: _facts(rows) for name, rows in by_class(files)}
    summary["leaks"] = _leaks(arrays)
    summary["shortcuts"] = shortcut_scores(arrays["train"], arrays["test"], files, multi_label, rounds, seed)
    return summary


def _leaks(arrays: dict[str, Arrays]) -> dict[str, dict[str, int]]:
    """How many patients two splits share, and how many pictures of the second are in the first."""
    found, prints = {"patients": {}, "pictures": {}}, _prints(arrays)
    for one, other in combinations(SPLITS, 2):
        shared = np.intersect1d(arrays[one].patients, arrays[other].patients)
        found["patients"][f"{one}_{other}"] = len(shared)
        found["pictures"][f"{one}_{other}"] = int(same_as_any(prints[other], prints[one]).sum())
    return found


def by_class(files: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each class with its rows, in order of name; an image of several labels is in each."""
    single = files.assign(label=files["labels"].str.split("|")).explode("label")
    for label, rows in single.groupby("label"):
        yield label or "No Finding", rows


def _facts(rows: pd.DataFrame) -> dict:
    medians = rows[["width", "height", "bytes", "brightness"]].median()
    return {name: round(float(value), 1) for name, value in medians.items()} | {
        "modes": rows["mode"].value_counts().sort_index().to_dict()
    }


def plots(files: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Tables to draw: `counts` (class, split, images), `brightness` (class, brightness, share of the class's images),
    `sizes` (class, width, height, images) and `patients` (radiographs, patients with so many).
    """
    classes = [rows.assign(label=name) for name, rows in by_class(files)]
    single = pd.concat(classes)
    counts = single.groupby(["label", "split"]).size().rename("images").reset_index()
    steps = (single["brightness"] // BRIGHTNESS_STEP * BRIGHTNESS_STEP).astype(int)
    shares = single.assign(brightness=steps).groupby(["label", "brightness"]).size().rename("share")
    shares = (shares / shares.groupby("label").transform("sum")).round(4).reset_index()
    for side in ("width", "height"):
        single[side] = (single[side] / SIZE_STEP).round().astype(int) * SIZE_STEP
    sizes = single.groupby(["label", "width", "height"]).size().rename("images").reset_index()
    of_patient = files.groupby("patient").size().rename("radiographs")
    patients = of_patient.value_counts().sort_index().rename("patients").reset_index()
    renamed = {"label": "class"}
    return {
        "counts": counts.rename(columns=renamed),
        "brightness": shares.rename(columns=renamed),
        "sizes": sizes.rename(columns=renamed),
        "patients": patients,
    }


def shared_pictures(folders: dict[str, Path]) -> pd.DataFrame:
    """Which datasets show the same radiographs: columns dataset, other, images (of the dataset), also_in_other,
    test_images, test_learnt_by_other (its test radiographs in the other's training and validation splits).
    """
    rows = []
    opened: dict[str, dict[str, Arrays]] = {
        name: {split: open_arrays(folder / f"{split}.npz") for split in SPLITS} for name, folder in folders.items()
    }
    for name, own in opened.items():
        prints = _prints(own)
        for other, theirs in opened.items():
            if other == name:
                continue
            train, val, tested = _prints(theirs).values()
            known = {split: same_as_any(mine, train) | same_as_any(mine, val) for split, mine in prints.items()}
            also = sum(int((known[split] | same_as_any(prints[split], tested)).sum()) for split in SPLITS)
            images = sum(map(len, prints.values()))
            rows.append((name, other, images, also, len(prints["test"]), int(known["test"].sum())))
    columns = ["dataset", "other", "images", "also_in_other", "test_images", "test_learnt_by_other"]
    return pd.DataFrame(rows, columns=columns)


def _prints(arrays: dict[str, Arrays]) -> dict[str, np.ndarray]:
    return {split: fingerprints(part.images) for split, part in arrays.items()}
