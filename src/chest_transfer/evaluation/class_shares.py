"""How frequent classes are where no labels are known, and what probabilities and thresholds become there.

The assumption is label shift: the ill look as the ill of the source do, and the healthy as the healthy, and only their
shares differ. Where radiographs look otherwise for other reasons, the estimate is wrong, and nothing here can notice.
"""

import numpy as np

ROUNDS, TOLERANCE = 1000, 1e-7
SMALLEST_SHARE = 0.01


def estimate_class_shares(probabilities: np.ndarray, source_shares: np.ndarray) -> np.ndarray:
    """Return the shares (K,) of exclusive classes among radiographs without labels.

    The maximum of the likelihood by expectation maximization (Saerens, Latinne and Decaestecker 2002, Neural
    Computation 14, 21-41). None is below `SMALLEST_SHARE`.

    Args:
        probabilities: (N, K) array, calibrated where the classes have the source's shares.
        source_shares: (K,) array.
    """
    shares = source_shares = np.asarray(source_shares, np.float64)
    for _ in range(ROUNDS):
        weighted = probabilities * (shares / source_shares)
        updated = (weighted / weighted.sum(axis=1, keepdims=True)).mean(axis=0)
        if np.abs(updated - shares).max() < TOLERANCE:
            break
        shares = updated
    shares = np.maximum(shares, SMALLEST_SHARE)
    return shares / shares.sum()


def shifted_threshold(threshold: float, source_shares: np.ndarray, shares: np.ndarray) -> float:
    """Return the probability of the second of two classes that means what `threshold` meant with the source's shares.

    The ratio of likelihoods stays: the odds change by the factor by which those of the classes do.
    """
    odds = threshold / max(1 - threshold, 1e-12) * (shares[1] / shares[0]) / (source_shares[1] / source_shares[0])
    return float(odds / (1 + odds))
