"""Signs of the lung tissue that are no infection: edema, atelectasis, fibrosis, bullae; severities run from 0 to 1.

Terms follow the Fleischner Society's glossary (Hansell et al., Radiology 246:697, 2008).
"""

import numpy as np

from chest_transfer.phantom.curves import Linear, smoothstep
from chest_transfer.phantom.opacities import add_haze
from chest_transfer.phantom.pathology import Pathology
from chest_transfer.phantom.pleura import add_pleural_fluid
from chest_transfer.phantom.raster import draw_lines
from chest_transfer.phantom.shapes import capsule_path, ellipse_radius_squared
from chest_transfer.phantom.thorax import Lung

# Numbers without a source were chosen for appearance. `Linear` values depend on the severity; lengths are in half
# widths of the rib cage, positions in a lung's own coordinates; pairs are (lowest, highest) unless noted.

# Edema: bat-wing opacities around both hila. Pairs are (center, width).
WINGS_LATERAL, WINGS_HEIGHT, WINGS_NOISE = (0.35, 0.3), (0.58, 0.33), 0.25
WINGS_DENSITY, WINGS_MOTTLE = Linear(0.12, 0.38), (0.2, 0.15)
UPPER_ZONE_VESSEL_GAIN, UPPER_ZONE_END = 0.5, 0.6  # vessels of the upper zones are distended
# Kerley B lines are horizontal, at the lung's base, at right angles to the pleura, and 1.5 to 2 cm long (Fleischner
# glossary); these are about 1.7 cm in an adult.
KERLEY_LINES, KERLEY_HEIGHT, KERLEY_HEIGHT_SD = 9, (0.62, 0.97), 0.01
KERLEY_LATERAL, KERLEY_LENGTH, KERLEY_WIDTH = 0.97, 0.13, 0.014
KERLEY_THICKNESS = Linear(0.5, 1.0)  # cm along the beam
EDEMA_HAZE = Linear(0.08, 0.12)
EDEMA_EFFUSION_PROBABILITY, EDEMA_EFFUSION_LEVEL = 0.4, 0.1

# Atelectasis: plates of airless lung at the base, or the collapse of a lobe.
PLATE_PROBABILITY, PLATES = 0.55, (1, 3)
PLATE_LATERAL, PLATE_HEIGHT = (0.3, 0.55), (0.72, 0.98)
PLATE_LENGTH, PLATE_TILT, PLATE_RADIUS = (0.25, 0.5), (-0.25, 0.35), (0.012, 0.03)
PLATE_DENSITY = Linear(2.5, 3)  # a plate is deeper than it is thick
UPPER_COLLAPSE_PROBABILITY = 0.5
# A collapsed upper lobe is a wedge against the mediastinum, its fissure bowed upward.
FISSURE_HEIGHT, FISSURE_TILT, FISSURE_BOW, FISSURE_EDGE = 0.22, 0.16, 0.05, 0.02
UPPER_WEDGE_SIZE = Linear(0.7, 0.5)
# A collapsed lower lobe is a triangle behind the heart, from the hilum to the diaphragm.
TRIANGLE_TOP, TRIANGLE_HEIGHT, TRIANGLE_LIMIT, TRIANGLE_TOP_TRANSITION = 0.45, 0.55, 1.3, 0.08
TRIANGLE_TIP, TRIANGLE_BASE, TRIANGLE_SIZE, TRIANGLE_EDGE = 0.2, 0.42, Linear(0.6, 0.5), 0.03
COLLAPSE_DENSITY = Linear(0.5, 0.4)

# Fibrosis: basal and peripheral reticulation, with honeycombs.
FIBROSIS_UPPER_BORDER, FIBROSIS_NOISE, FIBROSIS_HEIGHT_TRANSITION = 0.35, 0.12, 0.4
FIBROSIS_INNER_BORDER, FIBROSIS_LATERAL_TRANSITION = 0.25, 0.5
FINE_RETICULATION, HONEYCOMBS, HONEYCOMB_LINE_SHARPNESS, FIBROSIS_BASE = 0.8, 0.3, 2.2, 0.25
FIBROSIS_DENSITY, FIBROSIS_VESSEL_GAIN = Linear(0.15, 0.27), 0.5

# Bullae of emphysema: round, thin-walled, empty.
BULLAE = (0, 3)
BULLA_LATERAL, BULLA_HEIGHT_BETA = (0.4, 0.85), (1.2, 2.5)  # parameters of a beta distribution, high in the lung
BULLA_RADIUS, BULLA_EDGE_SHARPNESS, BULLA_VESSEL_LOSS, BULLA_LUCENCY = (0.1, 0.22), 3, 0.9, 0.18


def add_edema(pathology: Pathology, severity: float) -> None:
    """Add pulmonary edema: bat-wing opacities, distended vessels, Kerley B lines, often a little pleural fluid."""
    for lung in pathology.thorax.lungs:
        (lateral, lateral_width), (height, height_width) = WINGS_LATERAL, WINGS_HEIGHT
        wings = np.exp(
            -np.square((lung.lateral - lateral) / lateral_width) - np.square((lung.height - height) / height_width)
        )
        wings = wings * (1 + WINGS_NOISE * pathology.coarse_noise)
        pathology.consolidate(lung, pathology.mottle(wings, *WINGS_MOTTLE) * np.float32(WINGS_DENSITY(severity)))
        pathology.vessel_gain += np.float32(UPPER_ZONE_VESSEL_GAIN) * (lung.height < UPPER_ZONE_END)
        _add_kerley_b_lines(pathology, lung, severity)
    add_haze(pathology, EDEMA_HAZE(severity))
    if pathology.occurs(EDEMA_EFFUSION_PROBABILITY):
        for lung in pathology.thorax.lungs:
            add_pleural_fluid(pathology, lung, EDEMA_EFFUSION_LEVEL * severity)


