"""Explained datasets: the heat maps of several models drawn, and scored in the boxes and lungs that are known."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from tqdm import tqdm

from chest_transfer.data.archives import Archive
from chest_transfer.data.arrays import Arrays
from chest_transfer.data.radiographs import decode_square
from chest_transfer.data.regions import window_of
from chest_transfer.data.selection import order_by_name_hash
from chest_transfer.evaluation.calibrated_predictions import calibrated_test_predictions
from chest_transfer.evaluation.explanation import HeatMaps, choose_examples, maps_in_batches, maps_of_examples
from chest_transfer.evaluation.figures import heat_map_figure, save_figure
from chest_transfer.evaluation.localization import box_mask, localization_scores
from chest_transfer.model_names import ModelName
from chest_transfer.networks.facts import ClassifierFacts
from chest_transfer.networks.saving import load_model

if TYPE_CHECKING:
    from chest_transfer.settings import Explain

MOST_SCORED = 200  # radiographs of a class


@dataclass(frozen=True)
class ExplainedDataset:
    """What heat maps are drawn over and compared with.

    Args:
        archive: Path of its archive, which may hold lung masks.
        test: Arrays of the test split.
        images: table `images.csv`.
        boxes: table `boxes.csv`.
        fit: str, how radiographs were made square.
    """

    archive: Path
    test: Arrays
    images: pd.DataFrame
    boxes: pd.DataFrame
    fit: str


def explain_models(
    names: list[ModelName], dataset: ExplainedDataset, settings: "Explain", operating_point: str, folder: Path
) -> dict[str, dict]:
    """Draw the heat maps of models as `<folder>/<regime>-<start>.png`, and score where they point.

    Args:
        names: list of ModelName.
        dataset: ExplainedDataset.
        settings: section `explain` of the settings.
        operating_point: str, that decides which radiographs are true and false positives.
        folder: Path of the folder to write to.

    Returns:
        dict of `score_localization` by regime and start.
    """
    from chest_transfer.evaluation.grad_cam import GradCam

    scores: dict[str, dict] = {}
    for name in tqdm(names, "explain", leave=False, unit=" models", disable=None):
        network, _ = load_model(name.network, ClassifierFacts)
        heat_maps = GradCam(network, settings.method).maps
        predictions = calibrated_test_predictions(name, operating_point)
        examples = choose_examples(predictions, dataset.test.names, settings.images)
        maps = maps_of_examples(heat_maps, dataset.test, examples)
        figure = heat_map_figure(dataset.test, examples, maps, dataset.boxes, f"{name.dataset}: {name.key}")
        save_figure(figure, folder / f"{name.key}.png")
        scores.setdefault(name.regime, {})[name.start] = score_localization(heat_maps, dataset)
    return scores


def score_localization(heat_maps: HeatMaps, dataset: ExplainedDataset) -> dict[str, dict]:
    """Return how well heat maps point: `boxes` for each class that has any, and `lungs` where the archive has masks."""
    with Archive(dataset.archive) as archive:
        masks = lung_masks(archive, dataset.test, dataset.images, dataset.fit)
    return {
        "boxes": _scores_in_boxes(heat_maps, dataset.test, dataset.boxes),
        "lungs": _scores_in_lungs(heat_maps, dataset.test, masks),
    }


def lung_masks(archive: Archive, test: Arrays, images: pd.DataFrame, fit: str) -> dict[int, np.ndarray]:
    """Return the lung masks of at most `MOST_SCORED` test radiographs; none if the archive has no masks.

    Args:
        archive: Archive of the dataset.
        test: Arrays of the test split.
        images: table `images.csv`, indexed by name.
        fit: str, how radiographs were made square.

    Returns:
        dict of (H, W) bool arrays by row of the test split.
    """
    members = set(archive.members)
    masks = {row: _mask_member(images.at[name, "member"]) for row, name in enumerate(test.names)}
    mask_members = {row: mask for row, mask in masks.items() if mask in members}
    rows = np.array(sorted(mask_members), int)
    rows = rows[order_by_name_hash(test.names[rows])][:MOST_SCORED]
    size = test.images.shape[1]
    windows = {row: window_of(images.loc[test.names[row]]) for row in rows}
    return {int(row): decode_square(archive.read(mask_members[row]), size, fit, windows[row]) > 127 for row in rows}


def _scores_in_boxes(heat_maps: HeatMaps, test: Arrays, boxes: pd.DataFrame) -> dict[str, dict]:
    scores, row_of = {}, {name: row for row, name in enumerate(test.names)}
    for number, name in enumerate(test.classes):
        of_class = boxes[(boxes["finding"] == name) & boxes["name"].isin(row_of)]
        with_box = of_class["name"].drop_duplicates().to_numpy(str)
        scored = with_box[order_by_name_hash(with_box)][:MOST_SCORED]
        rows = np.array([row_of[name] for name in scored], int)
        boxes_of = dict(list(of_class.groupby("name")))
        maps = maps_in_batches(heat_maps, test.images[rows], np.full(len(rows), number))
        masks = np.array([box_mask(boxes_of[name], maps.shape[1]) for name in scored])
        if of_boxes := localization_scores(maps, masks, test.patients[rows]):
            scores[str(name)] = of_boxes
    return scores


def _scores_in_lungs(heat_maps: HeatMaps, test: Arrays, masks: dict[int, np.ndarray]) -> dict:
    """Return the scores of each radiograph's own class in its lungs."""
    rows = np.array(list(masks), int)
    maps = maps_in_batches(heat_maps, test.images[rows], test.targets[rows].argmax(axis=1))
    return localization_scores(maps, np.array(list(masks.values())), test.patients[rows])


def _mask_member(member: str) -> str | None:
    """Return `masks/<file>` beside `images/<file>`, as in the COVID archive."""
    path = PurePosixPath(member)
    return str(path.parent.with_name("masks") / path.name) if path.parent.name == "images" else None
