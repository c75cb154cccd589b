"""How frequent a disease is where no labels are known, and the threshold that predicts it that often.

The share is estimated under label shift: the ill look as the ill of validation do, the healthy as the healthy, and only
how many there are differs. Where radiographs look otherwise for other reasons the estimate is wrong, and nothing here
can notice.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.special import entr, logit

from chest_transfer.data.arrays import UNKNOWN
from chest_transfer.data.predictions import Predictions
from chest_transfer.evaluation.class_matching import DISEASED
from chest_transfer.evaluation.health import as_health, health_logits
from chest_transfer.evaluation.operating_points import calibrated_log_odds, fit_calibration, to_probabilities

if TYPE_CHECKING:
    from chest_transfer.networks.facts import PackedFacts

ROUNDS, TOLERANCE = 1000, 1e-7
LARGEST_CHANGE = 20.0  # of the odds of a disease: a larger one says that the assumption does not hold


@dataclass(frozen=True)
class Question:
    """What a model is asked of each radiograph: any disease, or a finding; and how validation answers.

    Args:
        name: str, `diseased` or the finding.
        temperature: float, of the model.
        threshold: float, calibrated probability.
        share: float, of the radiographs of validation that show it.
        intercept: float, of `fit_intercept`.
    """

    name: str
    temperature: float
    threshold: float
    share: float
    intercept: float


@dataclass(frozen=True)
class MovedThreshold:
    """A question whose threshold was moved to unlabelled radiographs.

    Args:
        share: float, of the radiographs that show it, estimated or stated.
        offset: float, to add to the logit of it, so that the old threshold predicts it as often; 0 where the estimate
            is not plausible.
        is_plausible: bool, whether the share is one that a hospital can have (`is_plausible`).
    """

    share: float
    offset: float
    is_plausible: bool = True


def questions_of_validation(val: Predictions, operating_point: str) -> list[Question]:
    """Return the questions of a model from its predictions for its validation split: of exclusive classes one.

    Args:
        val: Predictions.
        operating_point: str, whose thresholds are moved.
    """
    if not val.multi_label:
        val = as_health(val, multi_label_labels=False)
    calibration = fit_calibration(val.labels, val.logits, val.multi_label)
    return _questions(
        val.classes, val.multi_label, calibration.temperature, calibration.thresholds[operating_point],
        class_shares(val.labels), intercepts(val, calibration.temperature),
    )  # fmt: skip


def questions_of_facts(facts: "PackedFacts", operating_point: str) -> list[Question]:
    """Return the questions of a packed model; none of several exclusive classes, which have no threshold."""
    if not facts.multi_label and len(facts.classes) > 2:
        return []
    return _questions(
        facts.classes, facts.multi_label, facts.temperature, np.array(facts.thresholds[operating_point]),
        facts.validation_shares, facts.intercepts,
    )  # fmt: skip


def intercepts(val: Predictions, temperature: float) -> list[float]:
    """Return `fit_intercept` of each class (K,), from the predictions for the validation split."""
    log_odds, shares = calibrated_log_odds(val.logits, temperature, val.multi_label), class_shares(val.labels)
    return [fit_intercept(log_odds[:, k], share) for k, share in enumerate(shares)]


def fit_intercept(log_odds: np.ndarray, share: float) -> float:
    """Return what is added to log odds (N,) so that their mean probability is the share of the ill.

    Class weights and balanced batches teach a network other shares than those of its radiographs, and a temperature
    does not change that (Alexandari, Kundaje and Shrikumar 2020, bias-corrected temperature scaling).
    """
    if not 0 < share < 1:
        return 0.0
    return float(brentq(lambda intercept: to_probabilities(log_odds + intercept).mean() - share, -200, 200))


def is_plausible(share: float, source_share: float) -> bool:
    """Return whether the odds of a disease differ from those of validation by no more than `LARGEST_CHANGE`."""
    odds = [max(one, 1e-12) / max(1 - one, 1e-12) for one in (share, source_share)]
    return 1 / LARGEST_CHANGE <= odds[0] / odds[1] <= LARGEST_CHANGE


def class_shares(labels: np.ndarray) -> list[float]:
    """Return the share of each class (K,) among the radiographs of which it is known; 0 where it never is."""
    known = labels != UNKNOWN
    return ((labels == 1).sum(axis=0) / np.maximum(known.sum(axis=0), 1)).tolist()


def _questions(
    classes: list[str],
    multi_label: bool,
    temperature: float,
    thresholds: np.ndarray,
    shares: list[float],
    of_classes: list[float],
) -> list[Question]:
    names = classes if multi_label else [DISEASED]
    numbers = range(len(classes)) if multi_label else [1]
    return [
        Question(name, temperature, float(thresholds[k]), shares[k], of_classes[k])
        for name, k in zip(names, numbers, strict=True)
        if 0 < shares[k] < 1
    ]


def estimate_share(log_odds: np.ndarray, source_share: float) -> float:
    """Return the share of the ill among radiographs without labels.

    The maximum of the likelihood by expectation maximization (Saerens, Latinne and Decaestecker 2002, Neural
    Computation 14, 21-41).

    Args:
        log_odds: (N,) array, calibrated where the ill have the source's share, with the intercept.
        source_share: float, between 0 and 1.
    """
    share = source_share
    for _ in range(ROUNDS):
        change = np.log(max(share, 1e-12) / max(1 - share, 1e-12)) - logit(source_share)
        updated = float(to_probabilities(log_odds + change).mean())
        if abs(updated - share) < TOLERANCE:
            break
        share = updated
    return share


def move_threshold(question: Question, logits: np.ndarray, stated_share: float | None = None) -> MovedThreshold:
    """Return where the threshold of a question lies among unlabelled radiographs: as many are predicted as there are.

    Args:
        question: Question.
        logits: (N,) array, of the unlabelled radiographs: log odds before calibration.
        stated_share: float, the share of the ill that is known; None to estimate it.
    """
    log_odds = logits / question.temperature
    share = stated_share
    if share is None:
        share = estimate_share(log_odds + question.intercept, question.share)
        if not is_plausible(share, question.share):
            return MovedThreshold(share, 0.0, is_plausible=False)
    threshold = logit(np.clip(question.threshold, 1e-9, 1 - 1e-9))
    return MovedThreshold(share, float(question.temperature * (threshold - np.quantile(log_odds, 1 - share))))


def move_thresholds(
    questions: list[Question],
    classes: list[str],
    multi_label: bool,
    logits: np.ndarray,
    stated_share: float | None = None,
) -> tuple[np.ndarray, dict[str, MovedThreshold]]:
    """Return the offset (K,) of each logit, and what was moved, by the name of the question.

    Of exclusive classes the first is the healthy one, and all others are moved together.

    Args:
        questions: list of Question.
        classes: list of K str.
        multi_label: bool, whether these are independent.
        logits: (N, K) array, of unlabelled radiographs.
        stated_share: float, the share of the ill that is known; None to estimate it.
    """
    offsets, moved = np.zeros(len(classes)), {}
    for question in questions:
        columns = [classes.index(question.name)] if multi_label else slice(1, None)
        moved[question.name] = move_threshold(
            question, _of_question(question, classes, multi_label, logits), stated_share
        )
        offsets[columns] = moved[question.name].offset
    return offsets, moved


def mean_entropy(questions: list[Question], classes: list[str], multi_label: bool, logits: np.ndarray) -> float:
    """Return how uncertain a model is of radiographs (N, K), in nats: the mean over questions of the binary entropy.

    It goes with the error where radiographs change (Wang et al. 2021, Tent, arXiv 2006.10726, figure 2).
    """
    entropies = []
    for question in questions:
        p = to_probabilities(_of_question(question, classes, multi_label, logits) / question.temperature)
        entropies.append((entr(p) + entr(1 - p)).mean())
    return float(np.mean(entropies)) if entropies else 0.0


def _of_question(question: Question, classes: list[str], multi_label: bool, logits: np.ndarray) -> np.ndarray:
    """Return the log odds (N,) of a question before calibration."""
    if multi_label:
        return logits[:, classes.index(question.name)]
    return np.diff(health_logits(logits, classes, multi_label=False), axis=1)[:, 0]
