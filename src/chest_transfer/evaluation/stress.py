"""The stress test: a model's scores where a shortcut says nothing of the classes, or the opposite of what it does.

No network is trained, and nothing is chosen: temperature and threshold are those of validation. Intervals are over
patients; the balancing weights and the seeds at hand are taken as they are.
"""

from dataclasses import dataclass

import numpy as np

from chest_transfer.data.arrays import UNKNOWN
from chest_transfer.data.covariates import WITHOUT_DISEASE, Covariates
from chest_transfer.evaluation.balancing import REVERSED, balancing_weights, effective_count, is_balanced
from chest_transfer.evaluation.calibrated_predictions import CalibratedPredictions
from chest_transfer.evaluation.intervals import DECIMALS, PatientCounts, ranking_scores, rounded, with_interval

SCORES = ("auc", "sensitivity", "specificity")


@dataclass(frozen=True)
class WeightedScores:
    """The scores of one model on weighted radiographs.

    Args:
        values: dict of (1 + R,) float64 arrays by score: of all radiographs, then of each resample.
        patients: PatientCounts: the effective numbers of ill and of healthy patients, of several classes the fewest.
    """

    values: dict[str, np.ndarray]
    patients: PatientCounts


def class_weights(predictions: CalibratedPredictions, covariates: Covariates) -> dict[str, dict[int, np.ndarray]]:
    """Return the weights (N,) of each evaluable class, by its number, under which a shortcut is matched and reversed.

    A radiograph of which a class is not known has weight 0 there.

    Args:
        predictions: CalibratedPredictions, of which only the labels count.
        covariates: Covariates of the same radiographs.
    """
    weights: dict[str, dict[int, np.ndarray]] = {}
    for k in predictions.averaged_classes:
        known = predictions.labels[:, k] != UNKNOWN
        of_class = balancing_weights(predictions.labels[known, k] == 1, covariates.of_class(k)[known])
        for kind, values in of_class.items():
            of_all = np.zeros(len(known))
            of_all[known] = values
            weights.setdefault(kind, {})[k] = of_all
    return weights


def weighted_scores(
    predictions: CalibratedPredictions, weights: dict[int, np.ndarray] | None, resamples: np.ndarray
) -> WeightedScores:
    """Return the scores of a model on weighted radiographs: macro averages over classes, as those of a model.

    Args:
        predictions: CalibratedPredictions of N radiographs.
        weights: dict of (N,) arrays by the number of a class; None for equal weights.
        resamples: (R, N) array, of `cluster_bootstrap_weights`.
    """
    classes = predictions.averaged_classes if weights is None else list(weights)
    values: dict[str, list[np.ndarray]] = {name: [] for name in SCORES}
    counts = []
    if not classes:
        nothing = np.full(1 + len(resamples), np.nan)
        return WeightedScores(dict.fromkeys(SCORES, nothing), PatientCounts(0, 0, 0))
    for k in classes:
        of_class = np.ones(len(predictions.labels)) if weights is None else weights[k]
        labels, predicted = predictions.labels[:, k], predictions.predicted[:, k]
        with_all = np.vstack([of_class, resamples * of_class]).astype(np.float32)
        values["auc"].append(ranking_scores(labels, predictions.log_odds[:, k], with_all)[0].round(DECIMALS))
        for name, is_counted, is_right in (
            ("sensitivity", labels == 1, predicted == 1), ("specificity", labels == 0, predicted == 0),
        ):  # fmt: skip
            of_rows = with_all[:, is_counted].astype(np.float64)
            with np.errstate(invalid="ignore"):
                values[name].append(of_rows @ is_right[is_counted] / of_rows.sum(axis=1))
        counts.append([_effective_patients(predictions, labels == value, of_class) for value in (1, 0)])
    ill, healthy = np.min(counts, axis=0).astype(int)
    return WeightedScores(
        {name: np.mean(of_classes, axis=0) for name, of_classes in values.items()},
        PatientCounts(int(ill), int(healthy), int(ill + healthy), len(classes)),
    )


def stress_record(stressed: list[WeightedScores], plain: list[WeightedScores]) -> dict:
    """Return the mean scores over seeds under stress, with the change of the area from the same radiographs unstressed.

    Args:
        stressed: list of WeightedScores, of each seed.
        plain: list of WeightedScores, of each seed, of the same resamples.
    """
    patients = stressed[0].patients
    record: dict = {}
    for name in SCORES:
        values = np.mean([scores.values[name] for scores in stressed], axis=0)
        record |= with_interval(name, values[0], values[1:], patients)
    changes = np.mean(
        [one.values["auc"] - other.values["auc"] for one, other in zip(stressed, plain, strict=True)], axis=0
    )
    record |= with_interval("change", changes[0], changes[1:])
    if not patients.are_enough:
        record |= {"change_low": None, "change_high": None}
    return record | {"effective_ill": patients.ill, "effective_healthy": patients.healthy}


def reversed_validation_area(val: CalibratedPredictions, covariates: dict[str, Covariates]) -> dict:
    """Return the area on validation where a strong shortcut says the opposite, by which one may choose a model.

    It is that of the shortcut without disease that tells the classes of validation apart best; where that leaves too
    few patients who go against it, the next one.

    Args:
        val: CalibratedPredictions of the validation split.
        covariates: dict of Covariates of that split, by shortcut.

    Returns:
        dict: `shortcut`; `shortcut_auc`, its own area; `auc`, the model's where it is reversed; None where no shortcut
        leaves enough patients.
    """
    nothing = np.zeros((0, len(val.labels)))
    areas = {
        name: float(np.mean(shortcut_areas(val, covariates[name], None) or [0.5]))
        for name in WITHOUT_DISEASE
        if name in covariates
    }
    for name in sorted(areas, key=lambda name: -areas[name]):
        weights = class_weights(val, covariates[name]).get(REVERSED)
        if weights and is_balanced(REVERSED, shortcut_areas(val, covariates[name], weights)):
            scores = weighted_scores(val, weights, nothing)
            if scores.patients.are_enough:
                area = rounded(scores.values["auc"][0])
                return {"shortcut": name, "shortcut_auc": rounded(areas[name]), "auc": area}
    return {"shortcut": None, "shortcut_auc": None, "auc": None}


def shortcut_areas(
    predictions: CalibratedPredictions, covariates: Covariates, weights: dict[int, np.ndarray] | None
) -> list[float]:
    """Return the area under the ROC curve of a shortcut model itself for each class, on weighted radiographs."""
    areas = []
    for k in predictions.averaged_classes if weights is None else weights:
        of_class = np.ones((1, len(predictions.labels))) if weights is None else weights[k][None]
        scores = covariates.log_odds[:, k].astype(np.float64)
        areas.append(ranking_scores(predictions.labels[:, k], scores, of_class.astype(np.float32))[0][0])
    return [float(area) for area in areas]


def _effective_patients(predictions: CalibratedPredictions, rows: np.ndarray, weights: np.ndarray) -> float:
    patients = np.arange(len(rows)) if predictions.patients is None else predictions.patients
    _, patient_of = np.unique(patients[rows], return_inverse=True)
    return effective_count(np.bincount(patient_of, weights[rows]))
