"""Confidence intervals: scores of many resamples of patients at once, as weights on images.

A resample of the cluster bootstrap draws patients with replacement; an image has as much weight as its patient was
drawn times. All scores here take weights (R, N) of R resamples; one row of ones gives the score itself. scikit-learn's
metrics take one row at a time, which for NIH's 25,596 images, 14 findings and 1,000 resamples takes an hour; the tests
compare each function with them.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from chest_transfer.data.arrays import UNKNOWN

CONFIDENCE = 0.95
NORMAL_QUANTILE = float(ndtri((1 + CONFIDENCE) / 2))
NO_WIDTH = 1e-9
FEWEST_PATIENTS = 5  # ill, and healthy, for an interval
# With fewer, 95 % intervals of the bootstrap contained the true area in 74 to 90 % of simulations (bench.statistics).
FEW_PATIENTS = 30
EXACT_INTERVALS = ("auc", "sensitivity", "specificity", "accuracy", "pointing")
DECIMALS = 6  # of metrics in Git, so that a difference in the last bits is none
RESAMPLES_AT_ONCE = 50  # their weights stay in the processor's cache


def cluster_bootstrap_weights(patients: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Return the weights of a bootstrap that resamples patients.

    Args:
        patients: (N,) str array.
        resamples: int.
        seed: int.

    Returns:
        (resamples, N) uint8 array, how many times each image's patient was drawn.
    """
    _, patient_of = np.unique(patients, return_inverse=True)
    rng, count = np.random.default_rng(seed), int(patient_of.max()) + 1
    times_drawn = np.empty((resamples, count), np.uint8)
    for row in times_drawn:  # nobody is drawn more than 255 times
        row[:] = np.bincount(rng.integers(count, size=count), minlength=count)
    return times_drawn[:, patient_of]


