"""The leaderboard's models compared on the same test patients, from the raw predictions that DVC keeps of each fit."""

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
from chest_transfer.model_names import TRANSFERRED, ModelName
from chest_transfer.recorded_files import recorded_file, recorded_outputs

RESAMPLES, SEED = 1000, 1
Fits = dict[int, tuple[Predictions, Predictions]]  # predictions for validation and test, by training seed


def differences_to_the_best(rows: pd.DataFrame) -> list[str]:
    """Return for each row of a leaderboard how much smaller its AUC is than that of the first row of its dataset.

    The interval holds for other patients, and for other seeds too where both have the same seeds, of which there are
    several. Not compared are models that come from another dataset, and those of other test patients.

    Args:
        rows: table with the columns dataset, model, regime, weights, `runs` (list of (revision or workspace,
            seeds)) and `patients` (the most training patients, None for all); best first in each dataset.

    Raises:
        ChestTransferError: the predictions of a fit are neither in DVC's cache nor in its remote.
    """
    best: dict[str, Fits] = {}
    texts = []
    for row in rows.itertuples():
        if row.regime in TRANSFERRED:
            texts.append("not compared")
            continue
        fits = _fits(row)
        if not fits:  # of a version in which names had no seed
            texts.append("no predictions by seed")
        elif row.dataset not in best:
            best[row.dataset] = fits
            texts.append("best")
        elif not are_of_the_same_patients(best[row.dataset], fits):
            texts.append("other test patients")
        else:
            texts.append(difference(best[row.dataset], fits))
    return texts


def _fits(row) -> Fits:
    fits: Fits = {}
    for revision, seeds in row.runs:
        outputs = recorded_outputs(None if revision == "workspace" else revision)
        for seed in seeds:
            patients = None if pd.isna(row.patients) else int(row.patients)
            name = ModelName(row.dataset, row.model, row.regime, row.weights, seed, patients)
            if name.predictions.as_posix() not in outputs:
                continue
            files = (recorded_file(Path(name.predictions_of(split)), outputs) for split in ("val", "test"))
            fits.setdefault(seed, tuple(map(read_predictions, files)))
    return fits


def are_of_the_same_patients(first: Fits, second: Fits) -> bool:
    """Return whether two models were tested on the same images with the same labels."""
    (_, one), (_, other) = next(iter(first.values())), next(iter(second.values()))
    return np.array_equal(one.names, other.names) and np.array_equal(one.labels, other.labels)


def difference(best: Fits, fits: Fits) -> str:
    """Return the AUC of a model minus that of the best, with its interval, as text."""
    common = sorted(best.keys() & fits.keys()) or None
    pairs = [[of[seed] for seed in common] if common else list(of.values())[:1] for of in (best, fits)]
    patients = pairs[0][0][1].patients
    weights = cluster_bootstrap_weights(patients, RESAMPLES, SEED)
    value, low, high, *_ = area_difference(*([_evaluated(*fit, weights) for fit in of] for of in pairs), weights)
    if value is None:
        return "\N{EN DASH}"
    interval = "" if low is None else f" ({low:+.3f} to {high:+.3f})"
    return f"{value:+.3f}{interval}".replace("-", "\N{MINUS SIGN}")


def _evaluated(val: Predictions, test: Predictions, weights: np.ndarray) -> EvaluatedFit:
    """Return a fit with all that a comparison of areas needs; with exclusive classes they depend on the calibration."""
    calibration = fit_calibration(val.labels, val.logits, val.multi_label)
    calibrated = calibrate(test, calibration, val.multi_label, next(iter(OPERATING_POINTS)))
    value, resampled = score_area(calibrated.of_images(test.is_labelled), weights[:, test.is_labelled])
    counts = calibrated.patient_counts(calibrated.averaged_classes)
    name = ModelName("", "", "", "", 0)
    return EvaluatedFit(name, test, calibrated, Scores({"auc": value}, {"auc": resampled}, counts, {}), {})
