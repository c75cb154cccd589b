"""Parity: radiographs to hold an export against its model on, and what it is worth there."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chest_transfer.data.arrays import Arrays, open_arrays
from chest_transfer.evaluation.explanation import in_fixed_order
from chest_transfer.evaluation.intervals import drawn, interval
from chest_transfer.evaluation.metrics import Judged, area, sampled_areas
from chest_transfer.phantom.pretraining import fresh_patients

MOST = 500  # radiographs to compare on
EXAMPLES = 100  # radiographs to take ranges from
ROUNDS = 1000


@dataclass(frozen=True)
class Sample:
    """Radiographs as a model takes them.

    Args:
        images: (n, size, size) uint8 to compare on.
        examples: (m, size, size) uint8, others of the kind.
        said: what they are.
        targets: (n, K) 0 or 1, and patients (n,); None where they are not those of the model's dataset.
    """

    images: np.ndarray
    examples: np.ndarray
    said: str
    targets: np.ndarray | None = None
    patients: np.ndarray | None = None


def sample_like(dataset: str, size: int) -> Sample:
    """Of the dataset's test and training splits, by the hashes of their names, where they are here; else simulated."""
    splits = [Path(f"data/arrays/{dataset}/{split}.npz") for split in ("test", "train")]
    if all(path.exists() for path in splits):
        test, train = map(open_arrays, splits)
        if test.images.shape[1] == size:
            rows = _some(test, MOST)
            said = f"{len(rows)} test radiographs of {dataset}"
            examples = train.images[_some(train, EXAMPLES)]
            return Sample(test.images[rows], examples, said, test.targets[rows], test.patients[rows])
    simulated, _ = fresh_patients(2 * EXAMPLES, seed=1, image_size=size, processes=1)
    images, examples = simulated.images[::2], simulated.images[1::2]
    return Sample(images, examples, f"{len(images)} simulated radiographs")


def _some(split: Arrays, most: int) -> np.ndarray:
    return np.sort(in_fixed_order(split.names)[:most])


def area_change(
    sample: Sample, facts: dict, expected: np.ndarray, found: np.ndarray
) -> tuple[float, float, float] | None:
    """The area under the ROC curve of an export less its model's, and its 95 % interval (paired, over patients).

    Args:
        sample: what both were asked of.
        facts: of the model's file.
        expected, found: (n, K) probabilities of the model and of the export, before calibration.
    """
    if sample.targets is None:
        return None
    several, temperature = facts["multi_label"], facts["temperature"]
    cuts = np.full(sample.targets.shape[1], 0.5)
    model, other = (Judged(sample.targets, raw, several, temperature, cuts) for raw in (expected, found))
    if not model.scored:
        return None
    weights = drawn(sample.patients, ROUNDS, seed=1)
    low, high = interval(sampled_areas(other, weights) - sampled_areas(model, weights))
    return area(other) - area(model), low, high
