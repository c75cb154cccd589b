"""Signs of the pleural space: fluid, air, and a thickened pleura; severities run from 0 (hardly visible) to 1.

Terms follow the Fleischner Society's glossary (Hansell et al., Radiology 246:697, 2008).
"""

import numpy as np

from chest_transfer.phantom.curves import Linear, smoothstep
from chest_transfer.phantom.pathology import Pathology
from chest_transfer.phantom.thorax import Lung

# All numbers were chosen for appearance. `Linear` values depend on the severity. Lengths are in half widths of the rib
# cage, positions in a lung's own coordinates; pairs are (lowest, highest).

BILATERAL_EFFUSION_PROBABILITY, EFFUSION_VARIATION = 0.35, (0.6, 1.0)
# A little fluid fills the costophrenic angle beside the dome; more of it rises above the dome.
FLUID_START, FLUID_RISE = 0.72, 0.62  # dome drops below the dome without fluid; lung heights up from there
# The meniscus climbs the chest wall, and less the mediastinum.
MENISCUS_CLIMB, MENISCUS_CLIMB_GAIN, MENISCUS_FULL_GAIN_LEVELS = 0.10, 0.2, 2
MENISCUS_LATERAL_DECAY, MENISCUS_MEDIAL_SHARE, MENISCUS_MEDIAL_DECAY, MEDIASTINAL_LATERAL = 7, 0.25, 8, 0.15
FLUID_DENSITY, FLUID_EDGE, FLUID_EDGE_OFFSET = 0.93, 0.13, 0.2
FLUID_TISSUE, FLUID_TISSUE_EDGE = 0.25, 0.2  # extra path through fluid in front of the lung and behind it

# The collapsed lung sinks toward its hilum: most from the apex, least from the diaphragm.
PNEUMOTHORAX_TOP, PNEUMOTHORAX_TOP_LENGTH = Linear(0.03, 0.22), 0.45
PNEUMOTHORAX_WIDTH = Linear(0.05, 0.34)
PNEUMOTHORAX_WIDTH_AT_TOP, PNEUMOTHORAX_WIDTH_LOSS, PNEUMOTHORAX_LOWEST = 1.1, 0.75, 1.1
PNEUMOTHORAX_NOISE = 0.02
PLEURAL_EDGE_PIXELS, PLEURAL_LINE_WIDTH, PLEURAL_LINE_PIXELS = 2, 0.012, 0.8
PLEURAL_LINE_END, PLEURAL_LINE_THICKNESS = 0.97, 0.075  # height below which it is not seen; along the beam
PNEUMOTHORAX_LUCENCY = 0.38  # of the density of normal lung, which is gone beyond the pleural line
COLLAPSE_DENSITY = Linear(0.02, 0.14)  # of the lung that has sunk

THICKENING_TOP, THICKENING_LENGTH = (-0.05, 0.5), (0.25, 0.6)
THICKENING_TOP_TRANSITION, THICKENING_END_TRANSITION = 0.06, 0.1
THICKENING_WIDTH, THICKENING_NOISE, THICKENING_EDGE = Linear(0.04, 0.12), 0.3, 0.03
THICKENING_OUTER_BORDER = 1.02  # lateral
APICAL_CAP_HEIGHT, APICAL_CAP_EDGE = Linear(0.03, 0.1), 0.03
APICAL_CAP_TOP = 0.05  # a band that starts above this height has a cap
THICKENING_DENSITY, THICKENING_TISSUE = 0.75, 0.1
PLEURAL_CALCIUM_PROBABILITY, PLEURAL_CALCIUM, PLEURAL_CALCIUM_THRESHOLD = 0.3, 0.05, 0.3


def add_pleural_fluid(pathology: Pathology, lung: Lung, level: float) -> None:
    """Add free fluid below a lung, its upper border a meniscus.

    Args:
        pathology: Pathology to add to.
        lung: Lung above the fluid.
        level: float, 0 for a blunted costophrenic angle, 1 for fluid over more than half of the lung's height.
    """
    half_width, index = pathology.half_width, lung.index
    dome_z = np.float32(pathology.thorax.anatomy.dome_z[index])
    dome_drop = np.float32(pathology.thorax.anatomy.dome_drop[index])
    surface_z = dome_z + dome_drop * np.float32(FLUID_START) - np.float32(FLUID_RISE * pathology.lung_height * level)
    climb_gain = MENISCUS_CLIMB_GAIN * half_width * min(1.0, MENISCUS_FULL_GAIN_LEVELS * level)
    climb = np.float32(MENISCUS_CLIMB * half_width + climb_gain)
    from_wall = np.clip(1 - lung.lateral, 0, 1)
    from_mediastinum = np.clip(lung.lateral - MEDIASTINAL_LATERAL, 0, 1)
    lateral_climb = np.exp(-from_wall * MENISCUS_LATERAL_DECAY)
    medial_climb = MENISCUS_MEDIAL_SHARE * np.exp(-from_mediastinum * MENISCUS_MEDIAL_DECAY)
    below_border = pathology.plane.z - (surface_z - climb * (lateral_climb + medial_climb))
    fluid = smoothstep(below_border / np.float32(FLUID_EDGE * half_width) + FLUID_EDGE_OFFSET)
    pathology.consolidate(lung, np.float32(FLUID_DENSITY) * fluid)
    around_lung = smoothstep(below_border / np.float32(FLUID_TISSUE_EDGE * half_width))
    pathology.added_tissue += np.float32(FLUID_TISSUE * half_width) * around_lung * (lung.path > 0)