def confidence_interval(values: np.ndarray) -> tuple[float, float]:
    """Return the percentile interval (Efron 1979) of the values (R,) of all resamples, those with NaN left out."""
    values = values[~np.isnan(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class PatientCounts:
    """How many patients a score rests on.

    Args:
        ill: int, those with an image of the class; of several classes that are averaged the fewest.
        healthy: int, those with an image without it; likewise.
        patients: int, all of them; one who has images of both kinds is ill and healthy, and counts once here.
        classes: int, the classes that are averaged.
    """

    ill: int
    healthy: int
    patients: int
    classes: int = 1

    @property
    def are_enough(self) -> bool:
        """Whether an interval can be given."""
        return min(self.ill, self.healthy) >= FEWEST_PATIENTS

    @property
    def are_few(self) -> bool:
        """Whether resamples of so few patients give too narrow an interval of one class."""
        return self.classes == 1 and min(self.ill, self.healthy) < FEW_PATIENTS

    def behind(self, score: str) -> int:
        """Return the number of patients that a score is a proportion of, at least."""
        of_score = {"sensitivity": self.ill, "specificity": self.healthy, "accuracy": self.patients}
        return of_score.get(score, min(self.ill, self.healthy))


def with_interval(
    name: str, value: float, resampled: np.ndarray, patients: PatientCounts | None = None
) -> dict[str, float | None]:
    """Return a score as `name`, `<name>_low` and `<name>_high`, the bounds None where there is no interval.

    The percentile interval of the bootstrap is too narrow for few patients, and has no width for a perfect or constant
    model: there `area_interval` and `proportion_interval` replace it.

    Args:
        name: str.
        value: float.
        resampled: (R,) array, its values in the resamples.
        patients: PatientCounts behind the score; None to take the resamples as they are.
    """
    low, high = confidence_interval(resampled)
    if patients is not None and not patients.are_enough:
        low = high = float("nan")
    elif patients is not None and (high - low < NO_WIDTH or (patients.are_few and name in EXACT_INTERVALS)):
        if name == "auc":
            low, high = area_interval(value, patients)
        else:
            low, high = proportion_interval(value, patients.behind(name))
    return {name: rounded(value), f"{name}_low": rounded(low), f"{name}_high": rounded(high)}


def area_interval(area: float, patients: PatientCounts) -> tuple[float, float]:
    """Return the interval of an area under the ROC curve that has a width at 0 and 1 as well.

    Method 5 of Newcombe (Statistics in Medicine 25, 2006, 559-573): the areas from which the given one is less than
    1.96 standard errors away, by the variance of Hanley and McNeil at that area.
    """
    from scipy.optimize import brentq

    pairs, size = patients.ill * patients.healthy, (patients.ill + patients.healthy) / 2 - 1

    def excess(true_area: float) -> float:
        spread = 1 + size * ((1 - true_area) / (2 - true_area) + true_area / (1 + true_area))
        variance = true_area * (1 - true_area) / pairs * spread
        return (area - true_area) ** 2 - NORMAL_QUANTILE**2 * variance

    # At the edges the area itself is a root as well, which is not the one looked for.
    low = brentq(excess, 0, area - NO_WIDTH) if area > NO_WIDTH else 0.0
    high = brentq(excess, area + NO_WIDTH, 1) if area < 1 - NO_WIDTH else 1.0
    return float(low), float(high)


def proportion_interval(proportion: float, count: int) -> tuple[float, float]:
    """Return the score interval of a proportion of `count` patients (Wilson 1927), which has a width at 0 and 1.

    The proportion need not be of whole patients, one of whom may have several images: scipy's takes counts only.
    """
    shrinkage = NORMAL_QUANTILE**2 / count
    center = (proportion + shrinkage / 2) / (1 + shrinkage)
    spread = (
        np.sqrt(proportion * (1 - proportion) / count + shrinkage / (4 * count)) * NORMAL_QUANTILE / (1 + shrinkage)
    )
    return float(max(center - spread, 0)), float(min(center + spread, 1))


def difference_interval(
    values: tuple[float, float], intervals: tuple[tuple[float, float], tuple[float, float]]
) -> tuple[float, float]:
    """Return the interval of the second value minus the first, from the interval of each.

    By the method of variance estimates recovery (Zou and Donner, Statistics in Medicine 27, 2008, 1693-1702) as for
    independent values: wider than need be where both are of the same patients.
    """
    (first, second), ((first_low, first_high), (second_low, second_high)) = values, intervals
    difference = second - first
    below = np.hypot(second - second_low, first_high - first)
    above = np.hypot(second_high - second, first - first_low)
    return float(difference - below), float(difference + above)


def rounded(value: float) -> float | None:
    """Return a value rounded for Git, None for NaN."""
    return None if np.isnan(value) else round(float(value), DECIMALS)


def ranking_scores(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the area under the ROC curve and the average precision of one class in each resample.

    The area is the share of pairs (positive, negative) in the right order, ties counted half (Mann-Whitney); average
    precision is the sum of precisions weighted by the gain in recall, as in scikit-learn.

    Args:
        labels: (N,) array of 0, 1 and `UNKNOWN`.
        scores: (N,) array, higher for the class: probabilities or log odds.
        weights: (R, N) array of integers.

    Returns:
        (R,) and (R,) arrays; NaN in a resample without positives, the area also in one without negatives.
    """
    if not (known := labels != UNKNOWN).all():
        labels, scores, weights = labels[known], scores[known], weights[:, known]
    order = np.argsort(-scores, kind="stable")
    sorted_scores, positives = scores[order], np.flatnonzero(labels[order])
    # Images with the same score are tied: for each positive, where its ties start, and where they end.
    tie_start = np.searchsorted(-sorted_scores, -sorted_scores[positives], side="left")
    tie_end = np.searchsorted(-sorted_scores, -sorted_scores[positives], side="right")
    positives_before_ties = np.searchsorted(positives, tie_start, side="left")
    positives_through_ties = np.searchsorted(positives, tie_end, side="left")
    # Cumulative weights are needed at these places only: adding up between them is faster than at every image.
    places = np.unique(np.concatenate([[0], tie_start, tie_end[tie_end < len(labels)]]))
    start_place, end_place = np.searchsorted(places, tie_start), np.searchsorted(places, tie_end)
    areas, precisions = np.empty(len(weights)), np.empty(len(weights))
    for start in range(0, len(weights), RESAMPLES_AT_ONCE):
        rows = slice(start, start + RESAMPLES_AT_ONCE)
        sorted_weights = np.take(weights[rows], order, axis=1)
        cumulative = exclusive_cumulative_sum(np.add.reduceat(sorted_weights, places, axis=1, dtype=np.float32))
        positive_weights = np.take(sorted_weights, positives, axis=1).astype(np.float32)
        cumulative_positives = exclusive_cumulative_sum(positive_weights)
        positive_total = cumulative_positives[:, -1].astype(np.float64)
        negative_total = (cumulative[:, -1] - cumulative_positives[:, -1]).astype(np.float64)
        negatives_above = cumulative[:, start_place] - cumulative_positives[:, positives_before_ties]
        negatives_above_or_tied = cumulative[:, end_place] - cumulative_positives[:, positives_through_ties]
        negatives_below = negative_total[:, None] - (negatives_above + negatives_above_or_tied) / 2
        images_through_ties = cumulative[:, end_place].astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            areas[rows] = (positive_weights * negatives_below).sum(axis=1) / (positive_total * negative_total)
            precision = cumulative_positives[:, positives_through_ties] / images_through_ties
            precision = np.where(positive_weights > 0, precision, 0)
            precisions[rows] = (positive_weights * precision).sum(axis=1) / positive_total
    return areas, precisions


def exclusive_cumulative_sum(values: np.ndarray) -> np.ndarray:
    """Return (R, n + 1) float32: the sums of the first 0, 1, ... n of the values (R, n); exact below 2 ** 24."""
    sums = np.zeros((len(values), values.shape[1] + 1), np.float32)
    np.cumsum(values, axis=1, out=sums[:, 1:])
    return sums


def confusion_counts(labels: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Return the true and false positives and negatives of each class in each resample.

    Args:
        labels: (N, K) array of 0, 1 and `UNKNOWN`.
        predicted: (N, K) array of 0 and 1.
        weights: (R, N) array.

    Returns:
        dict of (R, K) float64 arrays: `tp`, `fp`, `tn`, `fn`.
    """
    shown, absent = (labels == 1).astype(int), (labels == 0).astype(int)
    kinds = [shown * predicted, absent * predicted, absent * (1 - predicted), shown * (1 - predicted)]
    sums = np.split(weighted_sums(np.hstack(kinds), weights), 4, axis=1)
    return dict(zip(("tp", "fp", "tn", "fn"), sums, strict=True))


def weighted_sums(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return (R, K) float64: the sums over images of values (N, K) times weights (R, N)."""
    sums = np.empty((len(weights), values.shape[1]))
    for start in range(0, len(weights), RESAMPLES_AT_ONCE):
        rows = slice(start, start + RESAMPLES_AT_ONCE)
        sums[rows] = weights[rows].astype(np.float64) @ values
    return sums
