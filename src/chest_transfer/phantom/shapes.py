"""The image plane and the paths of the beam through simple bodies, all in centimeters.

The beam is parallel. What it crosses of a body is a path length, so that bodies add up by adding their paths.
"""

from dataclasses import dataclass

import numpy as np

from chest_transfer.phantom.curves import half_chord

# Squared length (cm²) added to a rod's own, so that a rod of length zero does not divide by zero.
LENGTH_SQUARED_EPSILON = 1e-6


@dataclass(frozen=True)
class ImagePlane:
    """The detector: where each pixel lies in the patient's frontal plane.

    Args:
        x: (H, W) float32, cm from the midline; positive on the patient's left, which is the right of the image.
        z: (H, 1) float32, cm below the apices of the lungs.
        pixel_size: float, cm per pixel.
    """

    x: np.ndarray
    z: np.ndarray
    pixel_size: float

    @property
    def shape(self) -> tuple[int, int]:
        return self.x.shape

    def row_at(self, z: float) -> float:
        """The fractional row that shows depth `z` (cm)."""
        return float((z - self.z[0, 0]) / self.pixel_size)

    def column_at(self, x: float, row: float) -> float:
        """The fractional column that shows `x` (cm) in a row; a leaning patient makes it differ from row to row."""
        line = self.x[int(np.clip(row, 0, self.shape[0] - 1))]
        return float((x - line[0]) / self.pixel_size)

    def row_slice(self, top: float, bottom: float) -> slice:
        """The rows that show z from `top` to `bottom` (cm), and one more on either side."""
        first, last = self.row_at(top) - 1, self.row_at(bottom) + 2
        return slice(*np.clip([np.floor(first), np.ceil(last)], 0, self.shape[0]).astype(int))

    def column_slice(self, left: float, right: float) -> slice:
        """The columns that show x from `left` to `right` (cm) in any row, and one more on either side."""
        leftmost, rightmost = np.minimum(self.x[0, 0], self.x[-1, 0]), np.maximum(self.x[0, 0], self.x[-1, 0])
        first, last = (left - rightmost) / self.pixel_size - 1, (right - leftmost) / self.pixel_size + 2
        return slice(*np.clip([np.floor(first), np.ceil(last)], 0, self.shape[1]).astype(int))


def ellipse_radius_squared(
    plane: ImagePlane, x: float, z: float, radius_x: float, radius_z: float, degrees: float = 0.0
) -> np.ndarray:
    """Squared distance of each pixel from the center of an ellipse, in radii: below 1 inside.

    Args:
        plane: ImagePlane to evaluate on.
        x, z: float, center, cm.
        radius_x, radius_z: float, semi-axes, cm.
        degrees: float, by which the ellipse is turned.

    Returns:
        (H, W) float32.
    """
    dx, dz = plane.x - np.float32(x), plane.z - np.float32(z)
    if degrees:
        cosine, sine = np.float32(np.cos(np.radians(degrees))), np.float32(np.sin(np.radians(degrees)))
        dx, dz = cosine * dx + sine * dz, cosine * dz - sine * dx
    return np.square(dx / np.float32(radius_x)) + np.square(dz / np.float32(radius_z))


def ellipsoid_path(
    plane: ImagePlane, x: float, z: float, radius_x: float, radius_z: float, depth: float, degrees: float = 0.0
) -> np.ndarray:
    """Path through an ellipsoid.

    Args:
        plane: ImagePlane to project onto.
        x, z: float, center, cm.
        radius_x, radius_z: float, semi-axes in the image plane, cm.
        depth: float, path through the center, front to back, cm.
        degrees: float, by which the outline is turned.

    Returns:
        (H, W) float32, cm.
    """
    return np.float32(depth) * half_chord(ellipse_radius_squared(plane, x, z, radius_x, radius_z, degrees))


def capsule_path(plane: ImagePlane, start: tuple[float, float], end: tuple[float, float], radius: float) -> np.ndarray:
    """Path through a round rod with hemispherical ends.

    Args:
        plane: ImagePlane to project onto.
        start, end: tuple of two floats, the ends (x, z) of the rod's axis, cm.
        radius: float, cm.

    Returns:
        (H, W) float32, cm.
    """
    (x0, z0), (x1, z1) = start, end
    path = np.zeros(plane.shape, np.float32)
    # Only the pixels around the rod are computed: a rod covers little of the image.
    rows = plane.row_slice(min(z0, z1) - radius, max(z0, z1) + radius)
    window = rows, plane.column_slice(min(x0, x1) - radius, max(x0, x1) + radius)
    dx, dz = np.float32(x1 - x0), np.float32(z1 - z0)
    from_start_x, from_start_z = plane.x[window] - np.float32(x0), plane.z[rows] - np.float32(z0)
    length_squared = np.float32(dx * dx + dz * dz + LENGTH_SQUARED_EPSILON)
    along = np.clip((from_start_x * dx + from_start_z * dz) / length_squared, 0, 1)
    distance_squared = np.square(from_start_x - along * dx) + np.square(from_start_z - along * dz)
    path[window] = 2 * np.sqrt(np.maximum(np.float32(radius * radius) - distance_squared, 0))
    return path
