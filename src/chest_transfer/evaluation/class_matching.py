"""A model on radiographs of other classes: what it is asked, by findings of the same name, else diseased or healthy.

Nothing is chosen on these radiographs: temperature and thresholds are the model's own.
"""

from dataclasses import dataclass

import numpy as np

from chest_transfer.data.findings import canonical_finding
from chest_transfer.data.label_words import is_healthy
from chest_transfer.errors import ChestTransferError
from chest_transfer.evaluation.calibrated_predictions import CalibratedPredictions
from chest_transfer.evaluation.health import diseased_labels, finding_columns
from chest_transfer.evaluation.operating_points import calibrated_log_odds, predicted_labels, to_probabilities
from chest_transfer.networks.facts import ClassScores

DISEASED = "diseased"


@dataclass(frozen=True)
class ModelOutputs:
    """What is known of a model's outputs.

    Args:
        classes: list of K str; of exclusive ones the first is the healthy one.
        multi_label: bool, whether these are independent.
        temperature: float.
        thresholds: (K,) array of calibrated probabilities.
        validation: list of K ClassScores, how its validation split scores.
        is_adapted: bool, whether its thresholds were moved to other radiographs already.
    """

    classes: list[str]
    multi_label: bool
    temperature: float
    thresholds: np.ndarray
    validation: list[ClassScores]
    is_adapted: bool = False


def scores_on_validation(findings: list[str], model: ModelOutputs) -> list[ClassScores | None]:
    """Return how the model's validation split scores for each finding of `shared_findings`; without any, for disease.

    None where that is not known: of independent classes, how many radiographs show any; of an adapted model.
    """
    if model.is_adapted or (not findings and model.multi_label):
        return [None] * max(len(findings), 1)
    if findings:
        numbers = _numbers(model.classes, model.multi_label)
        return [model.validation[numbers[finding]] for finding in findings]
    return [model.validation[0].of_the_opposite]


def shared_findings(model: ModelOutputs, classes: list[str], multi_label: bool) -> list[str]:
    """Return the findings that a model and some radiographs share, in the model's order; none if they share none.

    Args:
        model: ModelOutputs.
        classes: list of str, of the radiographs.
        multi_label: bool, whether these are independent.
    """
    of_labels = _numbers(classes, multi_label)
    return [finding for finding in _numbers(model.classes, model.multi_label) if finding in of_labels]


def judge(
    findings: list[str], model: ModelOutputs, logits: np.ndarray, labels: np.ndarray, classes: list[str],
    multi_label: bool, patients: np.ndarray,
) -> CalibratedPredictions:  # fmt: skip
    """Return a model's answers to whether radiographs show some findings, or any disease.

    Args:
        findings: list of L str of `shared_findings`; where it is empty, the question is diseased or healthy.
        model: ModelOutputs.
        logits: (N, K) array, the model's.
        labels: (N, J) array of 0, 1 and `UNKNOWN`, of the radiographs.
        classes: list of J str, of the radiographs; of exclusive ones the first is the healthy one.
        multi_label: bool, whether these are independent.
        patients: (N,) str array.

    Returns:
        CalibratedPredictions of L independent classes: the findings, or `diseased` alone.
    """
    log_odds = calibrated_log_odds(logits, model.temperature, model.multi_label)
    predicted = predicted_labels(to_probabilities(log_odds), model.thresholds, model.multi_label)
    if findings:
        of_model = [_numbers(model.classes, model.multi_label)[finding] for finding in findings]
        of_labels = [_numbers(classes, multi_label)[finding] for finding in findings]
        answers, decided, asked = log_odds[:, of_model], predicted[:, of_model], labels[:, of_labels]
    else:
        for names, are_independent in ((model.classes, model.multi_label), (classes, multi_label)):
            _check_healthy_class(names, are_independent)
        diseases = finding_columns(model.classes, model.multi_label)
        diseased = log_odds[:, diseases].max(axis=1) if model.multi_label else -log_odds[:, 0]
        answers, decided = diseased[:, None], predicted[:, diseases].any(axis=1)[:, None].astype(int)
        asked = diseased_labels(labels, classes, multi_label)[:, None]
    names = findings or [DISEASED]
    middle = np.full(len(names), 0.5)  # not used: what is predicted has been decided by the model's own thresholds
    return CalibratedPredictions(asked, answers, names, True, 1.0, middle, patients, decided)


def _numbers(classes: list[str], multi_label: bool) -> dict[str, int]:
    """Return the number of each class that is a finding, by one name for it; none of exclusive combinations.

    Raises:
        ChestTransferError: two classes mean the same finding.
    """
    if not multi_label and any("|" in name for name in classes):
        return {}
    numbers: dict[str, int] = {}
    for k in finding_columns(classes, multi_label):
        if (first := numbers.setdefault(canonical_finding(classes[k]), k)) != k:
            raise ChestTransferError(
                f"the classes '{classes[first]}' and '{classes[k]}' mean the same; join them in `classes`"
            )
    return {name: k for name, k in numbers.items() if not is_healthy(name)}


def _check_healthy_class(classes: list[str], multi_label: bool) -> None:
    """Check that healthy and diseased can be told apart.

    Raises:
        ChestTransferError: none of several exclusive classes means that nothing was found.
    """
    if not multi_label and not is_healthy(classes[0]):
        raise ChestTransferError(
            f"no finding is shared, and the first of the classes {', '.join(classes)} is not that of the healthy; put "
            "theirs first, and call it Normal"
        )
