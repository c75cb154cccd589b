"""Scope: whether a picture looks at all like those that a model was trained on.

Each picture is shrunk to 24 x 24 pixels of mean 0 and deviation 1, and held against the main ways in which training
pictures differ (principal components). What is far along them, or not made of them, is no frontal chest radiograph of
the kind: a photograph, a negative, a picture turned on its side. It is no test for disease, nor for another hospital.
"""

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from chest_transfer.data.overlap import shrunk

SIDE = 24
COMPONENTS = 20
MOST = 5000  # training pictures that are looked at, evenly over the split
FALSE_ALARMS = 0.02  # of the validation split's own pictures
_FLATTEST = 4.0  # grey levels of deviation: below it there is nothing to see


@dataclass(frozen=True)
class Scope:
    """What training pictures look like.

    Args:
        mean: (SIDE ** 2,) float32, the mean thumbnail.
        components: (k, SIDE ** 2) float32, orthonormal.
        variances: (k,) float32, of the training pictures along them.
        rest: the training pictures' mean squared distance from what the components make.
        cut: the distance from which a picture is outside.
    """

    mean: np.ndarray
    components: np.ndarray
    variances: np.ndarray
    rest: float
    cut: float

    def numbers(self) -> dict[str, float]:
        """What a model's facts keep of it."""
        return {"rest": self.rest, "cut": self.cut}

    def arrays(self) -> dict[str, np.ndarray]:
        """What a model's file keeps of it."""
        return {"scope_mean": self.mean, "scope_components": self.components, "scope_variances": self.variances}

    def distances(self, images: np.ndarray) -> np.ndarray:
        """(N,) float64: 2 for a usual picture, more for an unusual one, infinite for one that is all of one grey.

        Args:
            images: (N, H, W) uint8, prepared as for the model.
        """
        away = _thumbnails(images) - self.mean
        along = away @ self.components.T
        left = (away**2).sum(axis=1) - (along**2).sum(axis=1)
        found = (along**2 / self.variances).mean(axis=1) + left / self.rest
        flat = np.array([image.std() < _FLATTEST for image in images], bool)
        return np.where(flat, np.inf, found.astype(np.float64))

    def outside(self, images: np.ndarray) -> np.ndarray:
        """(N,) bool: which pictures are unlike those of training."""
        return self.distances(images) > self.cut


def scope_of(train: np.ndarray, val: np.ndarray) -> Scope:
    """The scope of training pictures (N, H, W) uint8, cut so that `FALSE_ALARMS` of validation's lie outside."""
    thumbnails = _thumbnails(train[:: -(-len(train) // MOST)])
    mean = thumbnails.mean(axis=0)
    with threadpool_limits(1):  # its last bits differ with the number of threads
        _, lengths, components = np.linalg.svd(thumbnails - mean, full_matrices=False)
    used = max(1, min(COMPONENTS, len(thumbnails) // 10))
    variances = np.maximum(lengths[:used] ** 2 / len(thumbnails), 1e-6)
    rest = max(float(((thumbnails - mean) ** 2).sum(axis=1).mean() - variances.sum()), 1e-6)
    scope = Scope(mean, components[:used], variances.astype(np.float32), rest, np.inf)
    cut = float(np.quantile(scope.distances(val), 1 - FALSE_ALARMS))
    return Scope(mean, components[:used], variances.astype(np.float32), rest, cut)


def _thumbnails(images: np.ndarray) -> np.ndarray:
    small = shrunk(images, SIDE).reshape(len(images), SIDE**2)
    small -= small.mean(axis=1, keepdims=True)
    return small / np.maximum(small.std(axis=1, keepdims=True), _FLATTEST)
