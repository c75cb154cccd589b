"""Shapes in projection: path lengths of the beam through simple bodies, and smooth noise.

Everything is in centimetres on a plane of pixels; a path length is what the beam crosses of a body, so shapes add.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw


@dataclass(frozen=True)
class ImagePlane:
    """The detector: where each pixel lies in the patient's frontal plane.

    Args:
        x: (h, w) float32, cm from the spine; the patient's left side is positive, on the right of the image.
        z: (h, 1) float32, cm below the top of the lungs.
        pixel_size: cm a pixel.
    """

    x: np.ndarray
    z: np.ndarray
    pixel_size: float

    @property
    def shape(self) -> tuple[int, int]:
        return self.x.shape

    def column_at(self, x: float, row: float) -> float:
        """The column at which a row shows `x`; rows lean with the patient."""
        line = self.x[int(np.clip(row, 0, self.shape[0] - 1))]
        return float((x - line[0]) / self.pixel_size)

    def row_slice(self, top: float, bottom: float) -> slice:
        """The rows from `top` to `bottom`, in z; one more on either side."""
        first, last = self.row_at(top) - 1, self.row_at(bottom) + 2
        return slice(*np.clip([np.floor(first), np.ceil(last)], 0, self.shape[0]).astype(int))

    def column_slice(self, left: float, right: float) -> slice:
        """The columns in which any row shows an x from `left` to `right`; one more on either side."""
        leftmost, rightmost = np.minimum(self.x[0, 0], self.x[-1, 0]), np.maximum(self.x[0, 0], self.x[-1, 0])
        first, last = (left - rightmost) / self.pixel_size - 1, (right - leftmost) / self.pixel_size + 2
        return slice(*np.clip([np.floor(first), np.ceil(last)], 0, self.shape[1]).astype(int))

    def row_at(self, z: float) -> float:
        return float((z - self.z[0, 0]) / self.pixel_size)


def smoothstep(values: np.ndarray) -> np.ndarray:
    """0 up to 0, 1 from 1 on, smooth between."""
    values = np.clip(values, 0, 1)
    return values * values * (3 - 2 * values)


def half_chord(squares: np.ndarray) -> np.ndarray:
    """Half the path through a body of half depth 1, where `squares` is its squared distance from the axis in radii."""
    return np.sqrt(np.maximum(1 - squares, 0))


def ellipse_radius_squared(
    plane: ImagePlane, x: float, z: float, rx: float, rz: float, degrees: float = 0.0
) -> np.ndarray:
    """Squared distance from the centre in radii: below 1 inside."""
    dx, dz = plane.x - np.float32(x), plane.z - np.float32(z)
    if degrees:
        cos, sin = np.float32(np.cos(np.radians(degrees))), np.float32(np.sin(np.radians(degrees)))
        dx, dz = cos * dx + sin * dz, cos * dz - sin * dx
    return np.square(dx / np.float32(rx)) + np.square(dz / np.float32(rz))


def ellipsoid_path(
    plane: ImagePlane, x: float, z: float, rx: float, rz: float, depth: float, degrees: float = 0.0
) -> np.ndarray:
    """Path (cm) through an ellipsoid of `depth` cm front to back."""
    return np.float32(depth) * half_chord(ellipse_radius_squared(plane, x, z, rx, rz, degrees))


def capsule_path(plane: ImagePlane, start: tuple[float, float], end: tuple[float, float], radius: float) -> np.ndarray:
    """Path (cm) through a round rod between two points."""
    (x0, z0), (x1, z1) = start, end
    path = np.zeros(plane.shape, np.float32)
    rows = plane.row_slice(min(z0, z1) - radius, max(z0, z1) + radius)
    near = rows, plane.column_slice(min(x0, x1) - radius, max(x0, x1) + radius)
    dx, dz = np.float32(x1 - x0), np.float32(z1 - z0)
    px, pz = plane.x[near] - np.float32(x0), plane.z[rows] - np.float32(z0)
    along = np.clip((px * dx + pz * dz) / np.float32(dx * dx + dz * dz + 1e-6), 0, 1)
    squares = np.square(px - along * dx) + np.square(pz - along * dz)
    path[near] = 2 * np.sqrt(np.maximum(np.float32(radius * radius) - squares, 0))
    return path


def smooth_noise(rng: np.random.Generator, plane: ImagePlane, wavelength: float) -> np.ndarray:
    """Smooth noise of mean 0 and standard deviation about 1, with detail of `wavelength` cm and more."""
    height, width = plane.shape
    nodes = [max(4, min(side, round(2 * side * plane.pixel_size / wavelength))) for side in (height, width)]
    coarse = rng.standard_normal(nodes, dtype=np.float32)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)) * np.float32(1.3)


def draw_lines(plane: ImagePlane, lines: np.ndarray, values: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Lines on the plane, each with its value; later ones cover earlier ones.

    Args:
        lines: (n, 4): x0, z0, x1, z1 in cm.
        values: (n,) what a pixel of the line gets.
        widths: (n,) cm; thinner than half a pixel keeps its value times its share of the pixel.
    """
    fine = 2
    height, width = plane.shape
    layer = Image.new("F", (width * fine, height * fine))
    draw = ImageDraw.Draw(layer)
    scale = fine / plane.pixel_size
    rows = (lines[:, 1::2] - plane.z[0, 0]) * scale
    # A patient leans by a shear: x grows by a fixed amount from row to row.
    lean = (plane.x[-1, 0] - plane.x[0, 0]) / max(height - 1, 1) / fine
    columns = (lines[:, 0::2] - plane.x[0, 0]) * scale - rows * lean * scale
    pixels = widths * scale
    strokes = np.maximum(1, np.rint(pixels)).astype(int)
    inks = values * np.minimum(1, pixels)
    for (x0, x1), (z0, z1), ink, stroke in zip(
        columns.tolist(), rows.tolist(), inks.tolist(), strokes.tolist(), strict=True
    ):
        draw.line((x0, z0, x1, z1), fill=ink, width=stroke)
    return np.asarray(layer.reduce(fine))


def gaussian_blur(image: np.ndarray, pixels: float) -> np.ndarray:
    """Gaussian blur; wide ones are worked out on a smaller image."""
    from scipy.ndimage import gaussian_filter

    step = int(pixels // 2)
    if step < 2:
        return gaussian_filter(image, pixels, truncate=2.5)
    height, width = image.shape
    small = Image.fromarray(np.ascontiguousarray(image, np.float32))
    small = small.resize((max(4, width // step), max(4, height // step)), Image.Resampling.BOX)
    blurred = Image.fromarray(gaussian_filter(np.asarray(small), pixels / step, truncate=2.5))
    return np.asarray(blurred.resize((width, height), Image.Resampling.BICUBIC))
