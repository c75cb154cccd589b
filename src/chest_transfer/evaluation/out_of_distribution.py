"""Out-of-distribution score: how unlike the training radiographs of a dataset an image is.

Each image is shrunk to 24 x 24 pixels of mean 0 and standard deviation 1, and compared with the principal components of
the training images. An image that is far along them, or not made of them, is not a frontal chest radiograph of the
kind: a photograph, a negative, an image turned on its side. The score does not detect disease, nor another hospital.
"""

from dataclasses import asdict, dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from chest_transfer.data.gray_statistics import gray_statistics
from chest_transfer.data.thumbnails import box_thumbnails

SIDE = 24
COMPONENTS = 20
IMAGES_PER_COMPONENT = 10  # training images needed for each
MOST_IMAGES = 5000  # training images used, evenly spread over the split
FALSE_ALARM_RATE = 0.02  # of the validation split
FLATTEST = 4.0  # standard deviation in gray levels below which an image shows nothing


@dataclass(frozen=True)
class OutOfDistribution:
    """The distribution of a dataset's training images, and the score above which an image is outside of it.

    Args:
        mean: (SIDE ** 2,) float32 array, the mean thumbnail.
        components: (C, SIDE ** 2) float32 array, orthonormal.
        variances: (C,) float32 array, of the training images along each component.
        residual_variance: () float array, the training images' mean squared distance from the span of the components.
        threshold: () float array, the score from which an image is out of distribution.
        gray_mean: () float array, of the pixels of the training images; None in files of earlier versions.
        gray_deviation: () float array, their standard deviation; likewise.
    """

    mean: np.ndarray
    components: np.ndarray
    variances: np.ndarray
    residual_variance: np.ndarray
    threshold: np.ndarray
    gray_mean: np.ndarray | None = None
    gray_deviation: np.ndarray | None = None

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the fields as arrays by name, to be stored."""
        return {name: np.asarray(value) for name, value in asdict(self).items() if value is not None}

    def score(self, images: np.ndarray) -> np.ndarray:
        """Return (N,) float64: mean squared distance along the components plus the normalized residual.

        About 2 for an image like the training set; larger is less typical; infinite for a constant image.

        Args:
            images: (N, H, W) uint8 array, made square as for the model.
        """
        centered = _standardized_thumbnails(images) - self.mean
        along = centered @ self.components.T
        residual = (centered**2).sum(axis=1) - (along**2).sum(axis=1)
        scores = (along**2 / self.variances).mean(axis=1) + residual / float(self.residual_variance)
        is_flat = np.array([image.std() < FLATTEST for image in images], bool)
        return np.where(is_flat, np.inf, scores.astype(np.float64))

    def is_outside(self, images: np.ndarray) -> np.ndarray:
        """Return (N,) bool: which images (N, H, W) uint8 score above the threshold."""
        return self.score(images) > float(self.threshold)


def fit_out_of_distribution(train: np.ndarray, val: np.ndarray) -> OutOfDistribution:
    """Fit the distribution of training images, with a threshold that `FALSE_ALARM_RATE` of validation images exceed.

    Args:
        train: (N, H, W) uint8 array.
        val: (M, H, W) uint8 array.
    """
    step = -(-len(train) // MOST_IMAGES)
    thumbnails = _standardized_thumbnails(train[::step])
    mean = thumbnails.mean(axis=0)
    with threadpool_limits(1):  # the last bits differ with the number of threads
        _, singular_values, components = np.linalg.svd(thumbnails - mean, full_matrices=False)
    count = max(1, min(COMPONENTS, len(thumbnails) // IMAGES_PER_COMPONENT))
    variances = np.maximum(singular_values[:count] ** 2 / len(thumbnails), 1e-6)
    total_variance = ((thumbnails - mean) ** 2).sum(axis=1).mean()
    residual_variance = np.float64(max(float(total_variance - variances.sum()), 1e-6))
    gray = gray_statistics(train[::step])
    distribution = OutOfDistribution(
        mean, components[:count], variances.astype(np.float32), residual_variance, np.float64(np.inf),
        np.float64(gray.mean), np.float64(gray.deviation),
    )  # fmt: skip
    return replace(distribution, threshold=np.float64(np.quantile(distribution.score(val), 1 - FALSE_ALARM_RATE)))


def sample_thumbnails(images: np.ndarray) -> np.ndarray:
    """Return at most `MOST_IMAGES` of images (N, H, W) uint8, evenly spread, as the score sees them: uint8, `SIDE`."""
    step = max(1, -(-len(images) // MOST_IMAGES))
    return np.rint(box_thumbnails(images[::step], SIDE)).astype(np.uint8)


def _standardized_thumbnails(images: np.ndarray) -> np.ndarray:
    thumbnails = box_thumbnails(images, SIDE).reshape(len(images), SIDE**2)
    thumbnails -= thumbnails.mean(axis=1, keepdims=True)
    return thumbnails / np.maximum(thumbnails.std(axis=1, keepdims=True), FLATTEST)
