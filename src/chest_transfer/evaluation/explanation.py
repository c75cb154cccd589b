"""Explanations: heat maps of a model on test radiographs that are chosen by rule, not by how they look."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from chest_transfer.data.arrays import Arrays
from chest_transfer.data.selection import order_by_name_hash
from chest_transfer.evaluation.calibrated_predictions import CalibratedPredictions

# (label, prediction) of each kind of outcome.
OUTCOMES = {
    "true positive": (1, 1),
    "false positive": (0, 1),
    "false negative": (1, 0),
    "true negative": (0, 0),
}
BATCH = 16
HeatMaps = Callable[[np.ndarray, np.ndarray], np.ndarray]  # `GradCam.maps`


@dataclass(frozen=True)
class Example:
    """A radiograph of the test split that is shown with a heat map.

    Args:
        row: int, its row in the split.
        class_number: int, the class that is explained.
        outcome: str, a key of `OUTCOMES`.
        probability: float, calibrated, of that class.
    """

    row: int
    class_number: int
    outcome: str
    probability: float


def choose_examples(predictions: CalibratedPredictions, names: np.ndarray, images: int) -> list[Example]:
    """Return the first radiographs with each outcome, in the order of `order_by_name_hash`.

    Args:
        predictions: CalibratedPredictions of the test split.
        names: (N,) str array, of its radiographs.
        images: int, for each outcome; with several evaluable classes one for each class and outcome.
    """
    order, examples = order_by_name_hash(names), []
    for k in predictions.evaluable_classes:
        labels, predicted = predictions.labels[order, k], predictions.predicted[order, k]
        for outcome, (label, prediction) in OUTCOMES.items():
            rows = order[(labels == label) & (predicted == prediction)]
            rows = rows[: images if len(predictions.evaluable_classes) == 1 else 1]
            examples += [Example(int(row), k, outcome, float(predictions.probabilities[row, k])) for row in rows]
    return examples


def maps_of_examples(heat_maps: HeatMaps, test: Arrays, examples: list[Example]) -> np.ndarray:
    """Return (n, H, W) float32, the heat map of each example."""
    rows = np.array([example.row for example in examples], int)
    classes = np.array([example.class_number for example in examples], int)
    return maps_in_batches(heat_maps, test.images[rows], classes)


def maps_in_batches(heat_maps: HeatMaps, images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return (n, H, W) float32 heat maps of any number of radiographs.

    Args:
        heat_maps: `GradCam.maps`.
        images: (n, H, W) uint8 array.
        classes: (n,) int array, the class that is explained of each.
    """
    starts = range(0, len(images), BATCH)
    batches = [heat_maps(images[start : start + BATCH], classes[start : start + BATCH]) for start in starts]
    return np.concatenate(batches) if batches else np.zeros((0, *images.shape[1:]), np.float32)
