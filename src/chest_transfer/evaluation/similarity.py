"""Similarity of representations: linear centered kernel alignment (CKA), without its bias for few images.

Kornblith et al. 2019 (arXiv 1905.00414), with the unbiased estimate of the Hilbert-Schmidt independence criterion of
Song et al. 2012 (JMLR 13), as in Nguyen et al. 2021 (arXiv 2010.15327): with fewer images than features, the plain
estimate finds any two representations similar.
"""

import numpy as np

MOST_COMPARED = 200  # test radiographs


def linear_kernel(features: np.ndarray) -> np.ndarray:
    """Return all that `cka` needs of a representation: the products of images, (N, N) float64, with a diagonal of 0.

    Args:
        features: (N, D) array, N at least 4.
    """
    features = np.asarray(features, np.float64)
    kernel = features @ features.T
    np.fill_diagonal(kernel, 0)
    return kernel


def cka(first: np.ndarray, second: np.ndarray) -> float:
    """Return how similar two representations of the same images are: 1 for equal ones, about 0 for unrelated ones.

    Args:
        first: (N, N) array of `linear_kernel`.
        second: (N, N) array of `linear_kernel`.

    Returns:
        float, at most 1; NaN where one of them is the same for all images.
    """
    norm = _independence(first, first) * _independence(second, second)
    return float(_independence(first, second) / np.sqrt(norm)) if norm > 0 else float("nan")


def _independence(one: np.ndarray, other: np.ndarray) -> float:
    """Return the unbiased criterion of Song et al. 2012, equation 5, of two kernels without their diagonals."""
    count = len(one)
    total = np.sum(one * other)
    total += one.sum() * other.sum() / ((count - 1) * (count - 2))
    total -= 2 * (one.sum(axis=0) @ other.sum(axis=0)) / (count - 2)
    return total / (count * (count - 3))
