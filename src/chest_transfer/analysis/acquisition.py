"""How radiographs were taken and stored, as numbers: sharpness, noise, contrast, gray levels and field of view.

None of these is a disease, though a disease can change each a little. Where they differ between classes, for instance
because the ill were X-rayed in bed with another device, a network can learn them instead.
"""

from collections.abc import Callable, Iterator

import numpy as np
from scipy.ndimage import convolve, laplace

PIXELS_AT_ONCE = 2**22
EDGE_FREQUENCY = 0.25  # cycles per pixel: half of what an image can hold
GRAY_BINS = 16
DARK, BRIGHT = 16, 240  # gray levels below and from which a pixel is black or white
# Its response to a plane or an edge along an axis is 0, so that noise is what remains (Immerkær 1996).
NOISE_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
SMALLEST = 1e-6


def sharpness(images: np.ndarray) -> np.ndarray:
    """Return (N, 3) float64: three measures of how sharp images (N, H, W) uint8 are.

    The spread of the Laplacian over that of the image (as Pech-Pacheco et al. 2000, whatever the contrast); the share
    of the power above `EDGE_FREQUENCY`, as log10; and the width of the steepest edges in pixels, as log2: how many
    pixels the 95 % range of gray levels takes at the gradient that 1 % of the pixels exceed.
    """
    return _of_batches(_sharpness, images)


def noise(images: np.ndarray) -> np.ndarray:
    """Return (N, 2) float64: the standard deviation of the noise of images (N, H, W) uint8.

    In gray levels, and relative to that of the image (Immerkær 1996, Fast Noise Variance Estimation).
    """
    return _of_batches(_noise, images)


def contrast(images: np.ndarray) -> np.ndarray:
    """Return (N, 3) float64: mean, standard deviation and 95 % range of the gray levels of images (N, H, W) uint8."""
    return _of_batches(_contrast, images)


def gray_levels(images: np.ndarray) -> np.ndarray:
    """Return (N, GRAY_BINS) float64: the histogram of the gray levels of images (N, H, W) uint8, as shares."""
    return _of_batches(_gray_levels, images)


def field_of_view(images: np.ndarray) -> np.ndarray:
    """Return (N, 6) float64: what images (N, H, W) uint8 show beside the body.

    The widths of the black margins at the left, right, top and bottom as fractions of the side, and the shares of black
    and of white pixels.
    """
    return _of_batches(_field_of_view, images)


def _of_batches(measure: Callable[[np.ndarray], np.ndarray], images: np.ndarray) -> np.ndarray:
    return np.concatenate([measure(batch) for batch in _batches(images)])


def _batches(images: np.ndarray) -> Iterator[np.ndarray]:
    at_once = max(1, PIXELS_AT_ONCE // (images.shape[1] * images.shape[2]))
    for start in range(0, len(images), at_once):
        yield np.asarray(images[start : start + at_once], np.float32)


def _sharpness(images: np.ndarray) -> np.ndarray:
    spread = np.maximum(images.std(axis=(1, 2)), SMALLEST)
    laplacian = np.stack([laplace(image) for image in images]).std(axis=(1, 2)) / spread
    window = np.outer(np.hanning(images.shape[1]), np.hanning(images.shape[2])).astype(np.float32)
    power = np.abs(np.fft.rfft2((images - images.mean(axis=(1, 2), keepdims=True)) * window)) ** 2
    frequency = np.hypot(np.fft.fftfreq(images.shape[1])[:, None], np.fft.rfftfreq(images.shape[2]))
    of_edges = (power * (frequency > EDGE_FREQUENCY)).sum(axis=(1, 2)) / np.maximum(power.sum(axis=(1, 2)), SMALLEST)
    steepest = np.quantile(np.hypot(*np.gradient(images, axis=(1, 2))), 0.99, axis=(1, 2))
    width = np.maximum(_range(images), 1) / np.maximum(steepest, SMALLEST)
    return np.stack([laplacian, np.log10(np.maximum(of_edges, SMALLEST)), np.log2(width)], axis=1)


def _noise(images: np.ndarray) -> np.ndarray:
    response = np.stack([np.abs(convolve(image, NOISE_KERNEL)).mean() for image in images])
    of_levels = np.sqrt(np.pi / 2) / 6 * response
    return np.stack([of_levels, of_levels / np.maximum(images.std(axis=(1, 2)), SMALLEST)], axis=1)


def _contrast(images: np.ndarray) -> np.ndarray:
    return np.stack([images.mean(axis=(1, 2)), images.std(axis=(1, 2)), _range(images)], axis=1)


def _range(images: np.ndarray) -> np.ndarray:
    low, high = np.quantile(images, [0.025, 0.975], axis=(1, 2))
    return high - low


def _gray_levels(images: np.ndarray) -> np.ndarray:
    bins = (images * (GRAY_BINS / 256)).astype(np.int64).reshape(len(images), -1)
    return np.stack([np.bincount(of_image, minlength=GRAY_BINS) for of_image in bins]) / bins.shape[1]


def _field_of_view(images: np.ndarray) -> np.ndarray:
    margins = []
    for axis in (1, 2):  # the mean of each column, then of each row
        is_body = images.mean(axis=axis) >= DARK
        is_body[~is_body.any(axis=1)] = True  # a black image has no margins
        margins += [is_body.argmax(axis=1), is_body[:, ::-1].argmax(axis=1)]
    shares = [(images < DARK).mean(axis=(1, 2)), (images >= BRIGHT).mean(axis=(1, 2))]
    return np.stack([*[margin / images.shape[1] for margin in margins], *shares], axis=1)
