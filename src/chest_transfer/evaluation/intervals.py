"""Intervals: scores of many resamples of patients at once, as weights on images.

A round of the bootstrap draws patients with replacement; an image weighs as often as its patient was drawn. All scores
here take the weights (R, N) of R rounds; one row of ones gives the score itself. scikit-learn's take one row at a time,
which for NIH's 25,596 images, 14 findings and 1,000 rounds is an hour; the tests hold each of these against them.
"""

import numpy as np

LEVEL = 0.95
CHUNK = 50  # rounds at a time: their weights stay in the processor's cache


def drawn(patients: np.ndarray, rounds: int, seed: int) -> np.ndarray:
    """(rounds, N) uint8: how often each image's patient was drawn, of as many draws as there are patients.

    Args:
        patients: (N,) text.
        rounds: of the bootstrap.
        seed: another one, other draws.
    """
    _, of = np.unique(patients, return_inverse=True)
    chance, people = np.random.default_rng(seed), int(of.max()) + 1
    counts = np.empty((rounds, people), np.uint8)
    for row in counts:  # more than 255 draws of one patient do not happen
        row[:] = np.bincount(chance.integers(people, size=people), minlength=people)
    return counts[:, of]


def interval(values: np.ndarray) -> tuple[float, float]:
    """The percentile interval (Efron 1979) of R rounds' values; rounds that lack a class (NaN) are left out."""
    values = values[~np.isnan(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def ranking_scores(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One class's area under the ROC curve and average precision: (R,) and (R,); NaN where a round has one kind only.

    The area is the share of pairs in the right order, half for ties (Mann-Whitney); average precision is the sum of
    precisions weighed by the gain in recall, as in scikit-learn.

    Args:
        truth: (N,) 0 or 1.
        probabilities: (N,).
        weights: (R, N), whole numbers.
    """
    order = np.argsort(-probabilities, kind="stable")
    called, positive = probabilities[order], np.flatnonzero(truth[order])
    # Images of one probability stand or fall together: a group's first place, and the place after its last.
    first = np.searchsorted(-called, -called[positive], side="left")
    after = np.searchsorted(-called, -called[positive], side="right")
    of_first = np.searchsorted(positive, first, side="left")
    of_after = np.searchsorted(positive, after, side="left")
    # Sums are needed at these places only: adding up between them is faster than a sum at every image.
    edges = np.unique(np.concatenate([[0], first, after[after < len(truth)]]))
    at_first, at_after = np.searchsorted(edges, first), np.searchsorted(edges, after)
    areas, precisions = np.empty(len(weights)), np.empty(len(weights))
    for start in range(0, len(weights), CHUNK):
        chunk = np.take(weights[start : start + CHUNK], order, axis=1)
        seen = _before(np.add.reduceat(chunk, edges, axis=1, dtype=np.float32))
        weight = np.take(chunk, positive, axis=1).astype(np.float32)
        found = _before(weight)
        positives, negatives = (ends.astype(np.float64) for ends in (found[:, -1], seen[:, -1] - found[:, -1]))
        ahead = seen[:, at_first] - found[:, of_first] + seen[:, at_after] - found[:, of_after]
        with np.errstate(invalid="ignore", divide="ignore"):
            beaten = (weight * (negatives[:, None] - ahead / 2)).sum(axis=1)
            areas[start : start + CHUNK] = beaten / (positives * negatives)
            precision = np.where(weight > 0, found[:, of_after] / seen[:, at_after].astype(np.float64), 0)
            precisions[start : start + CHUNK] = (weight * precision).sum(axis=1) / positives
    return areas, precisions


def _before(values: np.ndarray) -> np.ndarray:
    """(R, n + 1): sums of the first 0, 1, ... n values."""
    sums = np.zeros((len(values), values.shape[1] + 1), np.float32)  # exact: below 2 ** 24
    np.cumsum(values, axis=1, out=sums[:, 1:])
    return sums


def decision_counts(truth: np.ndarray, called: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """True and false positives and negatives of each class: `tp`, `fp`, `tn`, `fn`, each (R, K) float64.

    Args:
        truth, called: (N, K) 0 or 1.
        weights: (R, N).
    """
    kinds = [truth * called, (1 - truth) * called, (1 - truth) * (1 - called), truth * (1 - called)]
    return dict(zip(("tp", "fp", "tn", "fn"), np.split(weighed(np.hstack(kinds), weights), 4, axis=1), strict=True))


def weighed(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(R, K) float64: sums over images of values (N, K) times weights (R, N)."""
    sums = np.empty((len(weights), values.shape[1]))
    for start in range(0, len(weights), CHUNK):
        sums[start : start + CHUNK] = weights[start : start + CHUNK].astype(np.float64) @ values
    return sums
