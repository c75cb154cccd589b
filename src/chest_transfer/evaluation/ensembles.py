"""Ensembles of models that differ in their seed alone: evaluated as one more model, with its gain over its members."""

from typing import TYPE_CHECKING

import numpy as np

from chest_transfer.data.predictions import read_predictions
from chest_transfer.evaluation.averaging import mean_predictions
from chest_transfer.evaluation.delong import bootstrap_p_value
from chest_transfer.evaluation.fit_scores import EvaluatedFit, evaluate_predictions
from chest_transfer.evaluation.intervals import confidence_interval, rounded
from chest_transfer.evaluation.seeds import fit_verdict
from chest_transfer.model_names import ModelName

if TYPE_CHECKING:
    from chest_transfer.settings import Evaluate


def evaluate_ensemble(
    name: ModelName, members: list[EvaluatedFit], multi_label: bool, weights: np.ndarray, settings: "Evaluate"
) -> EvaluatedFit:
    """Evaluate an ensemble, calibrated on validation as a single model is; its fit failed where that of a member did.

    Args:
        name: ModelName of the ensemble.
        members: list of EvaluatedFit.
        multi_label: bool, whether the classes of the dataset are independent.
        weights: (R, N) array of the bootstrap over all test images.
        settings: section `evaluate` of the settings.
    """
    test = mean_predictions([member.test for member in members])
    val = mean_predictions([read_predictions(member.name.predictions_of("val")) for member in members])
    ensemble = evaluate_predictions(name, test, val, multi_label, weights, settings)
    ensemble.record["fit"] = fit_verdict(members)
    return ensemble


def gain_of_ensemble(ensemble: EvaluatedFit, members: list[EvaluatedFit]) -> dict:
    """Return the area of an ensemble minus the mean area of its members, as `comparisons.gains` does for a start.

    The interval is over patients, for these very members.
    """
    value, resampled = ensemble.scores.area
    values, resampled_members = zip(*(member.scores.area for member in members), strict=True)
    differences = resampled - np.mean(resampled_members, axis=0)
    low, high, p = None, None, None
    if ensemble.scores.patients.are_enough:
        low, high, p = map(rounded, (*confidence_interval(differences), bootstrap_p_value(differences)))
    difference = rounded(value - float(np.mean(values)))
    numbers = {"auc": difference, "auc_low": low, "auc_high": high, "p": p, "p_delong": None}
    return numbers | {"against": members[0].name.key}
