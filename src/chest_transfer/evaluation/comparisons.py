"""Comparisons: every pair of models on the same test images, and the gain of each start over the control."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from chest_transfer.data.arrays import UNKNOWN
from chest_transfer.data.predictions import Predictions
from chest_transfer.evaluation.calibrated_predictions import CalibratedPredictions, uncalibrated_predictions
from chest_transfer.evaluation.delong import bootstrap_p_value, delong, delong_p_value
from chest_transfer.evaluation.health import as_health, is_health
from chest_transfer.evaluation.intervals import (
    NO_WIDTH,
    area_interval,
    confidence_interval,
    difference_interval,
    rounded,
)
from chest_transfer.evaluation.metrics import Scores, score_area
from chest_transfer.model_names import NOT_FITTED, ModelName

CONTROL = "none"  # the starting weights that gains are measured against
COLUMNS = ("model", "other", "auc", "auc_low", "auc_high", "p", "p_delong")


@dataclass(frozen=True)
class EvaluatedModel:
    """A model with everything that comparisons need.

    Args:
        name: ModelName.
        test: Predictions for all test images, raw.
        calibrated: CalibratedPredictions for all test images.
        scores: Scores on the images that the model was not trained on.
    """

    name: ModelName
    test: Predictions
    calibrated: CalibratedPredictions
    scores: Scores


@dataclass(frozen=True)
class _Area:
    """The area under the ROC curve on the images that are compared, its resamples, and the predictions behind it."""

    value: float
    resampled: np.ndarray
    predictions: CalibratedPredictions


def compare_all(models: list[EvaluatedModel], weights: np.ndarray, multi_label: bool) -> pd.DataFrame:
    """Compare every pair of models on the test images that no model was trained on.

    A pair of which one model distinguishes only healthy from diseased is compared in that.

    Args:
        models: list of EvaluatedModel of one dataset.
        weights: (R, N) array of the bootstrap over all test images.
        multi_label: bool, whether the dataset's classes are independent.

    Returns:
        Table with the columns `COLUMNS`: the second model's area under the ROC curve minus the first's, with its
        interval; p by the paired bootstrap over patients; p by DeLong's test where one class is ranked.
    """
    unseen = ~np.any([model.test.seen for model in models], axis=0)
    areas = {}
    for model in models:
        areas[model.name.key, False] = _area(model, unseen, weights)
        areas[model.name.key, True] = _health_area(model, unseen, weights, multi_label)
    patients = models[0].test.patients[unseen]
    rows = []
    for first, second in combinations(models, 2):
        by_health = is_health(first.test) != is_health(second.test)
        pair = areas[first.name.key, by_health], areas[second.name.key, by_health]
        rows.append((first.name.key, second.name.key, *_difference(*pair, patients)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def gains(pairs: pd.DataFrame, models: list[ModelName]) -> dict[str, dict]:
    """Return what each start is worth: the difference to the control of the same regime, by regime and start.

    Where a regime has no model from the control, the whole network trained from it (`train-none`) replaces it. The
    interval is over test patients, not over training seeds.

    Args:
        pairs: table of `compare_all`.
        models: list of ModelName, in the order of the metrics.
    """
    keys = [model.key for model in models]
    rows = {(row.model, row.other): row for row in pairs.itertuples()}
    gains_of_regime: dict[str, dict] = {}
    for model in models:
        controls = (f"{model.regime}-{CONTROL}", f"train-{CONTROL}")
        control = next((key for key in controls if key in keys), None)
        if control is None or model.key == control or model.start == CONTROL or model.regime in NOT_FITTED:
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


def _area(model: EvaluatedModel, unseen: np.ndarray, weights: np.ndarray) -> _Area:
    predictions = model.calibrated.of_images(unseen)
    if (unseen == ~model.test.seen).all():
        return _Area(*model.scores.area, predictions)
    return _Area(*score_area(predictions, weights[:, unseen]), predictions)


def _health_area(model: EvaluatedModel, unseen: np.ndarray, weights: np.ndarray, multi_label: bool) -> _Area:
    if is_health(model.test):
        return _area(model, unseen, weights)
    health = as_health(model.test, multi_label)
    predictions = uncalibrated_predictions(health.labels, health.logits, health.classes, False, health.patients)
    predictions = predictions.of_images(unseen)
    return _Area(*score_area(predictions, weights[:, unseen]), predictions)


def _difference_bounds(first: _Area, second: _Area, differences: np.ndarray) -> tuple[float, float]:
    """Return the interval of a difference; NaN where there are too few patients.

    Where it has no width, as of two perfect models, it comes from the interval of each; not so for equal predictions.
    """
    counts = first.predictions.patient_counts(first.predictions.averaged_classes)
    if not counts.are_enough:
        return float("nan"), float("nan")
    low, high = confidence_interval(differences)
    if high - low < NO_WIDTH and not np.array_equal(first.predictions.log_odds, second.predictions.log_odds):
        intervals = area_interval(first.value, counts), area_interval(second.value, counts)
        return difference_interval((first.value, second.value), intervals)
    return low, high


def _difference(first: _Area, second: _Area, patients: np.ndarray) -> list[float | None]:
    """Return the columns of `COLUMNS` behind the names."""
    differences = second.resampled - first.resampled
    low, high = _difference_bounds(first, second, differences)
    p_delong = float("nan")
    if len(first.predictions.evaluable_classes) == 1:
        [k] = first.predictions.evaluable_classes
        labels = first.predictions.labels[:, k]
        known = labels != UNKNOWN
        scores = np.stack([area.predictions.log_odds[known, k] for area in (first, second)])
        areas, covariance = delong(labels[known], scores, patients[known])
        p_delong = delong_p_value(areas, covariance, 0, 1)
    p_bootstrap = bootstrap_p_value(differences)
    if np.isnan(low):  # too few patients for an interval are too few for a test
        p_bootstrap = p_delong = float("nan")
    values = second.value - first.value, low, high, p_bootstrap, p_delong
    return [rounded(value) for value in values]
