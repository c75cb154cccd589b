"""Weights on radiographs under which a shortcut tells nothing of a class, or the opposite of what it does.

Propensity weighting: a logistic regression estimates how probable the class is given the shortcut. Overlap weights
(Li, Morgan and Zaslavsky 2018, JASA 113, 390-400) make the shortcut's distribution the same in the class and in the
rest; the odds themselves exchange the two distributions.
"""

import numpy as np
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression

POWERS = (1, 2, 3)  # of each covariate's rank: the means of these become equal
IMAGES_PER_COLUMN = 10  # of the rarer class (Peduzzi et al. 1996); of fewer, a regression explains everything
PROPENSITY_BOUNDS = (0.05, 0.95)  # when reversing: no radiograph weighs more than 19 times
MATCHED, REVERSED = "matched", "reversed"
TOLERANCE = 0.05  # of the area of a shortcut that should say nothing


def balancing_weights(is_ill: np.ndarray, covariates: np.ndarray) -> dict[str, np.ndarray]:
    """Return weights (N,) that match, and weights that reverse, a shortcut between the ill and the healthy.

    The mean weight of the ill is 1, and so is that of the healthy.

    Args:
        is_ill: (N,) bool array, both values at least once.
        covariates: (N, D) array, the shortcut; of few radiographs only the first columns are balanced.
    """
    columns = _columns(covariates, max(1, min(is_ill.sum(), (~is_ill).sum()) // IMAGES_PER_COLUMN))
    if not columns.shape[1]:  # the shortcut has one value
        return {MATCHED: np.ones(len(is_ill)), REVERSED: np.ones(len(is_ill))}
    # Hardly penalized: only then are the means equal.
    regression = LogisticRegression(C=1000.0, max_iter=10_000).fit(columns, is_ill)
    propensity = regression.predict_proba(columns)[:, 1]
    bounded = np.clip(propensity, *PROPENSITY_BOUNDS)
    odds = bounded / (1 - bounded)
    return {
        MATCHED: _mean_one(np.where(is_ill, 1 - propensity, propensity), is_ill),
        REVERSED: _mean_one(np.where(is_ill, 1 / odds, odds), is_ill),
    }


def is_balanced(kind: str, shortcut_areas: list[float]) -> bool:
    """Return whether weights did what they should for each class, by the areas under the ROC curve of the shortcut.

    Where a shortcut separates the classes, no radiographs are left that go against it.
    """
    if kind == MATCHED:
        return all(abs(area - 0.5) <= TOLERANCE for area in shortcut_areas)
    return all(area <= 0.5 + TOLERANCE for area in shortcut_areas)


def effective_count(weights: np.ndarray) -> float:
    """Return how many equal weights say as much as these (Kish 1965): (sum w)^2 / sum w^2."""
    return float(weights.sum() ** 2 / max((weights**2).sum(), 1e-12))


def _columns(covariates: np.ndarray, most: int) -> np.ndarray:
    """Return at most so many standardized columns: the ranks of all covariates, then their squares and cubes."""
    ranks = rankdata(covariates, axis=0) / len(covariates) - 0.5  # whatever their units and outliers
    columns = np.hstack([ranks**power for power in POWERS])
    columns = columns[:, columns.std(axis=0) > 0][:, :most]
    return (columns - columns.mean(axis=0)) / columns.std(axis=0)


def _mean_one(weights: np.ndarray, is_ill: np.ndarray) -> np.ndarray:
    return np.where(is_ill, weights / weights[is_ill].mean(), weights / weights[~is_ill].mean())
