"""What is in a dataset before any model: counts, facts about files by class, leaks between splits, and shortcuts."""

import json
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from chest_transfer.analysis.shortcuts import SCORED_SPLITS, shortcut_scores
from chest_transfer.data.arrays import open_arrays, read_npz
from chest_transfer.data.covariates import read_covariates
from chest_transfer.data.descriptions import read_images
from chest_transfer.data.findings import NO_FINDING
from chest_transfer.data.fingerprints import is_among
from chest_transfer.data.splits import SPLITS

BRIGHTNESS_STEP = 8  # gray levels of a bar of the histogram
SIZE_STEP = 32  # pixels a side
UNKNOWN = "unknown"  # what images are called of which no finding is known to be present, and not all to be absent


def explore(folder: Path, fingerprints: Path, shortcuts: Path, resamples: int, seed: int) -> dict:
    """Return everything that is tracked of a dataset.

    Args:
        folder: Path of the folder of `preprocess`.
        fingerprints: Path of the file of image fingerprints.
        shortcuts: Path of the file of shortcuts, of `covariates.write_covariates`.
        resamples: int, of the bootstrap.
        seed: int, of the bootstrap.

    Returns:
        dict, JSON: the summary of `preprocess`; `files`, the medians and the color modes of each class; `leaks`, how
        many patients and images two splits share; `shortcuts`, of `shortcut_scores`.
    """
    images = read_images(folder)
    arrays = {split: open_arrays(folder / f"{split}.npz") for split in SPLITS}
    summary = json.loads((folder / "summary.json").read_text())
    summary["files"] = {name: _file_facts(rows) for name, rows in rows_by_class(images)}
    patients = {split: part.patients for split, part in arrays.items()}
    summary["leaks"] = {"patients": _shared_patients(patients), "images": _shared_images(read_npz(fingerprints))}
    parts = {split: arrays[split] for split in SCORED_SPLITS}
    covariates = read_covariates(shortcuts, {split: part.names for split, part in parts.items()})
    summary["shortcuts"] = shortcut_scores(covariates, parts, resamples, seed)
    return summary


def rows_by_class(images: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each class with its rows, in the order of the names; an image with several labels is in each."""
    one_label = images.assign(label=images["labels"].str.split("|")).explode("label")
    if "unknown" in images:  # what is not known is not absent
        one_label.loc[(one_label["label"] == "") & (one_label["unknown"] != ""), "label"] = UNKNOWN
    for label, rows in one_label.groupby("label"):
        yield label or NO_FINDING, rows


def exploration_plots(images: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return tables to draw, from the table `images.csv`.

    Returns:
        dict: `counts` (class, split, images), `brightness` (class, brightness, share of the class's images), `sizes`
        (class, width, height, images) and `patients` (radiographs, patients with that many). The last two have no rows
        where all files have one size, and all patients one radiograph: there is nothing to draw.
    """
    one_label = pd.concat([rows.assign(label=name) for name, rows in rows_by_class(images)])
    counts = one_label.groupby(["label", "split"]).size().rename("images").reset_index()
    sides = {side: (one_label[side] / SIZE_STEP).round().astype(int) * SIZE_STEP for side in ("width", "height")}
    sizes = one_label.assign(**sides).groupby(["label", "width", "height"]).size().rename("images").reset_index()
    images_of_patient = images.groupby("patient").size().rename("radiographs")
    patients = images_of_patient.value_counts().sort_index().rename("patients").reset_index()
    if len(sizes[["width", "height"]].drop_duplicates()) == 1:
        sizes = sizes[:0]
    if patients["radiographs"].tolist() == [1]:
        patients = patients[:0]
    tables = {"counts": counts, "brightness": _brightness_histogram(one_label), "sizes": sizes}
    return {name: table.rename(columns={"label": "class"}) for name, table in tables.items()} | {"patients": patients}


def _brightness_histogram(one_label: pd.DataFrame) -> pd.DataFrame:
    steps = (one_label["brightness"] // BRIGHTNESS_STEP * BRIGHTNESS_STEP).astype(int)
    images = one_label.assign(brightness=steps).groupby(["label", "brightness"]).size().rename("share")
    return (images / images.groupby("label").transform("sum")).round(4).reset_index()


def _shared_patients(patients: dict[str, np.ndarray]) -> dict[str, int]:
    """Return how many patients two splits share."""
    return {
        f"{first}_{second}": len(np.intersect1d(patients[first], patients[second]))
        for first, second in combinations(SPLITS, 2)
    }


def _shared_images(fingerprints: dict[str, np.ndarray]) -> dict[str, int]:
    """Return how many images of the second split are in the first."""
    return {
        f"{first}_{second}": int(is_among(fingerprints[second], fingerprints[first]).sum())
        for first, second in combinations(SPLITS, 2)
    }


def _file_facts(rows: pd.DataFrame) -> dict:
    medians = rows[["width", "height", "bytes", "brightness"]].median()
    facts: dict = {name: round(float(value), 1) for name, value in medians.items()}
    return facts | {"modes": rows["mode"].value_counts().sort_index().to_dict()}
