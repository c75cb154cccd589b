"""Comparisons: every pair of models on the same test images, and the gain of each start over the control."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from chest_transfer.evaluation.calibrated_predictions import CalibratedPredictions, uncalibrated_predictions
from chest_transfer.evaluation.delong import bootstrap_p_value, delong_p_value
from chest_transfer.evaluation.fit_scores import EvaluatedFit
from chest_transfer.evaluation.health import as_health, is_health
from chest_transfer.evaluation.intervals import (
    NO_WIDTH,
    PatientCounts,
    area_interval,
    confidence_interval,
    difference_interval,
    rounded,
)
from chest_transfer.evaluation.metrics import score_area
from chest_transfer.evaluation.reader_study import ReaderStudy, bootstrap_covariance
from chest_transfer.evaluation.seeds import area_covariance
from chest_transfer.model_names import NOT_FITTED, ModelName

CONTROL = "none"  # the starting weights that gains are measured against
COLUMNS = ("model", "other", "auc", "auc_low", "auc_high", "p", "p_delong")


@dataclass(frozen=True)
class _Areas:
    """The areas under the ROC curve on the images that are compared, of each seed, with what they come from.

    Args:
        values: (S,) array.
        resampled: (S, R) array.
        predictions: list of CalibratedPredictions.
    """

    values: np.ndarray
    resampled: np.ndarray
    predictions: list[CalibratedPredictions]

    @property
    def counts(self) -> PatientCounts:
        """Of the patients behind the area."""
        return self.predictions[0].patient_counts(self.predictions[0].averaged_classes)

    @property
    def log_odds(self) -> np.ndarray:
        """(S, N, K) array."""
        return np.stack([of_seed.log_odds for of_seed in self.predictions])


def compare_all(rows: list[list[EvaluatedFit]], weights: np.ndarray, multi_label: bool) -> pd.DataFrame:
    """Compare every pair of models on the test images that no model was trained on.

    A pair of which one model distinguishes only healthy from diseased is compared in that.

    Args:
        rows: list of the fits of each model, one for each seed, all of one dataset. Ensembles, of one fit each, are
            compared with each other.
        weights: (R, N) array of the bootstrap over all test images.
        multi_label: bool, whether the dataset's classes are independent.

    Returns:
        Table with the columns `COLUMNS`: the second model's area under the ROC curve minus the first's, with its
        interval; p of the hypothesis that it is 0. With one seed, the interval and p are of the paired bootstrap over
        patients, `p_delong` of DeLong's test where one class is ranked. With several, the interval and p are of the
        reader study, by DeLong's covariance where one class is ranked, and there is no `p_delong`.
    """
    unseen = ~np.any([fit.test.seen for fits in rows for fit in fits], axis=0)
    areas = {}
    for fits in rows:
        areas[fits[0].name.key, False] = _areas([_area(fit, unseen, weights) for fit in fits])
        areas[fits[0].name.key, True] = _areas([_health_area(fit, unseen, weights, multi_label) for fit in fits])
    differences = []
    for first, second in combinations([fits[0] for fits in rows], 2):
        if (first.name.seed is None) != (second.name.seed is None):
            continue  # an ensemble has no other seeds
        by_health = is_health(first.test) != is_health(second.test)
        pair = areas[first.name.key, by_health], areas[second.name.key, by_health]
        differences.append((first.name.key, second.name.key, *_difference(*pair)))
    table = pd.DataFrame(differences, columns=list(COLUMNS))
    return table.astype(dict.fromkeys(COLUMNS[2:], float))  # also where all are None


def area_difference(first: list[EvaluatedFit], second: list[EvaluatedFit], weights: np.ndarray) -> list[float | None]:
    """Return the second model's area minus the first's, its bounds, p and DeLong's p, as `compare_all` does for a pair.

    Args:
        first: list of the fits of a model, one for each seed.
        second: list of the fits of another one, of the same dataset and seeds.
        weights: (R, N) array of the bootstrap over all test images.
    """
    unseen = ~np.any([fit.test.seen for fit in (*first, *second)], axis=0)
    return _difference(*(_areas([_area(fit, unseen, weights) for fit in fits]) for fits in (first, second)))


def control_of(model: ModelName, keys: list[str]) -> str | None:
    """Return the key of the model that another one's gain is measured against; None for a control, and where none is.

    It is of the same regime; where that has no model from the control, it is the whole network trained from it.
    """
    if model.start == CONTROL or model.regime in NOT_FITTED:
        return None
    return next((key for key in (f"{model.regime}-{CONTROL}", f"train-{CONTROL}") if key in keys), None)


def gains(pairs: pd.DataFrame, models: list[ModelName]) -> dict[str, dict]:
    """Return what each start is worth: the difference to its control (`control_of`), by regime and start.

    Args:
        pairs: table of `compare_all`.
        models: list of ModelName, one for each key, in the order of the metrics.
    """
    keys = [model.key for model in models]
    rows = {(row.model, row.other): row for row in pairs.itertuples()}
    gains_of_regime: dict[str, dict] = {}
    for model in models:
        control = control_of(model, keys)
        if control is None:
            continue
        row = rows.get((control, model.key))
        if row is not None:
            difference, low, high = row.auc, row.auc_low, row.auc_high
        else:
            row = rows[model.key, control]
            difference, low, high = -row.auc, -row.auc_high, -row.auc_low
        numbers = {"auc": difference, "auc_low": low, "auc_high": high, "p": row.p, "p_delong": row.p_delong}
        gain = {name: None if pd.isna(value) else float(value) + 0.0 for name, value in numbers.items()}  # no -0.0
        gains_of_regime.setdefault(model.regime, {})[model.start] = gain | {"against": control}
    return gains_of_regime


def _areas(of_seeds: list[tuple[float, np.ndarray, CalibratedPredictions]]) -> _Areas:
    values, resampled, predictions = zip(*of_seeds, strict=True)
    return _Areas(np.array(values), np.array(resampled), list(predictions))


def _area(
    fit: EvaluatedFit, unseen: np.ndarray, weights: np.ndarray
) -> tuple[float, np.ndarray, CalibratedPredictions]:
    predictions = fit.calibrated.of_images(unseen)
    if (unseen == ~fit.test.seen).all():
        return *fit.scores.area, predictions
    return *score_area(predictions, weights[:, unseen]), predictions


def _health_area(
    fit: EvaluatedFit, unseen: np.ndarray, weights: np.ndarray, multi_label: bool
) -> tuple[float, np.ndarray, CalibratedPredictions]:
    if is_health(fit.test):
        return _area(fit, unseen, weights)
    health = as_health(fit.test, multi_label)
    predictions = uncalibrated_predictions(health.labels, health.logits, health.classes, False, health.patients)
    predictions = predictions.of_images(unseen)
    return *score_area(predictions, weights[:, unseen]), predictions


def _difference(first: _Areas, second: _Areas) -> list[float | None]:
    """Return the columns of `COLUMNS` behind the names; NaN for all but the difference where patients are too few."""
    difference = float(second.values.mean() - first.values.mean())
    if not first.counts.are_enough:
        return [rounded(value) for value in (difference, *[float("nan")] * 4)]
    by_delong = area_covariance([*first.predictions, *second.predictions])
    if len(first.values) > 1:
        low, high, p = _with_seeds(first, second, by_delong)
        p_delong = float("nan")
    else:
        differences = second.resampled[0] - first.resampled[0]
        low, high = confidence_interval(differences)
        p, p_delong = bootstrap_p_value(differences), float("nan")
        if by_delong is not None:
            p_delong = delong_p_value(np.array([first.values[0], second.values[0]]), by_delong, 0, 1)
    # Where it has no width, as of two perfect models, it comes from the interval of each; not so for equal predictions.
    if high - low < NO_WIDTH and not np.array_equal(first.log_odds, second.log_odds):
        means = float(first.values.mean()), float(second.values.mean())
        low, high = difference_interval(means, tuple(area_interval(mean, first.counts) for mean in means))
    return [rounded(value) for value in (difference, low, high, p, p_delong)]


def _with_seeds(first: _Areas, second: _Areas, by_delong: np.ndarray | None) -> tuple[float, float, float]:
    """Return the interval of the difference for other seeds and other patients, and p."""
    covariance = by_delong
    if covariance is None:
        covariance = bootstrap_covariance(np.concatenate([first.resampled, second.resampled]))
    study = ReaderStudy.of(np.concatenate([first.values, second.values]), covariance, treatments=2)
    estimate = study.difference(0, 1)
    return *estimate.interval, estimate.p