def add_effusion(pathology: Pathology, severity: float) -> None:
    """Add a pleural effusion on one side or both."""
    bilateral = pathology.occurs(BILATERAL_EFFUSION_PROBABILITY)
    for side in (-1, 1) if bilateral else (pathology.random_side(),):
        add_pleural_fluid(pathology, pathology.lung_on(side), severity * pathology.uniform(*EFFUSION_VARIATION))


def add_pneumothorax(pathology: Pathology, severity: float) -> None:
    """Add a pneumothorax: the fine white line of the visceral pleura, and no vessels but black beyond it."""
    lung = pathology.random_lung()
    top = np.float32(PNEUMOTHORAX_TOP(severity))
    from_top = np.clip((lung.height - top) / PNEUMOTHORAX_TOP_LENGTH, 0, 1)
    rounded_top = np.sqrt(1 - np.square(1 - from_top))
    width_by_height = PNEUMOTHORAX_WIDTH_AT_TOP - PNEUMOTHORAX_WIDTH_LOSS * np.clip(lung.height, 0, PNEUMOTHORAX_LOWEST)
    width = PNEUMOTHORAX_WIDTH(severity) * width_by_height + PNEUMOTHORAX_NOISE * pathology.coarse_noise * severity
    inside = (1 - width) * rounded_top - lung.lateral  # of the pleural line; negative beyond it
    pixel = np.float32(pathology.plane.pixel_size / pathology.half_width)
    beyond = smoothstep(-inside / (PLEURAL_EDGE_PIXELS * pixel)) * (lung.path > 0)
    line_width = np.maximum(PLEURAL_LINE_WIDTH, PLEURAL_LINE_PIXELS * pixel)
    line = np.exp(-np.square(inside / line_width)) * (lung.path > 0) * (lung.height < PLEURAL_LINE_END)
    pathology.vessel_loss = np.maximum(pathology.vessel_loss, beyond)
    lucency = np.float32(PNEUMOTHORAX_LUCENCY) * beyond
    pathology.airless_fraction = pathology.airless_fraction * (1 - beyond) - lucency
    pathology.added_tissue += np.float32(PLEURAL_LINE_THICKNESS * pathology.half_width) * line
    pathology.consolidate(lung, np.float32(COLLAPSE_DENSITY(severity)) * (1 - beyond))


def add_pleural_thickening(pathology: Pathology, severity: float) -> None:
    """Add a band along the chest wall, or a cap over the apex; sometimes with calcium."""
    lung, half_width = pathology.random_lung(), pathology.half_width
    top, length = pathology.uniform(*THICKENING_TOP), pathology.uniform(*THICKENING_LENGTH)
    along_wall = smoothstep((lung.height - top) / THICKENING_TOP_TRANSITION) * smoothstep(
        (top + length - lung.height) / THICKENING_END_TRANSITION
    )
    width = THICKENING_WIDTH(severity) * (1 + THICKENING_NOISE * pathology.coarse_noise)
    band = smoothstep((lung.lateral - 1 + width) / THICKENING_EDGE) * along_wall
    band = band * (lung.lateral < THICKENING_OUTER_BORDER)
    cap = smoothstep((APICAL_CAP_HEIGHT(severity) - lung.height) / APICAL_CAP_EDGE) * (top < APICAL_CAP_TOP)
    thickening = np.maximum(band, cap) * (lung.path > 0)
    pathology.consolidate(lung, np.float32(THICKENING_DENSITY) * thickening)
    pathology.added_tissue += np.float32(THICKENING_TISSUE * half_width) * thickening
    if pathology.occurs(PLEURAL_CALCIUM_PROBABILITY):
        calcium = smoothstep(pathology.medium_noise - PLEURAL_CALCIUM_THRESHOLD)
        pathology.added_bone += np.float32(PLEURAL_CALCIUM * half_width) * thickening * calcium
