"""Round lesions: nodules and masses of the lung, and a hiatal hernia; severities run from 0 (hardly visible) to 1.

A nodule is at most 3 cm in diameter, a mass more (Fleischner Society, Hansell et al., Radiology 246:697, 2008).
"""

from dataclasses import dataclass

import numpy as np

from chest_transfer.phantom.curves import Linear, smoothstep
from chest_transfer.phantom.pathology import Pathology


@dataclass(frozen=True)
class Lesion:
    """A kind of round lesion; pairs are (lowest, highest).

    Args:
        radius: pair of floats, cm, in an adult at full severity.
        multiple_probability: float, 0-1, of several lesions in one radiograph.
        density: float, soft tissue along the beam over the path through the lesion.
    """

    radius: tuple[float, float]
    multiple_probability: float
    density: float


# Densities, and all numbers below, were chosen for appearance. The densities keep a nodule visible and a mass from
# saturating.
NODULE = Lesion(radius=(0.7, 1.5), multiple_probability=0.3, density=1.2)
MASS = Lesion(radius=(1.9, 3.6), multiple_probability=0.1, density=0.7)

ADULT_HALF_WIDTH = 13  # cm, of the rib cage for which radii are given; a child's lesions are smaller in proportion
LESION_COUNT = (2, 5)  # where there are several
LESION_SIZE_FACTOR = Linear(0.75, 0.25)  # of the severity
LESION_RAGGEDNESS, LESION_DIRECTION, LESION_ELONGATION = (0.06, 0.2), (0, 180), (1, 1.25)  # direction in degrees

# Hiatal hernia. Lengths are in half widths of the rib cage or, after the radius, in radii of the hernia.
HERNIA_RADIUS, HERNIA_X = Linear(0.14, 0.2), (0.08, 0.06)  # of the severity; (mean, standard deviation)
HERNIA_ABOVE_DOME, HERNIA_INNER_RADIUS = 0.55, 0.86
HERNIA_RAGGEDNESS, HERNIA_ELONGATION = 0.05, 1.15
HERNIA_WALL_DENSITY, HERNIA_FLUID_DENSITY, HERNIA_AIR_LUCENCY = 1.4, 0.5, 1.5
HERNIA_FLUID_LEVEL, HERNIA_FLUID_EDGE_PIXELS = 0.1, 2


def add_nodule(pathology: Pathology, severity: float) -> None:
    """Add one nodule or several."""
    _add_lesions(pathology, severity, NODULE)


def add_mass(pathology: Pathology, severity: float) -> None:
    """Add one mass, rarely several, often lobulated."""
    _add_lesions(pathology, severity, MASS)


def _add_lesions(pathology: Pathology, severity: float, kind: Lesion) -> None:
    """Add round lesions where neither the heart nor the diaphragm hides them.

    Args:
        pathology: Pathology to add to.
        severity: float, 0-1.
        kind: Lesion to add.
    """
    single = pathology.uniform(0, 1) > kind.multiple_probability
    count = 1 if single else int(pathology.rng.integers(*LESION_COUNT, endpoint=True))
    for _ in range(count):
        lung = pathology.random_lung()
        x, z = pathology.random_visible_point(lung)
        adult_radius = pathology.uniform(*kind.radius)
        radius = adult_radius * pathology.half_width / ADULT_HALF_WIDTH * LESION_SIZE_FACTOR(severity)
        raggedness, direction = pathology.uniform(*LESION_RAGGEDNESS), pathology.uniform(*LESION_DIRECTION)
        ball = pathology.ball_path(x, z, radius, raggedness, direction, pathology.uniform(*LESION_ELONGATION))
        pathology.added_tissue += np.minimum(ball, lung.path) * np.float32(kind.density)


def add_hernia(pathology: Pathology, severity: float) -> None:
    """Add a hiatal hernia: part of the stomach above the diaphragm, a bubble with a wall and a fluid level."""
    anatomy, plane = pathology.thorax.anatomy, pathology.plane
    radius = pathology.half_width * HERNIA_RADIUS(severity)
    x = pathology.rng.normal(*HERNIA_X) * pathology.half_width
    z = min(anatomy.dome_z) - HERNIA_ABOVE_DOME * radius
    outer = pathology.ball_path(x, z, radius, HERNIA_RAGGEDNESS, 0, HERNIA_ELONGATION)
    inner = pathology.ball_path(x, z, HERNIA_INNER_RADIUS * radius, HERNIA_RAGGEDNESS, 0, HERNIA_ELONGATION)
    pathology.added_tissue += HERNIA_WALL_DENSITY * (outer - inner)
    from_fluid = z + HERNIA_FLUID_LEVEL * radius - plane.z
    air = smoothstep(from_fluid / (HERNIA_FLUID_EDGE_PIXELS * plane.pixel_size) + 0.5)
    pathology.added_tissue += inner * (HERNIA_FLUID_DENSITY - HERNIA_AIR_LUCENCY * air)
