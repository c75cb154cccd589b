"""Where a model decides: its calibration and its thresholds, chosen on validation and frozen into its file."""

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.metrics import roc_curve

SENSITIVITIES = {"sensitivity 0.9": 0.9, "sensitivity 0.95": 0.95}
OPERATING_POINTS = ("youden", *SENSITIVITIES)
_CLOSEST = 1e-7  # of a probability to 0 and 1: float32 rounds nearer ones to them


def operating_facts(truth: np.ndarray, probabilities: np.ndarray, multi_label: bool) -> dict:
    """What a model's file keeps of validation: `temperature`, and `thresholds` of calibrated probabilities.

    Args:
        truth, probabilities: (N, K) of the validation split; the probabilities as the model gives them.
        multi_label: whether the K are independent.

    Returns:
        JSON: `thresholds` are those of each of `OPERATING_POINTS`, as by `thresholds`.
    """
    temperature = fitted_temperature(truth, probabilities, multi_label)
    ready = calibrated(probabilities, temperature, multi_label)
    points = {point: thresholds(truth, ready, multi_label, point) for point in OPERATING_POINTS}
    return {"temperature": temperature, "thresholds": {point: found.tolist() for point, found in points.items()}}


def fitted_temperature(truth: np.ndarray, probabilities: np.ndarray, multi_label: bool) -> float:
    """The temperature that makes validation's log loss smallest, 0.05-20.

    One number for all classes, so that no order of images changes (Guo et al. 2017, On Calibration of Modern Neural
    Networks, section 4.2).
    """

    def loss(log_temperature: float) -> float:
        ready = np.clip(calibrated(probabilities, np.exp(log_temperature), multi_label), _CLOSEST, 1 - _CLOSEST)
        likelihood = truth * np.log(ready)
        return -np.mean(likelihood + (1 - truth) * np.log(1 - ready) if multi_label else likelihood)

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded", options={"xatol": 1e-6})
    return round(float(np.exp(found.x)), 6)


def calibrated(probabilities: np.ndarray, temperature: float, multi_label: bool) -> np.ndarray:
    """Probabilities (N, K) float64 whose logits are divided by a temperature."""
    values = np.clip(np.asarray(probabilities, np.float64), _CLOSEST, 1 - _CLOSEST)
    if multi_label:
        return 1 / (1 + ((1 - values) / values) ** (1 / temperature))
    # A power of probabilities, shared out anew, is the softmax of divided logits.
    powers = values ** (1 / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


def thresholds(truth: np.ndarray, probabilities: np.ndarray, multi_label: bool, point: str) -> np.ndarray:
    """(K,) the calibrated probabilities from which each class is called; 0.5 where validation has not both kinds.

    Of two exclusive classes the second, the disease, has a threshold, and the first the rest. More than two have none
    (0): the likeliest is called.

    Args:
        truth, probabilities: (N, K) of the validation split.
        multi_label: whether the K are independent.
        point: a name of `OPERATING_POINTS`: `youden` makes sensitivity + specificity largest (Youden 1950);
            `sensitivity X` is the highest threshold that finds a share X of the diseased.
    """
    classes = truth.shape[1]
    if not multi_label and classes > 2:
        return np.zeros(classes)
    found = np.array([_threshold(truth[:, k], probabilities[:, k], point) for k in range(classes)])
    return found if multi_label else np.array([1 - found[1], found[1]])


def _threshold(truth: np.ndarray, probabilities: np.ndarray, point: str) -> float:
    if not 0 < truth.sum() < len(truth):
        return 0.5
    false_positives, true_positives, cuts = roc_curve(truth, probabilities, drop_intermediate=False)
    if point == "youden":
        best = int(np.argmax(true_positives - false_positives))
    else:
        best = int(np.argmax(true_positives >= SENSITIVITIES[point]))
    best = max(best, 1)  # roc_curve's first cut is infinite: nothing is called
    # Half-way to the next lower probability, so that neither side's luck decides; at the end, the cut itself.
    lower = cuts[best + 1] if best + 1 < len(cuts) else cuts[best]
    return round(float((cuts[best] + lower) / 2), 6)


def decisions(probabilities: np.ndarray, cuts: np.ndarray, multi_label: bool) -> np.ndarray:
    """(N, K) 0 or 1: what is called, of calibrated probabilities (N, K) at thresholds (K,)."""
    if multi_label:
        return (probabilities >= cuts).astype(int)
    if probabilities.shape[1] == 2:
        diseased = (probabilities[:, 1] >= cuts[1]).astype(int)
        return np.stack([1 - diseased, diseased], axis=1)
    return np.eye(probabilities.shape[1], dtype=int)[probabilities.argmax(axis=1)]
