"""The stress test of a dataset's models, from stored predictions: a record of each row of the metrics."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from chest_transfer.data.covariates import Covariates, read_covariates
from chest_transfer.data.predictions import read_predictions
from chest_transfer.evaluation.balancing import is_balanced
from chest_transfer.evaluation.calibrated_predictions import CalibratedPredictions, calibrate
from chest_transfer.evaluation.degraded import NAMES, degraded_record, read_degraded_predictions
from chest_transfer.evaluation.fit_scores import test_predictions
from chest_transfer.evaluation.intervals import cluster_bootstrap_weights, rounded
from chest_transfer.evaluation.operating_points import fit_calibration
from chest_transfer.evaluation.stress import (
    WeightedScores,
    class_weights,
    reversed_validation_area,
    shortcut_areas,
    stress_record,
    weighted_scores,
)
from chest_transfer.model_names import NOT_FITTED, ModelName, with_most_patients

if TYPE_CHECKING:
    from chest_transfer.settings import Evaluate

RESAMPLES = 200  # at most: there are dozens of scores for each model


def stress_test(models: list[ModelName], shortcuts: Path, degraded: Path, settings: "Evaluate") -> dict:
    """Return the stress test of the models that are fitted to a dataset, by regime and start; means over seeds.

    Args:
        models: list of ModelName, all of one dataset.
        shortcuts: Path of the file of `covariates.write_covariates`.
        degraded: Path of the folder of `degraded.write_degraded_predictions`.
        settings: section `evaluate` of the settings.

    Returns:
        dict, JSON: of each model `matched_<shortcut>` and `reversed_<shortcut>`, of `stress.stress_record`, with the
        area of the shortcut itself (all None where a shortcut separates the classes); `degraded`, of `degraded_record`;
        `validation_reversed`, with the mean over seeds.
    """
    fitted = [name for name in with_most_patients(models) if name.regime not in NOT_FITTED]
    first = {split: read_predictions(fitted[0].predictions_of(split)) for split in ("val", "test")}
    covariates = read_covariates(shortcuts, {split: of_split.names for split, of_split in first.items()})
    resamples = cluster_bootstrap_weights(first["test"].patients, min(settings.rounds, RESAMPLES), settings.seed)
    records: dict[str, dict] = {}
    for key in dict.fromkeys(name.key for name in fitted):
        names = [name for name in fitted if name.key == key]
        seeds = [_tested(name, settings.operating_point) for name in names]
        record = _under_shortcuts(seeds, covariates["test"], resamples)
        record["degraded"] = _when_degraded(seeds, first["test"].names, degraded, settings)
        areas = [reversed_validation_area(seed.on_validation, covariates["val"]) for seed in seeds]
        known = [area["auc"] for area in areas]
        record["validation_reversed"] = areas[0] | {"auc": None if None in known else rounded(float(np.mean(known)))}
        records.setdefault(names[0].regime, {})[names[0].start] = record
    return records


def stress_table(records: dict) -> pd.DataFrame:
    """Return columns model, degradation, level (0 is unchanged) and auc, from `stress_test`."""
    rows = []
    for regime, starts in records.items():
        for start, record in starts.items():
            degraded = record["degraded"]
            by_name: dict[str, list] = {}
            for name, scores in degraded["by_degradation"].items():
                by_name.setdefault(name.rpartition("_")[0], [degraded["unchanged"]["auc"]]).append(scores["auc"])
            rows += [(f"{regime}-{start}", name, level, area) for name, areas in by_name.items()
                     for level, area in enumerate(areas)]  # fmt: skip
    return pd.DataFrame(rows, columns=["model", "degradation", "level", "auc"])


@dataclass(frozen=True)
class _Tested:
    """A fit's calibrated predictions for all test radiographs, of which `scored` (N,) bool count, and of validation."""

    name: ModelName
    predictions: CalibratedPredictions
    scored: np.ndarray
    on_validation: CalibratedPredictions


def _tested(name: ModelName, operating_point: str) -> _Tested:
    test, val = test_predictions(name, multi_label=False), read_predictions(name.predictions_of("val"))
    calibration = fit_calibration(val.labels, val.logits, val.multi_label)
    on_test, on_val = (calibrate(split, calibration, val.multi_label, operating_point) for split in (test, val))
    return _Tested(name, on_test, ~test.seen & test.is_labelled, on_val)


def _under_shortcuts(seeds: list[_Tested], covariates: dict[str, Covariates], resamples: np.ndarray) -> dict:
    """Return the records of each shortcut, matched and reversed."""
    record, scored = {}, seeds[0].scored
    predictions, resamples = [seed.predictions.of_images(scored) for seed in seeds], resamples[:, scored]
    plain = [weighted_scores(of_seed, None, resamples) for of_seed in predictions]
    for shortcut, of_all in covariates.items():
        values = of_all.of_images(scored)
        for kind, weights in class_weights(predictions[0], values).items():
            stressed = [weighted_scores(of_seed, weights, resamples) for of_seed in predictions]
            areas, of_kind = shortcut_areas(predictions[0], values, weights), stress_record(stressed, plain)
            if not is_balanced(kind, areas):
                of_kind = dict.fromkeys(of_kind)
            record[f"{kind}_{shortcut}"] = of_kind | {"shortcut_auc": rounded(float(np.mean(areas)))}
    return record


def _when_degraded(seeds: list[_Tested], names: np.ndarray, folder: Path, settings: "Evaluate") -> dict:
    """Return `degraded_record` of a model; `names` (N,) are those of all test radiographs."""
    scores: dict[str, list[WeightedScores]] = {}
    for seed in seeds:
        logits = read_degraded_predictions(folder / f"{seed.name.file_name}.npz")
        is_degraded = np.isin(names, logits.pop(NAMES))
        scored = seed.scored[is_degraded]
        predictions = seed.predictions.of_images(is_degraded & seed.scored)
        if not len(predictions.labels):
            return {}
        resamples = cluster_bootstrap_weights(predictions.patients, min(settings.rounds, RESAMPLES), settings.seed)
        for key, of_key in logits.items():
            of_seed = weighted_scores(replace(predictions, logits=of_key[scored]), None, resamples)
            scores.setdefault(key, []).append(of_seed)
    return degraded_record(scores)
