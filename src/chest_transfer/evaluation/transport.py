"""Threshold transport: what the threshold of another dataset is worth here, moved without labels, and at best."""

import numpy as np
from sklearn.metrics import roc_curve

from chest_transfer.data.arrays import UNKNOWN
from chest_transfer.evaluation.calibrated_predictions import CalibratedPredictions
from chest_transfer.evaluation.class_shares import estimate_share
from chest_transfer.evaluation.intervals import rounded
from chest_transfer.networks.facts import ClassScores

REFUSED = "not adapted"  # what is said of a model that was left as it is


def threshold_transport(
    predictions: CalibratedPredictions, offset: float = 0.0, were_others_moved: bool = False
) -> dict[str, dict[str, float | None]]:
    """Return sensitivity, specificity and accuracy at three thresholds of two exclusive classes.

    Args:
        predictions: CalibratedPredictions of a model of another dataset.
        offset: float, by which the logits were moved to radiographs without labels; 0 where they were not.
        were_others_moved: bool, whether the logits of other questions were moved, of which these predictions are made:
            the model's own threshold is then not known any more.

    Returns:
        dict: `source`, at the threshold of the model's own validation split; `moved`, at that which was moved, where it
        was; `best`, at that with the largest sum of sensitivity and specificity on these very labels, which nobody has
        in advance.
    """
    labels, log_odds = predictions.labels[:, 1], predictions.log_odds[:, 1]
    predicted = predictions.predicted[:, 1]
    by_threshold = {"moved" if were_others_moved else "source": _scores(labels, predicted)}
    if offset:
        unmoved = log_odds - offset / predictions.temperature
        threshold = np.log(predictions.thresholds[1] / (1 - predictions.thresholds[1]))
        by_threshold = {"source": _scores(labels, unmoved >= threshold), "moved": _scores(labels, predicted)}
    if 0 < labels.sum() < len(labels):
        by_threshold["best"] = _scores(labels, log_odds >= _best_threshold(labels, log_odds))
    return by_threshold


def thresholds_elsewhere(
    predictions: CalibratedPredictions,
    validation: list[ClassScores | None],
    classes: list[int],
    is_adapted: bool = False,
) -> dict[str, dict[str, float | None]]:
    """Return `threshold_transport` of radiographs from elsewhere, whose thresholds are moved by their own predictions.

    Args:
        predictions: CalibratedPredictions of L independent questions, with the labels that the model decided on.
        validation: list of L ClassScores, how the model's validation split scores; None where that is not known.
        classes: list of int, the questions to average over.
        is_adapted: bool, whether the model's thresholds were moved to other radiographs already.
    """
    by_question: dict[str, list[dict]] = {}
    for k in classes:
        known = predictions.labels[:, k] != UNKNOWN
        labels, log_odds = predictions.labels[known, k], predictions.log_odds[:, k]
        decided = "adapted" if is_adapted else "source"
        by_question.setdefault(decided, []).append(_scores(labels, predictions.predicted[known, k]))
        scores = validation[k]
        if scores and scores.ill_count and scores.healthy_count:
            estimate = estimate_share(log_odds, scores)  # of all of them: labels are not used
            if not estimate.doubt:
                moved = log_odds[known] >= np.quantile(log_odds, 1 - estimate.share)
                by_question.setdefault("moved", []).append(_scores(labels, moved))
        best = _best_threshold(labels, log_odds[known])
        by_question.setdefault("best", []).append(_scores(labels, log_odds[known] >= best))
    return {
        name: {score: rounded(float(np.mean([one[score] for one in of_name]))) for score in of_name[0]}
        for name, of_name in by_question.items()
        if len(of_name) == len(classes)
    }


def _best_threshold(labels: np.ndarray, log_odds: np.ndarray) -> float:
    false_positive_rates, true_positive_rates, thresholds = roc_curve(labels, log_odds, drop_intermediate=False)
    return float(thresholds[np.argmax(true_positive_rates - false_positive_rates)])


def _scores(labels: np.ndarray, predicted: np.ndarray) -> dict[str, float | None]:
    is_ill, is_predicted = labels == 1, predicted.astype(bool)
    with np.errstate(invalid="ignore"):
        return {
            "sensitivity": rounded(np.divide((is_ill & is_predicted).sum(), is_ill.sum())),
            "specificity": rounded(np.divide((~is_ill & ~is_predicted).sum(), (~is_ill).sum())),
            "accuracy": rounded((is_ill == is_predicted).mean()),
        }
