"""Signs of pulmonary tuberculosis: upper-lobe infiltrates, cavities, scars, nodules, and rarely a miliary pattern.

Terms follow the Fleischner Society's glossary (Hansell et al., Radiology 246:697, 2008). Severities run from 0 to 1.
"""

import numpy as np

from chest_transfer.phantom.curves import Linear
from chest_transfer.phantom.opacities import AirspacePatch, add_airspace_patch
from chest_transfer.phantom.pathology import Pathology
from chest_transfer.phantom.pleura import add_pleural_fluid
from chest_transfer.phantom.raster import draw_lines
from chest_transfer.phantom.thorax import Lung

# All numbers were chosen for appearance. `Linear` values depend on the severity; lengths are in half widths of the rib
# cage; pairs are (lowest, highest).
UNILATERAL_PROBABILITY = 0.5
CAVITY_PROBABILITY, SCARS_PROBABILITY, CALCIFICATION_PROBABILITY, EFFUSION_PROBABILITY = 0.45, 0.6, 0.25, 0.2
MILIARY_PROBABILITY = 0.06

INFILTRATES = (1, 3)  # per side
INFILTRATE = AirspacePatch(lateral=(0.3, 0.8), height=(0.1, 0.42), radius=(0.12, 0.26), air_bronchogram=0.2)
INFILTRATE_DENSITY, INFILTRATE_VARIATION = Linear(0.22, 0.45), (0.6, 1)

NODULES = (3, 13)  # per side
NODULE_LATERAL, NODULE_HEIGHT_BETA = (0.25, 0.9), (1.6, 3.0)  # parameters of a beta distribution, high in the lung
NODULE_RADIUS, NODULE_RAGGEDNESS, NODULE_DENSITY = (0.018, 0.05), 0.2, 1.6
CALCIFICATION_RADIUS = 0.018
EFFUSION_LEVEL = Linear(0.1, 0.3)

CAVITY_LATERAL, CAVITY_HEIGHT, CAVITY_RADIUS = (0.35, 0.75), (0.14, 0.36), (0.09, 0.2)
CAVITY_INNER_RADIUS = (0.62, 0.82)  # of the outer radius
CAVITY_RAGGEDNESS, CAVITY_WALL_DENSITY, CAVITY_LUCENCY = 0.12, Linear(0.4, 0.6), 0.2

SCARS = (3, 7)
SCAR_HILUM, SCAR_START_SD = (0.22, 0.45), 0.05  # (lateral, height) from where scars run to the upper lobe
SCAR_LATERAL, SCAR_HEIGHT = (0.35, 0.9), (0.05, 0.35)
SCAR_THICKNESS, SCAR_WIDTH = Linear(0.7, 1.0), 0.018  # cm along the beam; half widths

MILIARY_THRESHOLD, MILIARY_LIMIT, MILIARY_DENSITY = 0.6, 1.2, 0.22  # of the fine noise; fraction of air replaced


def add_tuberculosis(pathology: Pathology, severity: float) -> None:
    """Add tuberculosis of one lung or both."""
    rng = pathology.rng
    sides = pathology.affected_sides(UNILATERAL_PROBABILITY)
    cavity, scars, calcified, effusion, miliary = rng.random(5) < (
        CAVITY_PROBABILITY,
        SCARS_PROBABILITY,
        CALCIFICATION_PROBABILITY,
        EFFUSION_PROBABILITY,
        MILIARY_PROBABILITY,
    )
    for side in sides:
        lung = pathology.lung_on(side)
        for _ in range(rng.integers(*INFILTRATES, endpoint=True)):
            density = INFILTRATE_DENSITY(severity) * pathology.uniform(*INFILTRATE_VARIATION)
            add_airspace_patch(pathology, side, INFILTRATE, density)
        if cavity:
            _add_cavity(pathology, lung, severity)
        if scars:
            _add_scars(pathology, lung, severity)
        for _ in range(rng.integers(*NODULES, endpoint=True)):
            _add_small_nodule(pathology, lung, calcified)
        if effusion:
            add_pleural_fluid(pathology, lung, EFFUSION_LEVEL(severity))
    if miliary:
        _add_miliary_pattern(pathology)


def _add_small_nodule(pathology: Pathology, lung: Lung, calcified: bool) -> None:
    lateral, height = pathology.uniform(*NODULE_LATERAL), pathology.rng.beta(*NODULE_HEIGHT_BETA)
    x, z = pathology.point_in_lung(lung, lateral, height)
    radius = pathology.half_width * pathology.uniform(*NODULE_RADIUS)
    pathology.added_tissue += pathology.ball_path(x, z, radius, NODULE_RAGGEDNESS) * np.float32(NODULE_DENSITY)
    if calcified:
        pathology.added_bone += pathology.ball_path(x, z, pathology.half_width * CALCIFICATION_RADIUS)


def _add_cavity(pathology: Pathology, lung: Lung, severity: float) -> None:
    """Add a gas-filled space with a wall."""
    x, z = pathology.point_in_lung(lung, pathology.uniform(*CAVITY_LATERAL), pathology.uniform(*CAVITY_HEIGHT))
    radius = pathology.half_width * pathology.uniform(*CAVITY_RADIUS)
    inner_radius = radius * pathology.uniform(*CAVITY_INNER_RADIUS)
    outer = pathology.ball_path(x, z, radius, CAVITY_RAGGEDNESS)
    inner = pathology.ball_path(x, z, inner_radius, CAVITY_RAGGEDNESS)
    wall = np.float32(CAVITY_WALL_DENSITY(severity)) * (outer - inner)
    pathology.added_tissue += wall - np.float32(CAVITY_LUCENCY) * inner


def _add_scars(pathology: Pathology, lung: Lung, severity: float) -> None:
    """Add fibrous bands from the hilum to the upper lobe."""
    hilum = pathology.point_in_lung(lung, *SCAR_HILUM)
    count = int(pathology.rng.integers(*SCARS, endpoint=True))
    ends = np.array(
        [
            pathology.point_in_lung(lung, pathology.uniform(*SCAR_LATERAL), pathology.uniform(*SCAR_HEIGHT))
            for _ in range(count)
        ]
    )
    starts = np.tile(hilum, (count, 1)) + pathology.rng.normal(0, SCAR_START_SD * pathology.half_width, (count, 2))
    thickness = np.full(count, SCAR_THICKNESS(severity))
    widths = np.full(count, SCAR_WIDTH * pathology.half_width)
    pathology.added_tissue += draw_lines(pathology.plane, np.concatenate([starts, ends], axis=1), thickness, widths)


def _add_miliary_pattern(pathology: Pathology) -> None:
    """Add innumerable tiny nodules throughout both lungs."""
    for lung in pathology.thorax.lungs:
        nodules = np.clip(pathology.fine_noise - MILIARY_THRESHOLD, 0, MILIARY_LIMIT)
        pathology.consolidate(lung, nodules * np.float32(MILIARY_DENSITY))
