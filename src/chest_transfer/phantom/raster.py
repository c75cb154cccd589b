"""Operations on the pixel grid: smooth noise, anti-aliased lines, and a Gaussian blur that is fast when wide."""

import numpy as np
from PIL import Image, ImageDraw

from chest_transfer.phantom.shapes import ImagePlane

# Noise is sampled on a coarse grid and enlarged.
NODES_PER_WAVELENGTH = 2
MIN_NOISE_NODES = 4  # per side
# Bicubic enlargement averages neighboring nodes, which lowers the standard deviation; this brings it back to about 1.
NOISE_GAIN = 1.3

LINE_SUPERSAMPLING = 2  # lines are drawn on a finer grid by this factor, then averaged

BLUR_TRUNCATION = 2.5  # standard deviations at which the Gaussian kernel ends
MIN_REDUCED_SIGMA = 2  # pixels; an image is reduced no further than the blur stays this wide
MIN_REDUCED_SIDE = 4  # pixels


def smooth_noise(rng: np.random.Generator, plane: ImagePlane, wavelength: float) -> np.ndarray:
    """Sample smooth noise of mean 0 and standard deviation about 1.

    Args:
        rng: numpy Generator.
        plane: ImagePlane to cover.
        wavelength: float, cm; there is no detail finer than this.

    Returns:
        (H, W) float32.
    """
    height, width = plane.shape
    nodes = [
        max(MIN_NOISE_NODES, min(side, round(NODES_PER_WAVELENGTH * side * plane.pixel_size / wavelength)))
        for side in (height, width)
    ]
    coarse = Image.fromarray(rng.standard_normal(nodes, dtype=np.float32))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)) * np.float32(NOISE_GAIN)


def draw_lines(plane: ImagePlane, lines: np.ndarray, values: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Draw straight lines onto an empty layer; later lines cover earlier ones.

    Args:
        plane: ImagePlane to draw on.
        lines: (N, 4) float array, x0, z0, x1, z1 of each line, cm.
        values: (N,) float array, what a pixel on the line gets.
        widths: (N,) float array, cm; a line thinner than a pixel of the finer grid is drawn proportionally fainter.

    Returns:
        (H, W) float32, 0 away from the lines.
    """
    height, width = plane.shape
    layer = Image.new("F", (width * LINE_SUPERSAMPLING, height * LINE_SUPERSAMPLING))
    draw = ImageDraw.Draw(layer)
    scale = LINE_SUPERSAMPLING / plane.pixel_size
    rows = (lines[:, 1::2] - plane.z[0, 0]) * scale
    # A patient leans by a shear: x grows by the same amount from each row to the next.
    lean = (plane.x[-1, 0] - plane.x[0, 0]) / max(height - 1, 1) / LINE_SUPERSAMPLING
    columns = (lines[:, 0::2] - plane.x[0, 0]) * scale - rows * lean * scale
    pixel_widths = widths * scale
    strokes = np.maximum(1, np.rint(pixel_widths)).astype(int)
    inks = values * np.minimum(1, pixel_widths)
    for (x0, x1), (z0, z1), ink, stroke in zip(
        columns.tolist(), rows.tolist(), inks.tolist(), strokes.tolist(), strict=True
    ):
        draw.line((x0, z0, x1, z1), fill=ink, width=stroke)
    return np.asarray(layer.reduce(LINE_SUPERSAMPLING))


def gaussian_blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur an (H, W) float32 image by a standard deviation in pixels; wide blurs are computed on a reduced image."""
    from scipy.ndimage import gaussian_filter

    step = int(sigma // MIN_REDUCED_SIGMA)
    if step < 2:
        return gaussian_filter(image, sigma, truncate=BLUR_TRUNCATION)
    height, width = image.shape
    small_size = max(MIN_REDUCED_SIDE, width // step), max(MIN_REDUCED_SIDE, height // step)
    small = Image.fromarray(np.ascontiguousarray(image, np.float32)).resize(small_size, Image.Resampling.BOX)
    blurred = Image.fromarray(gaussian_filter(np.asarray(small), sigma / step, truncate=BLUR_TRUNCATION))
    return np.asarray(blurred.resize((width, height), Image.Resampling.BICUBIC))
