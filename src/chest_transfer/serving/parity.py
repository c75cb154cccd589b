"""Parity: radiographs on which an export is compared with its model, and what the export costs there."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import logit

from chest_transfer.data.arrays import Arrays, open_arrays
from chest_transfer.data.selection import order_by_name_hash
from chest_transfer.evaluation.calibrated_predictions import uncalibrated_predictions
from chest_transfer.evaluation.intervals import cluster_bootstrap_weights, confidence_interval
from chest_transfer.evaluation.metrics import score_area
from chest_transfer.networks.facts import ClassifierFacts
from chest_transfer.phantom.pretraining import fresh_patients

MOST_COMPARED = 500  # radiographs
MOST_EXAMPLES = 100  # radiographs from which int8 takes its ranges
RESAMPLES, SEED = 1000, 1
SMALLEST_PROBABILITY = 1e-7  # of float32


@dataclass(frozen=True)
class Sample:
    """Radiographs as a model takes them.

    Args:
        images: (n, size, size) uint8 array to compare on.
        examples: (m, size, size) uint8 array, others of the kind.
        description: str, what they are.
        labels: (n, K) array of 0 and 1; None where they are not of the model's dataset.
        patients: (n,) str array, or None.
    """

    images: np.ndarray
    examples: np.ndarray
    description: str
    labels: np.ndarray | None = None
    patients: np.ndarray | None = None


def sample_like(facts: ClassifierFacts) -> Sample:
    """Return radiographs of the model's test and training splits if they are here, else simulated ones."""
    dataset, size, shown = facts.dataset, facts.image_size, (facts.region, facts.outside_lungs)
    splits = [Path(f"data/arrays/{dataset}/{split}.npz") for split in ("test", "train")]
    if all(path.exists() for path in splits):
        test, train = map(open_arrays, splits)
        summary = json.loads(Path(f"data/arrays/{dataset}/summary.json").read_text())
        if (test.images.shape[1], summary["region"], summary["outside_lungs"]) == (size, *shown):
            rows = _some_rows(test, MOST_COMPARED)
            examples = train.images[_some_rows(train, MOST_EXAMPLES)]
            description = f"{len(rows)} test radiographs of {dataset}"
            return Sample(test.images[rows], examples, description, test.targets[rows], test.patients[rows])
    simulated, _ = fresh_patients(2 * MOST_EXAMPLES, 1, size, 1, *shown)
    images, examples = simulated.images[::2], simulated.images[1::2]
    return Sample(images, examples, f"{len(images)} simulated radiographs")


def area_change(
    sample: Sample, facts: ClassifierFacts, expected: np.ndarray, exported: np.ndarray
) -> tuple[float, float, float] | None:
    """Return the area under the ROC curve of an export minus its model's, and its 95 % interval over patients.

    Args:
        sample: Sample that both predicted.
        facts: of the model's file.
        expected: (n, K) array, probabilities of the model before calibration.
        exported: (n, K) array, those of the export.

    Returns:
        None where the sample's labels are unknown or of one kind only.
    """
    if sample.labels is None:
        return None
    weights = cluster_bootstrap_weights(sample.patients, RESAMPLES, SEED)
    areas = []
    for probabilities in (expected, exported):
        logits = _logits(probabilities, facts.multi_label)
        predictions = uncalibrated_predictions(sample.labels.astype(int), logits, facts.classes, facts.multi_label)
        if not predictions.evaluable_classes:
            return None
        areas.append(score_area(predictions, weights))
    (model, of_model), (export, of_export) = areas
    return (export - model, *confidence_interval(of_export - of_model))


def _some_rows(split: Arrays, most: int) -> np.ndarray:
    return np.sort(order_by_name_hash(split.names)[:most])


def _logits(probabilities: np.ndarray, multi_label: bool) -> np.ndarray:
    clipped = np.clip(np.asarray(probabilities, np.float64), SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    return logit(clipped) if multi_label else np.log(clipped)
