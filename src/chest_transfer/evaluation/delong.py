"""Two tests of whether the areas under the ROC curve of two models on the same test images differ."""

import numpy as np
from scipy.stats import norm, rankdata


def delong(labels: np.ndarray, scores: np.ndarray, patients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the areas of M models under the ROC curve and their covariance, with patients as the unit.

    With one image for each patient this is DeLong et al. 1988; with several it is Obuchowski 1997 (Nonparametric
    analysis of clustered ROC curve data), which includes it. Ranks as in Sun and Xu 2014, so the time is N log N.

    Args:
        labels: (N,) array of 0 and 1, with some of both.
        scores: (M, N) array, higher for the class.
        patients: (N,) str array.

    Returns:
        (M,) areas and (M, M) covariance; NaN where fewer than two patients have positive, or negative, images.
    """
    is_positive = labels == 1
    positives, negatives = int(is_positive.sum()), int((~is_positive).sum())
    rank_among_all = rankdata(scores, axis=1)
    rank_among_positives = rankdata(scores[:, is_positive], axis=1)
    rank_among_negatives = rankdata(scores[:, ~is_positive], axis=1)
    # The components of DeLong: for each positive the share of negatives that it is ranked above, ties counted half,
    # and for each negative the share of positives that are ranked above it.
    positive_components = (rank_among_all[:, is_positive] - rank_among_positives) / negatives
    negative_components = 1 - (rank_among_all[:, ~is_positive] - rank_among_negatives) / positives
    areas = positive_components.mean(axis=1)
    _, patient_of = np.unique(patients, return_inverse=True)
    count = int(patient_of.max()) + 1
    positive_sums, with_positive = _sums_by_patient(
        positive_components - areas[:, None], patient_of[is_positive], count
    )
    negative_sums, with_negative = _sums_by_patient(
        negative_components - areas[:, None], patient_of[~is_positive], count
    )
    covariance = positive_sums @ positive_sums.T * _bessel(with_positive) / positives**2
    covariance += negative_sums @ negative_sums.T * _bessel(with_negative) / negatives**2
    # Patients with positive and negative images; zero where each patient has one image.
    both_kinds = positive_sums @ negative_sums.T
    covariance += (both_kinds + both_kinds.T) * _bessel(count) / (positives * negatives)
    return areas, covariance


def delong_p_value(areas: np.ndarray, covariance: np.ndarray, first: int, second: int) -> float:
    """Return the two-sided p-value of the difference of two areas; 1 where they are equal, NaN where it is unknown.

    Args:
        areas: (M,) array of `delong`.
        covariance: (M, M) array of `delong`.
        first: int, a row.
        second: int, another row.
    """
    difference = areas[first] - areas[second]
    variance = covariance[first, first] + covariance[second, second] - 2 * covariance[first, second]
    if abs(difference) < 1e-12:
        return 1.0
    if np.isnan(variance):
        return float("nan")
    return float(2 * norm.sf(abs(difference) / np.sqrt(max(variance, 1e-300))))


def bootstrap_p_value(differences: np.ndarray) -> float:
    """Return the two-sided p-value of a difference from its values in R resamples; NaN if none is known.

    Where it is below 0.05, the percentile interval excludes 0; close to 0.05 the reverse may not hold. Never below
    2 / (R + 1).
    """
    known = differences[~np.isnan(differences)]
    if not len(known):
        return float("nan")
    smaller_tail = min((known <= 0).sum(), (known >= 0).sum())
    return float(min(1.0, 2 * (smaller_tail + 1) / (len(known) + 1)))


def _sums_by_patient(values: np.ndarray, patient_of: np.ndarray, patients: int) -> tuple[np.ndarray, int]:
    """Return the sums (M, patients) of values (M, n) over each patient's images, and how many patients have any."""
    sums = np.array([np.bincount(patient_of, weights=row, minlength=patients) for row in values])
    return sums, len(np.unique(patient_of))


def _bessel(count: int) -> float:
    """Return Bessel's correction of a variance; NaN for a single patient."""
    return count / (count - 1) if count > 1 else float("nan")
