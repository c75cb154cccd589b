"""Models of experiments compared on the same test patients, from the raw predictions that DVC keeps of each fit."""

from pathlib import Path

import numpy as np
import pandas as pd

from chest_transfer.data.predictions import Predictions, read_predictions
from chest_transfer.evaluation.calibrated_predictions import calibrate
from chest_transfer.evaluation.comparisons import area_difference
from chest_transfer.evaluation.fit_scores import EvaluatedFit
from chest_transfer.evaluation.intervals import cluster_bootstrap_weights
from chest_transfer.evaluation.metrics import Scores, score_area
from chest_transfer.evaluation.operating_points import OPERATING_POINTS, fit_calibration
from chest_transfer.model_names import ALL_PATIENTS, TRANSFERRED, ModelName, is_ensemble
from chest_transfer.recorded_files import recorded_file, recorded_outputs
from chest_transfer.reporting.experiment_list import WORKSPACE
from chest_transfer.reporting.html_tables import signed_with_interval

RESAMPLES, SEED = 1000, 1
Fits = dict[int, tuple[Predictions, Predictions]]  # predictions for validation and test, by training seed


def differences_to_the_best(rows: pd.DataFrame) -> list[str]:
    """Return for each row of a leaderboard its AUC minus that of the best one of its test split that can be compared.

    The interval holds for other patients, and with several seeds for other seeds, too. Not compared are ensembles,
    models that come from another dataset, those of other seeds, and those whose predictions have no seed in their
    names.

    Args:
        rows: table with the columns dataset, test_split, model, regime, weights, `runs` (list of (revision or
            workspace, seeds)) and `patients` (the most training patients, `all` for all); best first in each split.

    Raises:
        ChestTransferError: the predictions of a fit are neither in DVC's cache nor in its remote.
    """
    best: dict[tuple[str, str], Fits] = {}
    texts = []
    for row in rows.itertuples():
        split = row.dataset, row.test_split
        fits, reason = fits_of(row.dataset, row.model, row.regime, row.weights, row.patients, row.runs)
        if reason:
            texts.append(reason)
        elif split not in best:
            best[split] = fits
            texts.append("best of those compared")
        else:
            texts.append(difference(best[split], fits))
    return texts


def fits_of(
    dataset: str, model: str, regime: str, weights: str, patients: int | str | None, runs: list[tuple[str, list[int]]]
) -> tuple[Fits, str]:
    """Return the predictions of a model for each seed, or why it cannot be compared."""
    if regime in TRANSFERRED or is_ensemble(weights):
        return {}, "not compared"
    fits: Fits = {}
    for revision, seeds in runs:
        outputs = recorded_outputs(None if revision == WORKSPACE else revision)
        for seed in seeds:
            name = ModelName(dataset, model, regime, weights, seed, None if patients == ALL_PATIENTS else patients)
            if name.predictions.as_posix() in outputs:
                files = (recorded_file(Path(name.predictions_of(split)), outputs) for split in ("val", "test"))
                fits[seed] = tuple(map(read_predictions, files))
    is_complete = fits and len(fits) == sum(len(seeds) for _, seeds in runs)
    return (fits, "") if is_complete else ({}, "made by an earlier version")


def are_of_the_same_patients(first: Fits, second: Fits) -> bool:
    """Return whether two models were tested on the same images with the same labels."""
    (_, one), (_, other) = next(iter(first.values())), next(iter(second.values()))
    return np.array_equal(one.names, other.names) and np.array_equal(one.labels, other.labels)


def difference(first: Fits, second: Fits) -> str:
    """Return the AUC of the second model minus that of the first with its interval as text, or why there is none."""
    if not are_of_the_same_patients(first, second):
        return "other test patients"
    if first.keys() != second.keys():
        return "other seeds"
    if all(np.array_equal(first[seed][1].logits, second[seed][1].logits) for seed in first):
        return "the same predictions"
    pairs = [[of[seed] for seed in sorted(first)] for of in (first, second)]
    patients = pairs[0][0][1].patients
    weights = cluster_bootstrap_weights(patients, RESAMPLES, SEED)
    value, low, high, *_ = area_difference(*([_evaluated(*fit, weights) for fit in of] for of in pairs), weights)
    return signed_with_interval(value, low, high)


def _evaluated(val: Predictions, test: Predictions, weights: np.ndarray) -> EvaluatedFit:
    """Return a fit with all that a comparison of areas needs; with exclusive classes they depend on the calibration."""
    calibration = fit_calibration(val.labels, val.logits, val.multi_label)
    calibrated = calibrate(test, calibration, val.multi_label, next(iter(OPERATING_POINTS)))
    value, resampled = score_area(calibrated.of_images(test.is_labelled), weights[:, test.is_labelled])
    counts = calibrated.patient_counts(calibrated.averaged_classes)
    name = ModelName("", "", "", "", 0)
    return EvaluatedFit(name, test, calibrated, Scores({"auc": value}, {"auc": resampled}, counts, {}), {})
