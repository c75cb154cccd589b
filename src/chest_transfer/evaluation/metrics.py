"""What one model is worth on one split, from its predictions alone: scores, and their intervals over patients."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from sklearn.metrics import f1_score, log_loss, precision_score, recall_score, roc_curve

from chest_transfer.data.predictions import Predictions
from chest_transfer.evaluation.intervals import decision_counts, interval, ranking_scores, weighed
from chest_transfer.training.operating import calibrated, decisions

BINS = 15  # of calibration error, as Guo et al. 2017
SPECIFICITY = 0.9  # at which sensitivity is read off the ROC curve


@dataclass(frozen=True)
class Judged:
    """A model's predictions for one split, with the calibration and thresholds that it got on validation.

    Args:
        truth: (N, K) 0 or 1.
        raw: (N, K) probabilities as the model gives them.
        multi_label: whether an image may have several labels.
        temperature: of `operating.calibrated`.
        cuts: (K,) thresholds of calibrated probabilities.
    """

    truth: np.ndarray
    raw: np.ndarray
    multi_label: bool
    temperature: float
    cuts: np.ndarray

    @cached_property
    def probabilities(self) -> np.ndarray:
        """(N, K) calibrated."""
        return calibrated(self.raw, self.temperature, self.multi_label)

    @cached_property
    def called(self) -> np.ndarray:
        """(N, K) 0 or 1: what the model says at its thresholds."""
        return decisions(self.probabilities, self.cuts, self.multi_label)

    @cached_property
    def scored(self) -> list[int]:
        """The classes to average over: those with both kinds of images; of two exclusive ones, the disease."""
        candidates = [1] if self.truth.shape[1] == 2 and not self.multi_label else range(self.truth.shape[1])
        return [k for k in candidates if 0 < self.truth[:, k].sum() < len(self.truth)]


def judged_by(chosen: dict, said: Predictions, multi_label: bool, point: str) -> Judged:
    """Predictions with the calibration and the thresholds of `operating.operating_facts`."""
    cuts = np.array(chosen["thresholds"][point])
    return Judged(said.truth, said.probabilities, multi_label, chosen["temperature"], cuts)


def restricted(judged: Judged, rows: np.ndarray) -> Judged:
    """The same model on some of the images: (N,) bool."""
    return judged if rows.all() else replace(judged, truth=judged.truth[rows], raw=judged.raw[rows])


def sampled_scores(
    judged: Judged, weights: np.ndarray, columns: list[int] | None = None
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The scores that get an interval, for each of R rounds.

    With two exclusive classes all are the disease's own. Otherwise they are macro averages of each class against the
    rest, over the classes of which the split has some images but not all; accuracy counts whole images, or with several
    labels all decisions.

    Args:
        judged: the predictions.
        weights: (R, N), of `intervals.drawn`; ones give the scores themselves.
        columns: None, or the classes to average over, though some may not be there.

    Returns:
        name -> (R,), and the area under the ROC curve of each scored class (K', R).
    """
    truth, called = judged.truth, judged.called
    columns = judged.scored if columns is None else columns
    areas, precisions = _ranked(judged, weights, columns)
    counts = {name: found[:, columns] for name, found in decision_counts(truth, called, weights).items()}
    right = (called == truth).mean(axis=1) if judged.multi_label else (called * truth).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        sensitivity = counts["tp"] / (counts["tp"] + counts["fn"])
        specificity = counts["tn"] / (counts["tn"] + counts["fp"])
        precision = np.nan_to_num(counts["tp"] / (counts["tp"] + counts["fp"]))
        f1 = np.nan_to_num(2 * counts["tp"] / (2 * counts["tp"] + counts["fp"] + counts["fn"]))
    several = not judged.multi_label and truth.shape[1] > 2
    found = {
        "auc": _mean(areas.T),
        "average_precision": _mean(precisions.T),
        "accuracy": weighed(right[:, None], weights)[:, 0] / weights.sum(axis=1),
        "balanced_accuracy": _mean(sensitivity if several else (sensitivity + specificity) / 2),
        "precision": _mean(precision),
        "sensitivity": _mean(sensitivity),
        "specificity": _mean(specificity),
        "f1": _mean(f1),
    }
    return found, areas


def sampled_areas(judged: Judged, weights: np.ndarray) -> np.ndarray:
    """(R,): only the area under the ROC curve of `sampled_scores`."""
    return _mean(_ranked(judged, weights, judged.scored)[0].T)


def area(judged: Judged) -> float:
    """The area under the ROC curve, once: of all images, each counted once."""
    return float(sampled_areas(judged, np.ones((1, len(judged.truth)), np.uint8))[0])


def _ranked(judged: Judged, weights: np.ndarray, columns: list[int]) -> np.ndarray:
    """(2, K', R): the area under the ROC curve and the average precision of some classes."""
    pairs = [ranking_scores(judged.truth[:, k], judged.probabilities[:, k], weights) for k in columns]
    return np.reshape(pairs, (len(columns), 2, len(weights))).transpose(1, 0, 2)


