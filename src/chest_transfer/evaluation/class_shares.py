"""How frequent a disease is where no labels are known, and the threshold that predicts it that often.

The share is estimated under label shift: the ill look as the ill of validation do, the healthy as the healthy, and only
how many there are differs. Another hospital's radiographs often look otherwise; where their scores show that, and
nobody states the share, an adapted model predicts as many to be ill as it did before it was adapted.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import entr, logit

from chest_transfer.data.predictions import Predictions
from chest_transfer.evaluation.class_matching import DISEASED
from chest_transfer.evaluation.health import as_health, health_logits
from chest_transfer.evaluation.operating_points import calibrated_log_odds, fit_calibration, to_probabilities
from chest_transfer.networks.facts import ClassScores, PackedFacts

ROUNDS, TOLERANCE = 1000, 1e-7
LARGEST_CHANGE = 20.0  # of the odds of a disease: a larger one says that the assumption does not hold
CRITICAL = 1.628  # of the distance of Kolmogorov and Smirnov, at 1 %
QUANTILES = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Question:
    """What a model is asked of each radiograph: any disease, or a finding; and how validation answers.

    Args:
        name: str, `diseased` or the finding.
        temperature: float, of the model.
        threshold: float, calibrated probability.
        validation: ClassScores.
    """

    name: str
    temperature: float
    threshold: float
    validation: ClassScores


@dataclass(frozen=True)
class ShareEstimate:
    """The share of the ill among radiographs without labels.

    Args:
        share: float.
        doubt: str, why it cannot be trusted; empty where nothing speaks against it.
    """

    share: float
    doubt: str


@dataclass(frozen=True)
class MovedThreshold:
    """A question whose threshold was moved to unlabelled radiographs, or was not.

    Args:
        share: float, of the radiographs that show it, estimated or stated.
        offset: float, to add to the logit of it, so that the old threshold predicts it as often, or as often as before.
        doubt: str, why the estimated share is not used; empty where it is.
    """

    share: float
    offset: float
    doubt: str = ""


def validation_scores(val: Predictions, temperature: float) -> list[ClassScores]:
    """Return how the validation split scores for each class (K,)."""
    log_odds = calibrated_log_odds(val.logits, temperature, val.multi_label)
    return [class_scores(val.labels[:, k], log_odds[:, k]) for k in range(log_odds.shape[1])]


def class_scores(labels: np.ndarray, log_odds: np.ndarray) -> ClassScores:
    """Return the scores of one class from labels (N,) of 0, 1 and `UNKNOWN`, and calibrated log odds (N,)."""
    of_kinds = [log_odds[labels == value] for value in (1, 0)]
    ill, healthy = (np.quantile(kind, QUANTILES).round(4).tolist() if len(kind) else [] for kind in of_kinds)
    return ClassScores(ill=ill, healthy=healthy, ill_count=len(of_kinds[0]), healthy_count=len(of_kinds[1]))


def questions_of_validation(val: Predictions, operating_point: str) -> list[Question]:
    """Return the questions of a model from its predictions for its validation split: of exclusive classes one.

    Args:
        val: Predictions.
        operating_point: str, whose thresholds are moved.
    """
    if not val.multi_label:
        val = as_health(val, multi_label_labels=False)
    calibration = fit_calibration(val.labels, val.logits, val.multi_label)
    scores = validation_scores(val, calibration.temperature)
    thresholds = calibration.thresholds[operating_point]
    return _questions(val.classes, val.multi_label, calibration.temperature, thresholds, scores)


def questions_of_facts(facts: PackedFacts, operating_point: str) -> list[Question]:
    """Return the questions of a packed model; none of several exclusive classes, which have no threshold."""
    if not facts.multi_label and len(facts.classes) > 2:
        return []
    thresholds = np.array(facts.thresholds[operating_point])
    return _questions(facts.classes, facts.multi_label, facts.temperature, thresholds, facts.validation)


def _questions(
    classes: list[str], multi_label: bool, temperature: float, thresholds: np.ndarray, scores: list[ClassScores]
) -> list[Question]:
    names = dict(enumerate(classes)) if multi_label else {1: DISEASED}
    return [
        Question(name, temperature, float(thresholds[k]), scores[k])
        for k, name in names.items()
        if scores[k].ill_count and scores[k].healthy_count
    ]


def estimate_share(log_odds: np.ndarray, validation: ClassScores) -> ShareEstimate:
    """Return the share of the ill among radiographs without labels, with a doubt where label shift is refuted.

    Under label shift the scores (N,) are distributed as those of validation, mixed by that share. Where a test of
    Kolmogorov and Smirnov refutes this at 1 %, radiographs look otherwise, and the share means nothing.

    Args:
        log_odds: (N,) array, calibrated.
        validation: ClassScores.
    """
    kinds = np.array(validation.ill), np.array(validation.healthy)
    intercept = _fit_intercept(validation)
    share = _maximum_likelihood(log_odds + intercept, validation.share)
    odds = [max(one, 1e-12) / max(1 - one, 1e-12) for one in (share, validation.share)]
    if not 1 / LARGEST_CHANGE <= odds[0] / odds[1] <= LARGEST_CHANGE:
        return ShareEstimate(share, f"it is too far from that of validation ({validation.share:.3f}) to be believed")
    places = np.sort(np.concatenate([log_odds, *kinds]))
    ill, healthy = (np.searchsorted(kind, places, side="right") / len(kind) for kind in kinds)
    observed = np.searchsorted(np.sort(log_odds), places, side="right") / len(log_odds)
    distance = float(np.abs(share * ill + (1 - share) * healthy - observed).max())
    of_validation = share**2 / validation.ill_count + (1 - share) ** 2 / validation.healthy_count
    if distance > CRITICAL * np.sqrt(1 / len(log_odds) + of_validation):
        return ShareEstimate(share, "the scores look different from those of validation, so it cannot be estimated")
    return ShareEstimate(share, "")


def _fit_intercept(validation: ClassScores) -> float:
    """Return what is added to log odds so that the mean probability is the share of the ill.

    Class weights and balanced batches teach a network other shares than those of its radiographs, and a temperature
    does not change that (Alexandari, Kundaje and Shrikumar 2020, bias-corrected temperature scaling).
    """
    kinds, share = (np.array(validation.ill), np.array(validation.healthy)), validation.share

    def excess(intercept: float) -> float:
        ill, healthy = (to_probabilities(kind + intercept).mean() for kind in kinds)
        return share * ill + (1 - share) * healthy - share

    return float(brentq(excess, -200, 200))


def _maximum_likelihood(log_odds: np.ndarray, source_share: float) -> float:
    """Return the share of the ill by expectation maximization.

    Saerens, Latinne and Decaestecker 2002, Neural Computation 14, 21-41.
    """
    share = source_share
    for _ in range(ROUNDS):
        change = np.log(max(share, 1e-12) / max(1 - share, 1e-12)) - logit(source_share)
        updated = float(to_probabilities(log_odds + change).mean())
        if abs(updated - share) < TOLERANCE:
            break
        share = updated
    return share


def move_threshold(
    question: Question, before: np.ndarray, after: np.ndarray, stated_share: float | None = None
) -> MovedThreshold:
    """Return where the threshold of a question lies among unlabelled radiographs: as many are predicted as there are.

    Where the share is not stated and an estimate is in doubt, as many as before the network was adapted: it then only
    chooses others.

    Args:
        question: Question.
        before: (N,) array, of the unlabelled radiographs: log odds before calibration, of the network as it was.
        after: (N,) array, the same of the adapted network.
        stated_share: float, the share of the ill that is known; None to estimate it.
    """
    log_odds, threshold = after / question.temperature, logit(np.clip(question.threshold, 1e-9, 1 - 1e-9))
    if stated_share is None:
        estimate = estimate_share(log_odds, question.validation)
    else:
        estimate = ShareEstimate(stated_share, "")
    if estimate.doubt:
        as_many = int((before / question.temperature >= threshold).sum())
        offset = _smallest_offset(log_odds, threshold, as_many)
    else:
        offset = threshold - np.quantile(log_odds, 1 - estimate.share)
    return MovedThreshold(estimate.share, float(question.temperature * offset), estimate.doubt)


def _smallest_offset(log_odds: np.ndarray, threshold: float, count: int) -> float:
    """Return the offset nearest to 0 that brings so many of some scores (N,) to a threshold or above it."""
    ordered = np.concatenate([[-np.inf], np.sort(log_odds), [np.inf]])
    last_below, first_above = ordered[len(log_odds) - count], ordered[len(log_odds) - count + 1]
    lowest = threshold - first_above  # with it, the first one is at the threshold
    highest = np.nextafter(threshold - last_below, -np.inf)
    return float(np.clip(0.0, lowest, max(lowest, highest)))


def move_thresholds(
    questions: list[Question],
    classes: list[str],
    multi_label: bool,
    before: np.ndarray,
    after: np.ndarray,
    stated_share: float | None = None,
) -> tuple[np.ndarray, dict[str, MovedThreshold]]:
    """Return the offset (K,) of each logit, and what was moved, by the name of the question.

    Of exclusive classes the first is the healthy one, and all others are moved together.

    Args:
        questions: list of Question.
        classes: list of K str.
        multi_label: bool, whether these are independent.
        before: (N, K) array, the logits of unlabelled radiographs, of the network as it was.
        after: (N, K) array, those of the adapted network.
        stated_share: float, the share of the ill that is known; None to estimate it.
    """
    offsets, moved = np.zeros(len(classes)), {}
    for question in questions:
        columns = [classes.index(question.name)] if multi_label else slice(1, None)
        of_question = [_of_question(question, classes, multi_label, logits) for logits in (before, after)]
        moved[question.name] = move_threshold(question, *of_question, stated_share)
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
