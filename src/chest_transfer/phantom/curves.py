"""One-dimensional profiles: linear dependence, a smooth step, and what a beam crosses of round bodies."""

from dataclasses import dataclass

import numpy as np

# A bone's cross section: a dense cortex around marrow that holds less mineral. Chosen for appearance.
MARROW_DEFICIT = 0.4  # mineral that marrow lacks, as a share of the cortex's
CORTEX_TO_MARROW_RADIUS_SQUARED = 1.75  # (outer radius / marrow radius) squared


@dataclass(frozen=True)
class Linear:
    """A quantity that depends linearly on another one, such as the severity of a finding or a patient's child factor.

    Args:
        base: float, the quantity where the other one is 0.
        slope: float, what it gains while the other one goes from 0 to 1.
    """

    base: float
    slope: float

    def __call__(self, x):
        return self.base + self.slope * x


def smoothstep(values: np.ndarray) -> np.ndarray:
    """Map values to a smooth step.

    Returns:
        Array of the same shape: 0 up to 0, 1 from 1 on, and the cubic 3x² - 2x³ between.
    """
    values = np.clip(values, 0, 1)
    return values * values * (3 - 2 * values)


def half_chord(radius_squared: np.ndarray) -> np.ndarray:
    """Half the path of the beam through a round body of radius 1: a ball, or a rod that lies in the image plane.

    Args:
        radius_squared: float array, squared distance of the beam from the body's center or axis, in radii.

    Returns:
        Array of the same shape, 0-1; 0 where the beam misses the body.
    """
    return np.sqrt(np.maximum(1 - radius_squared, 0))


def bone_profile(distance: np.ndarray) -> np.ndarray:
    """Bone along the beam through a rod-shaped bone with a dense cortex, relative to a solid rod.

    Args:
        distance: float array, distance of the beam from the bone's axis, in radii.

    Returns:
        Array of the same shape; 0 where the beam misses the bone, largest just inside the rim.
    """
    radius_squared = np.square(distance)
    marrow = half_chord(radius_squared * np.float32(CORTEX_TO_MARROW_RADIUS_SQUARED))
    return half_chord(radius_squared) - np.float32(MARROW_DEFICIT) * marrow
