"""Explanations: heat maps of a model on test radiographs chosen by rule, drawn on a sheet and scored where it is known
where to look.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from chest_transfer.data.archives import Archive
from chest_transfer.data.arrays import Arrays
from chest_transfer.data.catalog import Dataset
from chest_transfer.data.radiographs import decode
from chest_transfer.evaluation.localisation import box_masks, localisation
from chest_transfer.evaluation.metrics import Judged

KINDS = ("true positive", "false positive", "false negative", "true negative")
MOST_SCORED = 200  # radiographs of a class
BATCH = 16


@dataclass(frozen=True)
class Shown:
    """One radiograph on the sheet: its row in the test split, the class that is explained, and what the model said."""

    row: int
    class_number: int
    kind: str
    probability: float


def in_fixed_order(names: np.ndarray) -> np.ndarray:
    """Rows in an order that depends on nothing but the names: by the hash of each. Nobody picked the first ones."""
    return np.array(sorted(range(len(names)), key=lambda row: hashlib.sha256(names[row].encode()).digest()), int)


def chosen(judged: Judged, names: np.ndarray, images: int) -> list[Shown]:
    """The first `images` of each kind for the disease; with more classes, the first of each kind for each class."""
    order, found = in_fixed_order(names), []
    for k in judged.scored:
        truth, called = judged.truth[order, k], judged.called[order, k]
        for kind, (true, says) in zip(KINDS, ((1, 1), (0, 1), (1, 0), (0, 0)), strict=True):
            rows = order[(truth == true) & (called == says)][: images if len(judged.scored) == 1 else 1]
            found += [Shown(int(row), k, kind, float(judged.probabilities[row, k])) for row in rows]
    return found


def maps_of(cam, test: Arrays, shown: list[Shown]) -> np.ndarray:
    """(n, H, W) float32, one for each."""
    rows = np.array([each.row for each in shown], int)
    return heat_maps(cam, test.images[rows], np.array([each.class_number for each in shown], int))


def heat_maps(cam, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """(n, H, W) float32 of any number of radiographs."""
    parts = [cam.maps(images[i : i + BATCH], classes[i : i + BATCH]) for i in range(0, len(images), BATCH)]
    return np.concatenate(parts) if parts else np.zeros((0, *images.shape[1:]), np.float32)


def localised(
    cam, dataset: Dataset, archive_path: Path, test: Arrays, boxes: pd.DataFrame, fit: str, asked
) -> dict[str, dict]:
    """How well heat maps point: `boxes` of each class that has any, and `lungs` where the archive has masks.

    Args:
        cam: a `GradCam`.
        dataset, archive_path: the catalog's entry, and its archive.
        test: the split.
        boxes: of `boxes.csv`.
        fit: of `preprocess`.
        asked: rounds and seed of the bootstrap.
    """
    with Archive(archive_path) as archive:
        masks = lung_masks(dataset, archive, test, fit)
    return {
        "boxes": on_boxes(cam, test, boxes, asked.rounds, asked.seed),
        "lungs": in_lungs(cam, test, masks, asked.rounds, asked.seed),
    }


def on_boxes(cam, test: Arrays, boxes: pd.DataFrame, rounds: int, seed: int) -> dict[str, dict]:
    """`localisation` of each class that has boxes in the test split, on at most `MOST_SCORED` radiographs."""
    found, row_of = {}, {name: row for row, name in enumerate(test.names)}
    for number, name in enumerate(test.classes):
        of_class = boxes[(boxes["finding"] == name) & boxes["name"].isin(row_of)]
        with_box = of_class["name"].drop_duplicates().to_numpy(str)
        rows = np.array([row_of[name] for name in with_box[in_fixed_order(with_box)][:MOST_SCORED]], int)
        by_name = dict(list(of_class.groupby("name")))
        maps = heat_maps(cam, test.images[rows], np.full(len(rows), number))
        masks = np.array([box_masks(by_name[test.names[row]], maps.shape[1]) for row in rows])
        if scored := localisation(maps, masks, test.patients[rows], rounds, seed):
            found[str(name)] = scored
    return found


def lung_masks(dataset: Dataset, archive: Archive, test: Arrays, fit: str) -> dict[int, np.ndarray]:
    """Row of the test split -> (H, W) bool, the lungs, of at most `MOST_SCORED` radiographs; empty without masks."""
    members, row_of = set(archive.members), {name: row for row, name in enumerate(test.names)}
    masks = {
        row_of[radiograph.name]: str(mask)
        for radiograph in dataset.layout.read(archive).radiographs
        if (mask := _mask_of(radiograph.member)) and str(mask) in members and radiograph.name in row_of
    }
    rows = np.array(sorted(masks), int)
    rows = rows[in_fixed_order(test.names[rows])][:MOST_SCORED]
    return {int(row): decode(archive.read(masks[row]), test.images.shape[1], fit) > 127 for row in rows}


def in_lungs(cam, test: Arrays, masks: dict[int, np.ndarray], rounds: int, seed: int) -> dict:
    """`localisation` of each radiograph's own class in its lungs; empty where there are no masks."""
    rows = np.array(list(masks), int)
    maps = heat_maps(cam, test.images[rows], test.targets[rows].argmax(axis=1))
    return localisation(maps, np.array(list(masks.values())), test.patients[rows], rounds, seed)


def _mask_of(member: str) -> PurePosixPath | None:
    """`masks/` beside `images/`, as in the COVID archive."""
    path = PurePosixPath(member)
    return path.parent.with_name("masks") / path.name if path.parent.name == "images" else None
