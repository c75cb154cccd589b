"""Whether one model's area under the ROC curve differs from another's on the same test images: two tests."""

import numpy as np
from scipy.stats import norm, rankdata


def delong(truth: np.ndarray, probabilities: np.ndarray, patients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Areas of M models under the ROC curve, and their covariance, with patients as the unit.

    Where each patient has one image this is DeLong et al. 1988; with several, Obuchowski 1997 (Nonparametric analysis
    of clustered ROC curve data), which it is a case of. Ranks as Sun and Xu 2014, so the time is N log N.

    Args:
        truth: (N,) 0 or 1, some of both.
        probabilities: (M, N).
        patients: (N,) text.

    Returns:
        (M,), and (M, M); NaN where fewer than two patients have one kind of image.
    """
    positive = truth == 1
    cases, controls = int(positive.sum()), int((~positive).sum())
    # Of each case the share of controls that it beats, half for ties; of each control the share of cases it loses to.
    among_all, among_cases, among_controls = (
        rankdata(part, axis=1) for part in (probabilities, probabilities[:, positive], probabilities[:, ~positive])
    )
    beats = (among_all[:, positive] - among_cases) / controls
    loses = 1 - (among_all[:, ~positive] - among_controls) / cases
    areas = beats.mean(axis=1)
    _, of = np.unique(patients, return_inverse=True)
    people = int(of.max()) + 1
    case_sums, people_with_case = _by_patient(beats - areas[:, None], of[positive], people)
    control_sums, people_with_control = _by_patient(loses - areas[:, None], of[~positive], people)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = case_sums @ case_sums.T * _corrected(people_with_case) / cases**2
        spread += control_sums @ control_sums.T * _corrected(people_with_control) / controls**2
        # Images of one patient on both sides; nothing where each has one image.
        both = case_sums @ control_sums.T
        spread += (both + both.T) * _corrected(people) / (cases * controls)
    return areas, spread


def _by_patient(values: np.ndarray, of: np.ndarray, people: int) -> tuple[np.ndarray, int]:
    """Sums (M, people) of values (M, n) over each patient's images, and how many patients have any."""
    sums = np.array([np.bincount(of, weights=row, minlength=people) for row in values])
    return sums, len(np.unique(of))


def _corrected(people: int) -> np.float64:
    return np.float64(people) / (people - 1)


def delong_p(areas: np.ndarray, spread: np.ndarray, one: int, other: int) -> float:
    """Two-sided p of the difference between two models' areas; 1 where they are the same, NaN where it is unknown."""
    difference = areas[one] - areas[other]
    with np.errstate(invalid="ignore"):
        variance = spread[one, one] + spread[other, other] - 2 * spread[one, other]
    if abs(difference) < 1e-12:
        return 1.0
    return float("nan") if np.isnan(variance) else float(2 * norm.sf(abs(difference) / np.sqrt(max(variance, 1e-300))))


def bootstrap_p(differences: np.ndarray) -> float:
    """Two-sided p of a difference, from its values in rounds of the bootstrap: how far 0 lies out in them.

    It agrees with the percentile interval: below 0.05 where that leaves out 0. Never below 2 / (R + 1).
    """
    known = differences[~np.isnan(differences)]
    tail = min((known <= 0).sum(), (known >= 0).sum())
    return float(min(1.0, 2 * (tail + 1) / (len(known) + 1)))
