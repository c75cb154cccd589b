"""Calibration and thresholds: chosen on the validation split from raw predictions, then applied to any others."""

from dataclasses import dataclass

import numpy as np

from chest_transfer.data.arrays import UNKNOWN

# How thresholds are chosen, with the sensitivity that is wanted (Youden 1950 wants none).
OPERATING_POINTS = {"youden": None, "sensitivity 0.9": 0.9, "sensitivity 0.95": 0.95}
TEMPERATURE_BOUNDS = (0.05, 20.0)
LARGEST_LOG_ODDS = 60.0  # of a probability, either way: what is beyond differs in no decision


@dataclass(frozen=True)
class Calibration:
    """What is chosen on validation.

    Args:
        temperature: float, that logits are divided by.
        thresholds: dict of (K,) float arrays of calibrated probabilities, by operating point.
    """

    temperature: float
    thresholds: dict[str, np.ndarray]


def fit_calibration(labels: np.ndarray, logits: np.ndarray, multi_label: bool) -> Calibration:
    """Choose the temperature and the thresholds of every operating point.

    Args:
        labels: (N, K) array of 0, 1 and `UNKNOWN`, of the validation split.
        logits: (N, K) array.
        multi_label: bool, whether the K classes are independent.
    """
    temperature = fit_temperature(labels, logits, multi_label)
    probabilities = calibrated_probabilities(logits, temperature, multi_label)
    thresholds = {point: choose_thresholds(labels, probabilities, multi_label, point) for point in OPERATING_POINTS}
    return Calibration(temperature, thresholds)


def fit_temperature(labels: np.ndarray, logits: np.ndarray, multi_label: bool) -> float:
    """Return the temperature with the smallest cross-entropy, within `TEMPERATURE_BOUNDS`.

    One number for all classes, which changes the order of no images where there are two (Guo et al. 2017, On
    Calibration of Modern Neural Networks, section 4.2). Where a network separates the validation split without an
    error, that would be 0 and make it certain of every image: as in Platt 1999 (Probabilistic Outputs for Support
    Vector Machines, section 2.2), the targets of a class with n images are (n + 1) / (n + 2) and, of N images without
    it, 1 / (N + 2).

    Args:
        labels: (N, K) array of 0, 1 and `UNKNOWN`, of the validation split.
        logits: (N, K) array.
        multi_label: bool, whether the K classes are independent.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    with_class, without = (labels == 1).sum(axis=0), (labels == 0).sum(axis=0)
    targets = np.where(labels == 1, (with_class + 1) / (with_class + 2), 1 / (without + 2))
    if not multi_label:
        targets = targets / targets.sum(axis=1, keepdims=True)

    def cross_entropy(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        if multi_label:
            return np.mean((np.logaddexp(0, scaled) - targets * scaled)[labels != UNKNOWN])
        return -np.mean((targets * log_softmax(scaled, axis=1)).sum(axis=1))

    bounds = tuple(np.log(TEMPERATURE_BOUNDS))
    fitted = minimize_scalar(cross_entropy, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return round(float(np.exp(fitted.x)), 6)


def calibrated_log_odds(logits: np.ndarray, temperature: float, multi_label: bool) -> np.ndarray:
    """Return (N, K) float64: the log odds of each class, with logits divided by a temperature.

    For exclusive classes these are log(p / (1 - p)) of the softmax: a class against all others together.

    Args:
        logits: (N, K) array.
        temperature: float.
        multi_label: bool, whether the K classes are independent.
    """
    from scipy.special import logsumexp

    scaled = np.asarray(logits, np.float64) / temperature
    if multi_label:
        return scaled
    others = [logsumexp(np.delete(scaled, k, axis=1), axis=1) for k in range(scaled.shape[1])]
    return scaled - np.stack(others, axis=1)


def calibrated_probabilities(logits: np.ndarray, temperature: float, multi_label: bool) -> np.ndarray:
    """Return (N, K) float64 probabilities; arguments as `calibrated_log_odds`."""
    return to_probabilities(calibrated_log_odds(logits, temperature, multi_label))


def to_probabilities(log_odds: np.ndarray) -> np.ndarray:
    """Return the probabilities of log odds."""
    from scipy.special import expit

    return expit(np.clip(log_odds, -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS))


def choose_thresholds(
    labels: np.ndarray, probabilities: np.ndarray, multi_label: bool, operating_point: str
) -> np.ndarray:
    """Return (K,) thresholds of calibrated probabilities; 0.5 for a class of which validation has only one kind.

    Of two exclusive classes the second, the disease, has a threshold, and the first its complement. More than two have
    none (0), because the most probable class is predicted.

    Args:
        labels: (N, K) array of 0, 1 and `UNKNOWN`, of the validation split.
        probabilities: (N, K) array, calibrated.
        multi_label: bool, whether the K classes are independent.
        operating_point: str, a key of `OPERATING_POINTS`: `youden` maximizes sensitivity + specificity; `sensitivity X`
            is the highest threshold with a sensitivity of at least X.
    """
    classes = labels.shape[1]
    if not multi_label and classes > 2:
        return np.zeros(classes)
    thresholds = np.array([_threshold(labels[:, k], probabilities[:, k], operating_point) for k in range(classes)])
    return thresholds if multi_label else np.array([1 - thresholds[1], thresholds[1]])


def predicted_labels(probabilities: np.ndarray, thresholds: np.ndarray, multi_label: bool) -> np.ndarray:
    """Return (N, K) array of 0 and 1: the classes that are predicted.

    Args:
        probabilities: (N, K) array, calibrated.
        thresholds: (K,) array, of one operating point.
        multi_label: bool, whether the K classes are independent.
    """
    if multi_label:
        return (probabilities >= thresholds).astype(int)
    if probabilities.shape[1] == 2:
        is_diseased = (probabilities[:, 1] >= thresholds[1]).astype(int)
        return np.stack([1 - is_diseased, is_diseased], axis=1)
    return np.eye(probabilities.shape[1], dtype=int)[probabilities.argmax(axis=1)]


def _threshold(labels: np.ndarray, probabilities: np.ndarray, operating_point: str) -> float:
    from sklearn.metrics import roc_curve

    labels, probabilities = labels[labels != UNKNOWN], probabilities[labels != UNKNOWN]
    if not 0 < labels.sum() < len(labels):
        return 0.5
    false_positive_rates, true_positive_rates, candidates = roc_curve(labels, probabilities, drop_intermediate=False)
    wanted_sensitivity = OPERATING_POINTS[operating_point]
    if wanted_sensitivity is None:
        score = true_positive_rates - false_positive_rates
    else:
        score = true_positive_rates >= wanted_sensitivity
    best = 1 + int(np.argmax(score[1:]))  # roc_curve's first candidate is infinite: nothing is predicted
    chosen = candidates[best]
    next_lower = candidates[best + 1] if best + 1 < len(candidates) else chosen
    # Half-way to the next lower probability, so that neither side is favored by chance; fewer digits where they
    # suffice. Between neighboring floating-point numbers there is no middle, and the threshold is the probability.
    middle = (chosen + next_lower) / 2
    thresholds = (round(float(middle), 6), float(middle))
    return next((threshold for threshold in thresholds if next_lower < threshold <= chosen), float(chosen))
