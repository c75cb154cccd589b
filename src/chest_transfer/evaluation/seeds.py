"""Scores over training seeds: their mean, with an interval for other seeds and other patients.

Seeds are the readers of `reader_study`. With one seed, an interval is over test patients alone.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from chest_transfer.data.arrays import UNKNOWN
from chest_transfer.evaluation.calibrated_predictions import CalibratedPredictions
from chest_transfer.evaluation.delong import delong
from chest_transfer.evaluation.fit_scores import EvaluatedFit
from chest_transfer.evaluation.intervals import EXACT_INTERVALS, NO_WIDTH, PatientCounts, rounded, with_interval
from chest_transfer.evaluation.reader_study import ReaderStudy, bootstrap_covariance
from chest_transfer.training.fit_check import OK, has_failed

OF_A_FIT = ("threshold", "temperature", "adaptation", "machine")  # what the mean of several fits does not have


def mean_over_seeds(
    name: str,
    values: Sequence[float],
    resampled: Sequence[np.ndarray],
    patients: PatientCounts,
    covariance: np.ndarray | None = None,
) -> dict[str, float | None]:
    """Return the mean of a score over seeds as `name`, `<name>_low` and `<name>_high`.

    Args:
        name: str.
        values: sequence of float, of each seed, 0-1.
        resampled: sequence of (R,) arrays, of each seed, the values in the same resamples of patients.
        patients: PatientCounts behind the score.
        covariance: (seeds, seeds) array of the errors over patients; None for that of the resamples.
    """
    mean = float(np.mean(values))
    by_patients = with_interval(name, mean, np.mean(resampled, axis=0), patients)
    if len(values) == 1 or by_patients[f"{name}_low"] is None:
        return by_patients
    if covariance is None:
        covariance = bootstrap_covariance(np.array(resampled))
    estimate = ReaderStudy.of(np.array(values), covariance, treatments=1).mean(0)
    if not 0 < mean < 1 or estimate.error < NO_WIDTH:
        return by_patients
    low, high = estimate.area_interval
    if patients.are_few and name in EXACT_INTERVALS:  # the covariance of so few is too small
        low, high = min(low, by_patients[f"{name}_low"]), max(high, by_patients[f"{name}_high"])
    return {name: rounded(mean), f"{name}_low": rounded(low), f"{name}_high": rounded(high)}


def record_over_seeds(fits: list[EvaluatedFit]) -> dict:
    """Return the record of fits that differ in their seed alone: means, and intervals where each fit has them.

    It is that of the fit where there is one. A threshold and a temperature belong to a single fit.
    """
    first = fits[0]
    if len(fits) == 1:
        return dict(first.record)
    record = {key: value for key, value in first.record.items() if key not in OF_A_FIT}
    single_numbers = [key for key, value in record.items() if isinstance(value, float)]
    record |= {key: _mean_of_known([fit.record[key] for fit in fits]) for key in single_numbers}
    for name in [name for name in first.scores.values if name != "auc"]:
        values, resampled = [fit.scores.values[name] for fit in fits], [fit.scores.resampled[name] for fit in fits]
        record |= mean_over_seeds(name, values, resampled, first.scores.patients)
    record |= area_over_seeds(fits)
    if "findings" in record:
        record["findings"] = {
            finding: mean_over_seeds("auc", *zip(*(fit.scores.class_areas[finding][:2] for fit in fits), strict=True),
                                     first.scores.class_areas[finding][2])
            for finding in first.scores.class_areas
        }  # fmt: skip
    if "fit" in record:
        record["fit"] = fit_verdict(fits)
    if "thresholds" in record:
        record["thresholds"] = {
            kind: {score: _mean_of_known([fit.record["thresholds"][kind][score] for fit in fits]) for score in scores}
            for kind, scores in record["thresholds"].items()
            if all(kind in fit.record["thresholds"] for fit in fits)
        }
    return record


def area_over_seeds(fits: list[EvaluatedFit]) -> dict[str, float | None]:
    """Return the `auc` of fits that differ in their seed alone, with its interval."""
    values, resampled = zip(*(fit.scores.area for fit in fits), strict=True)
    covariance = area_covariance([fit.on_scored for fit in fits])
    return mean_over_seeds("auc", values, resampled, fits[0].scores.patients, covariance)


def area_covariance(predictions: list[CalibratedPredictions]) -> np.ndarray | None:
    """Return the covariance of models' areas on the same images by DeLong; None where several classes are averaged."""
    if len(predictions[0].evaluable_classes) != 1:
        return None
    [k] = predictions[0].evaluable_classes
    labels = predictions[0].labels[:, k]
    known = labels != UNKNOWN
    scores = np.stack([of_model.log_odds[known, k] for of_model in predictions])
    return delong(labels[known], scores, predictions[0].patients[known])[1]


def pooled(predictions: list[CalibratedPredictions]) -> CalibratedPredictions:
    """Return the calibrated predictions of several seeds for the same images as one, of which curves are drawn."""
    first = predictions[0]
    if len(predictions) == 1:
        return first
    return replace(
        first,
        labels=np.concatenate([of_seed.labels for of_seed in predictions]),
        logits=np.concatenate([of_seed.logits / of_seed.temperature for of_seed in predictions]),
        temperature=1.0,
        patients=None if first.patients is None else np.concatenate([of_seed.patients for of_seed in predictions]),
        decided=np.concatenate([of_seed.predicted for of_seed in predictions]),
    )


def fit_verdict(fits: list[EvaluatedFit]) -> str:
    """Return `ok`, or each reason why fits of several seeds failed, with these seeds; of one fit its own verdict."""
    if len(fits) == 1:
        return fits[0].record["fit"]
    seeds: dict[str, list[str]] = {}
    for fit in fits:
        if has_failed(fit.record):
            seeds.setdefault(fit.record["fit"], []).append(str(fit.name.seed))
    return "; ".join(f"{reason} (seed {', '.join(of_reason)})" for reason, of_reason in seeds.items()) or OK


def _mean_of_known(values: list[float | None]) -> float | None:
    return rounded(float(np.mean(values))) if None not in values else None