def _add_kerley_b_lines(pathology: Pathology, lung: Lung, severity: float) -> None:
    half_width = pathology.half_width
    heights = np.linspace(*KERLEY_HEIGHT, KERLEY_LINES) + pathology.rng.normal(0, KERLEY_HEIGHT_SD, KERLEY_LINES)
    starts = np.array([pathology.point_in_lung(lung, KERLEY_LATERAL, height) for height in heights])
    ends = starts - [lung.side * KERLEY_LENGTH * half_width, 0]
    thickness = np.full(KERLEY_LINES, KERLEY_THICKNESS(severity))
    widths = np.full(KERLEY_LINES, KERLEY_WIDTH * half_width)
    pathology.added_tissue += draw_lines(pathology.plane, np.concatenate([starts, ends], axis=1), thickness, widths)


def add_atelectasis(pathology: Pathology, severity: float) -> None:
    """Add plates of airless lung, or a lobe that has collapsed toward its fissure."""
    lung = pathology.random_lung()
    if pathology.occurs(PLATE_PROBABILITY):
        for _ in range(pathology.rng.integers(*PLATES, endpoint=True)):
            _add_plate(pathology, lung, severity)
        return
    if pathology.occurs(UPPER_COLLAPSE_PROBABILITY):
        bow = FISSURE_BOW * np.sin(np.pi * np.clip(lung.lateral, 0, 1))
        fissure = FISSURE_HEIGHT + FISSURE_TILT * (1 - lung.lateral) - bow
        lobe = smoothstep((fissure * UPPER_WEDGE_SIZE(severity) - lung.height) / FISSURE_EDGE)
    else:
        from_top = lung.height - TRIANGLE_TOP
        widening = np.clip(from_top / TRIANGLE_HEIGHT, 0, TRIANGLE_LIMIT)
        border = TRIANGLE_TIP + TRIANGLE_BASE * widening * TRIANGLE_SIZE(severity)
        lobe = smoothstep((border - lung.lateral) / TRIANGLE_EDGE) * smoothstep(from_top / TRIANGLE_TOP_TRANSITION)
    pathology.consolidate(lung, lobe * np.float32(COLLAPSE_DENSITY(severity)))


def _add_plate(pathology: Pathology, lung: Lung, severity: float) -> None:
    x, z = pathology.point_in_lung(lung, pathology.uniform(*PLATE_LATERAL), pathology.uniform(*PLATE_HEIGHT))
    length, tilt = pathology.half_width * pathology.uniform(*PLATE_LENGTH), pathology.uniform(*PLATE_TILT)
    end = x + lung.side * length, z + tilt * length
    radius = pathology.half_width * pathology.uniform(*PLATE_RADIUS)
    plate = capsule_path(pathology.plane, (x, z), end, radius)
    pathology.added_tissue += plate * np.float32(PLATE_DENSITY(severity))


def add_fibrosis(pathology: Pathology, severity: float) -> None:
    """Add a coarse reticular pattern at the base and the periphery of both lungs, with honeycombs."""
    for lung in pathology.thorax.lungs:
        downward = lung.height - FIBROSIS_UPPER_BORDER + FIBROSIS_NOISE * pathology.coarse_noise
        outward = lung.lateral - FIBROSIS_INNER_BORDER
        region = smoothstep(downward / FIBROSIS_HEIGHT_TRANSITION) * smoothstep(outward / FIBROSIS_LATERAL_TRANSITION)
        honeycombs = np.maximum(1 - HONEYCOMB_LINE_SHARPNESS * np.abs(pathology.medium_noise), 0)
        pattern = (
            np.float32(FINE_RETICULATION) * pathology.reticular_pattern()
            + np.float32(HONEYCOMBS) * honeycombs
            + np.float32(FIBROSIS_BASE)
        )
        pathology.consolidate(lung, pattern * region * np.float32(FIBROSIS_DENSITY(severity)))
        pathology.vessel_gain += np.float32(FIBROSIS_VESSEL_GAIN * severity) * region


def add_bullae(pathology: Pathology, severity: float) -> None:
    """Add the bullae of emphysema, more of them near the apex; there may be none."""
    for _ in range(pathology.rng.integers(*BULLAE, endpoint=True)):
        lung = pathology.random_lung()
        lateral, height = pathology.uniform(*BULLA_LATERAL), pathology.rng.beta(*BULLA_HEIGHT_BETA)
        x, z = pathology.point_in_lung(lung, lateral, height)
        radius = pathology.half_width * pathology.uniform(*BULLA_RADIUS)
        radius_squared = ellipse_radius_squared(pathology.plane, x, z, radius, radius)
        inside = smoothstep(BULLA_EDGE_SHARPNESS * (1 - radius_squared)) * (lung.path > 0)
        pathology.vessel_loss = np.maximum(pathology.vessel_loss, BULLA_VESSEL_LOSS * inside)
        pathology.airless_fraction = pathology.airless_fraction - np.float32(BULLA_LUCENCY * severity) * inside
