"""Ensembles: the mean of the probabilities of models that differ in their seed alone, as one more model.

Averaged before calibration, which comes after: a mean of calibrated probabilities is not calibrated (Rahaman & Thiery
2021, Uncertainty Quantification and Deep Ensembles).
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from chest_transfer.data.predictions import Predictions, read_predictions
from chest_transfer.evaluation.delong import bootstrap_p_value
from chest_transfer.evaluation.fit_scores import EvaluatedFit, evaluate_predictions
from chest_transfer.evaluation.intervals import confidence_interval, rounded
from chest_transfer.evaluation.seeds import fit_verdict
from chest_transfer.model_names import ModelName

if TYPE_CHECKING:
    from chest_transfer.settings import Evaluate


def logits_of_mean(logits: np.ndarray, multi_label: bool) -> np.ndarray:
    """Return (N, K) float64 logits of the mean of several models' probabilities.

    Computed from logarithms, because probabilities of models that are certain round to 0 and 1.

    Args:
        logits: (S, N, K) array, of each model.
        multi_label: bool, whether the K classes are independent (sigmoid), or exclusive (softmax).
    """
    from scipy.special import log_expit, log_softmax, logsumexp

    logits = np.asarray(logits, np.float64)
    if multi_label:
        return logsumexp(log_expit(logits), axis=0) - logsumexp(log_expit(-logits), axis=0)
    return logsumexp(log_softmax(logits, axis=-1), axis=0) - np.log(len(logits))


def mean_predictions(members: list[Predictions]) -> Predictions:
    """Return the predictions of an ensemble for the radiographs that its members predict."""
    first = members[0]
    return replace(first, logits=logits_of_mean(np.stack([of.logits for of in members]), first.multi_label))


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
