"""A model's predictions for a split, calibrated, with the labels that its thresholds give."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from chest_transfer.data.arrays import UNKNOWN
from chest_transfer.data.predictions import Predictions, read_predictions
from chest_transfer.evaluation.intervals import PatientCounts
from chest_transfer.evaluation.operating_points import (
    Calibration,
    calibrated_log_odds,
    calibrated_probabilities,
    fit_calibration,
    predicted_labels,
    to_probabilities,
)
from chest_transfer.model_names import ModelName


@dataclass(frozen=True)
class CalibratedPredictions:
    """A model's predictions for one split, with the calibration and the thresholds that were chosen on validation.

    Args:
        labels: (N, K) array of 0, 1, and `UNKNOWN` for independent classes that nobody looked for.
        logits: (N, K) array, raw.
        classes: list of K str.
        multi_label: bool, whether an image may have several labels.
        temperature: float.
        thresholds: (K,) array of calibrated probabilities.
        patients: (N,) str array; None where each image counts as a patient.
        decided: (N, K) array of 0 and 1, the predicted labels where they do not follow from these thresholds.
    """

    labels: np.ndarray
    logits: np.ndarray
    classes: list[str]
    multi_label: bool
    temperature: float
    thresholds: np.ndarray
    patients: np.ndarray | None = None
    decided: np.ndarray | None = None

    @cached_property
    def log_odds(self) -> np.ndarray:
        """(N, K) calibrated log odds of each class; their order is that of the probabilities, without ties at 1."""
        return calibrated_log_odds(self.logits, self.temperature, self.multi_label)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """(N, K) calibrated probabilities."""
        return to_probabilities(self.log_odds)

    @cached_property
    def uncalibrated(self) -> np.ndarray:
        """(N, K) probabilities as the network gives them."""
        return calibrated_probabilities(self.logits, 1.0, self.multi_label)

    @cached_property
    def predicted(self) -> np.ndarray:
        """(N, K) array of 0 and 1, the predicted labels."""
        if self.decided is not None:
            return self.decided
        return predicted_labels(self.probabilities, self.thresholds, self.multi_label)

    @cached_property
    def evaluable_classes(self) -> list[int]:
        """The classes with positive and negative images; of two exclusive classes only the second, the disease."""
        count = self.labels.shape[1]
        candidates = [1] if count == 2 and not self.multi_label else range(count)
        return [k for k in candidates if (self.labels[:, k] == 1).any() and (self.labels[:, k] == 0).any()]

    @property
    def averaged_classes(self) -> list[int]:
        """The evaluable classes with enough patients for an interval; where none has, all that are evaluable."""
        enough = [k for k in self.evaluable_classes if self.patient_counts([k]).are_enough]
        return enough or self.evaluable_classes

    def patient_counts(self, classes: list[int]) -> PatientCounts:
        """Return how many patients have images with, and how many images without, the rarest of some classes."""
        patients = np.arange(len(self.labels)) if self.patients is None else self.patients
        with_class = [len(np.unique(patients[self.labels[:, k] == 1])) for k in classes]
        without = [len(np.unique(patients[self.labels[:, k] == 0])) for k in classes]
        fewest = min(with_class, default=0), min(without, default=0)
        return PatientCounts(*fewest, patients=len(np.unique(patients)), classes=len(classes))

    def known(self, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return labels, log odds and probabilities of one class where its label is known, (n,) each."""
        rows = self.labels[:, k] != UNKNOWN
        return self.labels[rows, k], self.log_odds[rows, k], self.probabilities[rows, k]

    def of_images(self, rows: np.ndarray) -> "CalibratedPredictions":
        """Return the predictions for some of the images, chosen by (N,) bool."""
        if rows.all():
            return self
        patients = None if self.patients is None else self.patients[rows]
        decided = None if self.decided is None else self.decided[rows]
        return replace(self, labels=self.labels[rows], logits=self.logits[rows], patients=patients, decided=decided)


def calibrate(predictions: Predictions, calibration: Calibration, multi_label: bool, point: str):
    """Return raw predictions with a calibration and the thresholds of an operating point as CalibratedPredictions."""
    return CalibratedPredictions(
        predictions.labels, predictions.logits, predictions.classes, multi_label, calibration.temperature,
        np.asarray(calibration.thresholds[point]), predictions.patients,
    )  # fmt: skip


def uncalibrated_predictions(
    labels: np.ndarray, logits: np.ndarray, classes: list[str], multi_label: bool, patients: np.ndarray | None = None
) -> CalibratedPredictions:
    """Return predictions with temperature 1 and thresholds of 0.5, for scores that need neither."""
    return CalibratedPredictions(labels, logits, classes, multi_label, 1.0, np.full(labels.shape[1], 0.5), patients)


def calibrated_test_predictions(name: ModelName, operating_point: str) -> CalibratedPredictions:
    """Return the test predictions of a model that was fitted to its dataset, calibrated on its validation predictions.

    Args:
        name: ModelName.
        operating_point: str, a key of `operating_points.OPERATING_POINTS`.
    """
    val, test = (read_predictions(name.predictions_of(split)) for split in ("val", "test"))
    calibration = fit_calibration(val.labels, val.logits, val.multi_label)
    return calibrate(test, calibration, val.multi_label, operating_point)
