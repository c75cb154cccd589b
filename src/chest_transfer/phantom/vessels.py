"""The branching vessels of the lungs, from the hilum to the pleura, and the large airways beside them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from chest_transfer.phantom.raster import draw_lines, gaussian_blur
from chest_transfer.phantom.thorax import Lung, Thorax

# All numbers were chosen for appearance. Lengths are in half widths of the rib cage; pairs are (lowest, highest).
GENERATIONS = 5  # of branches, each of which divides into two
STEMS = 12  # branches that leave each hilum
HILUM_X, HILUM_ROTATION = 0.16, 0.3  # distance from the midline; cm it moves per cm of rotation
HILUM_LEVEL, HILUM_SPREAD = 0.46, (-0.1, 0.12)  # lung heights; z of the stems' starts
# Angles in degrees, from straight up (0) over lateral (90) to straight down (180).
STEM_ANGLES, STEM_ANGLE_SD = (12, 168), 7
STEM_LENGTH, STEM_LENGTH_GAIN = (0.08, 0.2), 0.35  # the gain is that of vertical stems over lateral ones
STEM_WIDTH = (0.025, 0.05)
# In an upright chest the vessels of the lower zones are wider than those of the upper ones.
LOWER_ZONE_ANGLE, LOWER_ZONE_WIDTH, UPPER_ZONE_WIDTH = 1.6, 1.1, 0.8  # radians; factors
BRANCHING_ANGLE = (8, 42)  # degrees
BRANCH_WIDTH, BRANCH_LENGTH = (0.5, 0.8), (0.6, 1.05)  # over the parent's
LATERAL_LIMIT, LOWER_LIMIT = 0.97, 1.25  # where vessels end: half widths; of the dome's z

BLOOD_BLUR, BLOOD_BLUR_PIXELS = 0.006, 0.3
FULL_LUNG_PATH = 0.25  # below this much lung along the beam, vessels fade out
LARGE_AIRWAY_GENERATIONS = (1, 2)  # of the vessels beside them
AIRWAY_WIDTH = 0.7  # over the vessel's
AIRWAY_BLUR = 0.012


@dataclass(frozen=True)
class Vessels:
    """The pulmonary vessels of both lungs as straight segments, thinnest first.

    Args:
        lines: (N, 4) float array, x0, z0, x1, z1 of each segment, cm.
        widths: (N,) float array, cm.
        generation: (N,) int array, 0 at the hilum.
    """

    lines: np.ndarray
    widths: np.ndarray
    generation: np.ndarray


def grow_vessels(thorax: Thorax) -> Vessels:
    """Grow a patient's vessels; the same patient has the same branching in every exposure."""
    rng = np.random.default_rng(thorax.anatomy.patient.vessel_seed)
    lines, widths, generations = [], [], []
    for lung in (*thorax.lungs, *thorax.lungs):  # arteries, then veins
        for generation, (branches, branch_widths) in enumerate(_branch(thorax, lung, rng)):
            lines.append(branches)
            widths.append(branch_widths)
            generations.append(np.full(len(branches), generation))
    lines, widths, generations = np.concatenate(lines), np.concatenate(widths), np.concatenate(generations)
    order = np.argsort(widths, kind="stable")
    return Vessels(lines[order], widths[order] * thorax.anatomy.vessel_caliber, generations[order])


def blood_path(thorax: Thorax, vessels: Vessels) -> np.ndarray:
    """(H, W) float32: cm of blood along the beam in the vessels of the lungs."""
    half_width = thorax.anatomy.patient.half_width
    diameters = draw_lines(thorax.plane, vessels.lines, vessels.widths, vessels.widths)
    blurred = gaussian_blur(diameters, BLOOD_BLUR * half_width / thorax.plane.pixel_size + BLOOD_BLUR_PIXELS)
    return blurred * np.minimum(thorax.lung_path / (FULL_LUNG_PATH * half_width), 1)


def airway_map(thorax: Thorax, vessels: Vessels) -> np.ndarray:
    """(H, W) float32: 1 on the large airways, which run beside the first branches of the vessels; 0 away from them."""
    first, last = LARGE_AIRWAY_GENERATIONS
    large = (vessels.generation >= first) & (vessels.generation <= last)
    widths = AIRWAY_WIDTH * vessels.widths[large]
    airways = draw_lines(thorax.plane, vessels.lines[large], np.ones(large.sum()), widths)
    return gaussian_blur(airways, AIRWAY_BLUR * thorax.anatomy.patient.half_width / thorax.plane.pixel_size)


def _branch(thorax: Thorax, lung: Lung, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Grow the vessels of one lung, one generation after the other.

    Args:
        thorax: Thorax.
        lung: one of its lungs.
        rng: numpy Generator.

    Yields:
        (lines, widths) of a generation: (N, 4) and (N,) float arrays, cm.
    """
    patient, anatomy = thorax.anatomy.patient, thorax.anatomy
    half_width = patient.half_width
    hilum_x = anatomy.mediastinal_shift + lung.side * HILUM_X * half_width - HILUM_ROTATION * anatomy.pose.rotation
    hilum_z = HILUM_LEVEL * patient.lung_height + np.linspace(*HILUM_SPREAD, STEMS) * half_width
    lower_limit = LOWER_LIMIT * anatomy.dome_z[lung.index]
    angle = np.radians(np.linspace(*STEM_ANGLES, STEMS) + rng.normal(0, STEM_ANGLE_SD, STEMS))
    start = np.stack([np.full(STEMS, hilum_x), hilum_z], axis=1)
    length = half_width * rng.uniform(*STEM_LENGTH, STEMS) * (1 + STEM_LENGTH_GAIN * np.abs(np.cos(angle)))
    zone_factor = np.where(angle > LOWER_ZONE_ANGLE, LOWER_ZONE_WIDTH, UPPER_ZONE_WIDTH)
    width = half_width * rng.uniform(*STEM_WIDTH, STEMS) * zone_factor
    for _ in range(GENERATIONS):
        end = start + length[:, None] * np.stack([lung.side * np.sin(angle), -np.cos(angle)], axis=1)
        yield np.concatenate([start, end], axis=1), width
        children = (2, len(angle))
        turn = np.radians(rng.uniform(*BRANCHING_ANGLE, children)) * np.array([[-1.0], [1.0]])
        width_factor = rng.uniform(*BRANCH_WIDTH, children)
        length_factor = rng.uniform(*BRANCH_LENGTH, children)
        start = np.tile(end, (2, 1))
        angle = (angle + turn).ravel()
        width = (width * width_factor).ravel()
        length = (length * length_factor).ravel()
        inside = (np.abs(start[:, 0]) < LATERAL_LIMIT * half_width) & (start[:, 1] > 0) & (start[:, 1] < lower_limit)
        start, angle, width, length = start[inside], angle[inside], width[inside], length[inside]