def _mean(values: np.ndarray) -> np.ndarray:
    """Of each row, the values that there are; NaN where there is none."""
    there = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(there, values, 0).sum(axis=-1) / there.sum(axis=-1)


def other_scores(judged: Judged) -> dict[str, float]:
    """The scores without an interval: averages of other kinds, log loss, Brier score and calibration error.

    `sensitivity_at_90_specificity` is read off the test split's own ROC curve, as papers do: no threshold is used.
    Calibration error is the mean distance of probability and frequency over bins of equal width, of each scored class
    (Guo et al. 2017; class by class: Kull et al. 2019). `uncalibrated_` is before the temperature.
    """
    truth, called, columns = judged.truth, judged.called, judged.scored
    if not columns:
        return {}
    averages = {"zero_division": 0} | ({} if judged.multi_label else {"labels": np.arange(truth.shape[1])})
    labels = (truth, called) if judged.multi_label else (truth.argmax(axis=1), called.argmax(axis=1))
    found = {
        "f1_macro": f1_score(*labels, average="macro", **averages),
        "f1_weighted": f1_score(*labels, average="weighted", **averages),
        "precision_weighted": precision_score(*labels, average="weighted", **averages),
        "sensitivity_weighted": recall_score(*labels, average="weighted", **averages),
        "sensitivity_at_90_specificity": np.mean([
            _sensitivity_at(truth[:, k], judged.probabilities[:, k]) for k in columns
        ]),
    }  # fmt: skip
    for prefix, values in (("", judged.probabilities), ("uncalibrated_", judged.raw)):
        found[f"{prefix}loss"] = _loss(truth, values, judged.multi_label)
        found[f"{prefix}brier"] = np.mean((values[:, columns] - truth[:, columns]) ** 2)
        found[f"{prefix}ece"] = np.mean([calibration_error(truth[:, k], values[:, k]) for k in columns])
    return {name: float(value) for name, value in found.items()}


def _sensitivity_at(truth: np.ndarray, probabilities: np.ndarray) -> float:
    false_positives, true_positives, _ = roc_curve(truth, probabilities)
    return float(true_positives[false_positives <= 1 - SPECIFICITY + 1e-12].max())


def _loss(truth: np.ndarray, probabilities: np.ndarray, multi_label: bool) -> float:
    if multi_label:
        return np.mean([log_loss(truth[:, k], probabilities[:, k], labels=[0, 1]) for k in range(truth.shape[1])])
    shares = probabilities / probabilities.sum(axis=1, keepdims=True)
    return log_loss(truth.argmax(axis=1), shares, labels=range(truth.shape[1]))


def reliability(truth: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> np.ndarray:
    """One class in bins of equal width: (bins that hold images, 3), mean probability, observed frequency, images."""
    bin_of = np.minimum((probabilities * bins).astype(int), bins - 1)
    counts = np.bincount(bin_of, minlength=bins)
    sums = [np.bincount(bin_of, weights=values, minlength=bins) for values in (probabilities, truth)]
    used = counts > 0
    return np.stack([sums[0][used] / counts[used], sums[1][used] / counts[used], counts[used]], axis=1)


def calibration_error(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Expected calibration error of one class, 0-1."""
    confidence, frequency, images = reliability(truth, probabilities).T
    return float((np.abs(confidence - frequency) * images).sum() / images.sum())


def scores(judged: Judged, rounds: np.ndarray, classes: list[str]) -> tuple[dict, float, np.ndarray]:
    """Everything a model is worth on a split.

    Args:
        judged: the predictions.
        rounds: (R, N) weights of the bootstrap.
        classes: their names.

    Returns:
        name -> value, with `<name>_low` and `<name>_high` where there is an interval, None where nothing can be scored;
        `findings`: with more than one scored class, each one's area. Then the area under the ROC curve, and each
        round's (R,).
    """
    ones = np.ones((1, len(judged.truth)), np.uint8)
    (points, point_areas), (samples, areas) = (sampled_scores(judged, weights) for weights in (ones, rounds))
    found: dict = {}
    for name, value in points.items():
        found |= with_interval(name, value[0], samples[name])
    found |= {name: rounded(value) for name, value in other_scores(judged).items()}
    if len(judged.scored) > 1:
        found["findings"] = {
            classes[k]: with_interval("auc", point_areas[row, 0], areas[row]) for row, k in enumerate(judged.scored)
        }
    return found, points["auc"][0], samples["auc"]


def with_interval(name: str, value: float, samples: np.ndarray) -> dict[str, float | None]:
    """A score as `name`, `<name>_low` and `<name>_high`, from its value and those of R rounds."""
    low, high = interval(samples)
    return {name: rounded(value), f"{name}_low": rounded(low), f"{name}_high": rounded(high)}


def rounded(value: float) -> float | None:
    """To six places, so that a difference in the last bits is none in Git; None for what is no number."""
    return None if np.isnan(value) else round(float(value), 6)
