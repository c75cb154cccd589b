"""Signs of pneumonia: lobar, patchy, viral, COVID-19, and the infiltrates and consolidations of NIH's labels.

Terms follow the Fleischner Society's glossary (Hansell et al., Radiology 246:697, 2008). Severities run from 0 (hardly
visible) to 1.
"""

import numpy as np

from chest_transfer.phantom.curves import Linear, smoothstep
from chest_transfer.phantom.opacities import AirspacePatch, add_airspace_patch, add_haze
from chest_transfer.phantom.pathology import Pathology

# All numbers were chosen for appearance. `Linear` values depend on the severity. Densities are fractions of the lung's
# air that is replaced; pairs are (lowest, highest) unless noted; a mottle is (medium, fine) amplitude of noise.

LOBAR_PROBABILITY = 0.4  # of pneumonias that affect one lobe rather than patches along the airways
UPPER_LOBE_PROBABILITY = 0.35
FISSURE_HEIGHT, FISSURE_TILT = (0.45, 0.56), 0.08
FISSURE_SHARPNESS = 0.02  # an upper lobe ends sharply at the fissure
UPPER_LOBE_TOP, UPPER_LOBE_TOP_TRANSITION = 0.05, 0.1
LOWER_LOBE_NOISE, LOWER_LOBE_TRANSITION = 0.15, 0.25  # a lower lobe lies behind the upper one and fades upward
UPPER_LOBE_DENSITY, LOWER_LOBE_DENSITY = 0.75, 0.65
LOBE_EXTENT, LOBE_EXTENT_TRANSITION = (0.3, 2.2), 1.5  # how much of the lobe is affected, in noise units
LOBE_MOTTLE, LOBE_DENSITY_FACTOR, LOBE_AIR_BRONCHOGRAM = (0.08, 0.04), Linear(0.3, 0.7), 0.35
LOBAR_HAZE = 0.5

BRONCHOPNEUMONIA_UNILATERAL_PROBABILITY = 0.45
BRONCHOPNEUMONIA_PATCHES = (1, 4)  # per side
BRONCHOPNEUMONIA_PATCH = AirspacePatch(lateral=(0.25, 0.75), height=(0.4, 1.0), radius=(0.18, 0.6), air_bronchogram=0.3)
BRONCHOPNEUMONIA_DENSITY, BRONCHOPNEUMONIA_VARIATION = Linear(0.3, 0.6), (0.6, 1.0)
BRONCHOPNEUMONIA_HAZE = Linear(0.1, 0.5)
HAZE_VARIATION = (0.3, 1)

# Perihilar region of viral pneumonia, in which bronchial walls are thickened.
PERIHILAR_EXTENT, HILUM_HEIGHT, PERIHILAR_NOISE = 1.35, 0.55, 0.15
PERIBRONCHIAL_GAIN = Linear(0.3, 1.3)
VIRAL_RETICULATION = Linear(0.10, 0.22)
VIRAL_DENSITY, VIRAL_MOTTLE = Linear(0.04, 0.2), (0.25, 0.12)
VIRAL_HAZE_BASE, VIRAL_HAZE_GAIN = 0.05, 0.35
VIRAL_PATCH_PROBABILITY = 0.3
VIRAL_PATCH = AirspacePatch(lateral=(0.3, 0.6), height=(0.5, 0.9), radius=(0.22, 0.22), air_bronchogram=0.3)
VIRAL_PATCH_DENSITY = Linear(0.25, 0.3)

# COVID-19: peripheral and basal ground-glass opacities in both lungs.
COVID_INNER_BORDER, COVID_UPPER_BORDER = 0.45, 0.3  # lateral position; height
COVID_NOISE, COVID_TRANSITION = 0.1, 0.4
COVID_DENSITY, COVID_MOTTLE = Linear(0.08, 0.33), (0.15, 0.06)
COVID_RETICULATION = 0.15
COVID_PATCHES = (1, 3)  # per side
COVID_PATCH = AirspacePatch(lateral=(0.6, 0.92), height=(0.45, 0.95), radius=(0.15, 0.3), air_bronchogram=0.15)
COVID_PATCH_DENSITY, COVID_PATCH_VARIATION = Linear(0.12, 0.33), (0.6, 1)

INFILTRATION_UNILATERAL_PROBABILITY = 0.5
INFILTRATION_LATERAL, INFILTRATION_HEIGHT = (0.25, 0.65), (0.35, 0.9)
INFILTRATION_RADIUS_X, INFILTRATION_RADIUS_Z = (0.2, 0.4), (0.2, 0.45)  # half widths of the rib cage
INFILTRATION_RAGGEDNESS, INFILTRATION_SOFTNESS = 0.5, 1.8
INFILTRATION_DENSITY, INFILTRATION_MOTTLE = Linear(0.12, 0.3), (0.15, 0.15)
INFILTRATION_VESSEL_GAIN = 0.8

CONSOLIDATION_PATCH = AirspacePatch(lateral=(0.3, 0.75), height=(0.25, 0.95), radius=(0.22, 0.42), air_bronchogram=0.5)
CONSOLIDATION_DENSITY = Linear(0.6, 0.35)


def add_lobar_pneumonia(pathology: Pathology, severity: float) -> None:
    """Add a consolidated lobe: dense and even, sharp where a fissure ends it, with air bronchograms."""
    lung = pathology.random_lung()
    upper = pathology.occurs(UPPER_LOBE_PROBABILITY)
    tilt = FISSURE_TILT * (1 - lung.lateral) * pathology.uniform(0, 1)
    fissure = pathology.uniform(*FISSURE_HEIGHT)
    if upper:
        lobe = smoothstep((fissure + tilt - lung.height) / FISSURE_SHARPNESS) * smoothstep(
            (lung.height - UPPER_LOBE_TOP) / UPPER_LOBE_TOP_TRANSITION
        )
        density = UPPER_LOBE_DENSITY
    else:
        below_fissure = lung.height - fissure + LOWER_LOBE_NOISE * pathology.coarse_noise
        lobe = smoothstep(below_fissure / LOWER_LOBE_TRANSITION)
        density = LOWER_LOBE_DENSITY
    extent = smoothstep((pathology.coarse_noise + pathology.uniform(*LOBE_EXTENT)) / LOBE_EXTENT_TRANSITION)
    shape = pathology.mottle(lobe * extent, *LOBE_MOTTLE)
    density = np.float32(density * LOBE_DENSITY_FACTOR(severity))
    pathology.consolidate(lung, shape * density, LOBE_AIR_BRONCHOGRAM)
    add_haze(pathology, LOBAR_HAZE * severity * pathology.uniform(*HAZE_VARIATION))


def add_bronchopneumonia(pathology: Pathology, severity: float) -> None:
    """Add several patches along the airways, more of them below, on one side or both."""
    for side in pathology.affected_sides(BRONCHOPNEUMONIA_UNILATERAL_PROBABILITY):
        for _ in range(pathology.rng.integers(*BRONCHOPNEUMONIA_PATCHES, endpoint=True)):
            density = BRONCHOPNEUMONIA_DENSITY(severity) * pathology.uniform(*BRONCHOPNEUMONIA_VARIATION)
            add_airspace_patch(pathology, side, BRONCHOPNEUMONIA_PATCH, density)
    add_haze(pathology, BRONCHOPNEUMONIA_HAZE(severity) * pathology.uniform(*HAZE_VARIATION))


def add_pneumonia(pathology: Pathology, severity: float) -> None:
    """Add a bacterial pneumonia, lobar or patchy."""
    add = add_lobar_pneumonia if pathology.occurs(LOBAR_PROBABILITY) else add_bronchopneumonia
    add(pathology, severity)


def add_viral_pneumonia(pathology: Pathology, severity: float) -> None:
    """Add thickened bronchial walls that fan out from both hila, a fine reticular pattern and a slight haze."""
    for lung in pathology.thorax.lungs:
        near_hilum = PERIHILAR_EXTENT - lung.lateral - np.abs(lung.height - HILUM_HEIGHT)
        perihilar = smoothstep(near_hilum + PERIHILAR_NOISE * pathology.coarse_noise) * (lung.path > 0)
        pathology.vessel_gain += np.float32(PERIBRONCHIAL_GAIN(severity)) * perihilar
        reticulation = pathology.reticular_pattern() * perihilar
        pathology.consolidate(lung, reticulation * np.float32(VIRAL_RETICULATION(severity)))
        opacity = pathology.mottle(perihilar, *VIRAL_MOTTLE)
        pathology.consolidate(lung, opacity * np.float32(VIRAL_DENSITY(severity)))
    add_haze(pathology, VIRAL_HAZE_BASE + VIRAL_HAZE_GAIN * severity * pathology.uniform(*HAZE_VARIATION))
    if pathology.occurs(VIRAL_PATCH_PROBABILITY):
        add_airspace_patch(pathology, pathology.random_side(), VIRAL_PATCH, VIRAL_PATCH_DENSITY(severity))


def add_covid(pathology: Pathology, severity: float) -> None:
    """Add ground-glass opacities: hazy, peripheral and basal, in both lungs."""
    for side in (-1, 1):
        lung = pathology.lung_on(side)
        outward = lung.lateral - COVID_INNER_BORDER + COVID_NOISE * pathology.coarse_noise
        downward = lung.height - COVID_UPPER_BORDER + COVID_NOISE * pathology.coarse_noise
        region = smoothstep(outward / COVID_TRANSITION) * smoothstep(downward / COVID_TRANSITION)
        pathology.consolidate(lung, pathology.mottle(region, *COVID_MOTTLE) * np.float32(COVID_DENSITY(severity)))
        pathology.consolidate(lung, pathology.reticular_pattern() * region * np.float32(COVID_RETICULATION * severity))
        for _ in range(pathology.rng.integers(*COVID_PATCHES, endpoint=True)):
            density = COVID_PATCH_DENSITY(severity) * pathology.uniform(*COVID_PATCH_VARIATION)
            add_airspace_patch(pathology, side, COVID_PATCH, density)


def add_infiltration(pathology: Pathology, severity: float) -> None:
    """Add ill-defined opacities with streaks, less dense than a consolidation."""
    for side in pathology.affected_sides(INFILTRATION_UNILATERAL_PROBABILITY):
        lung = pathology.lung_on(side)
        lateral, height = pathology.uniform(*INFILTRATION_LATERAL), pathology.uniform(*INFILTRATION_HEIGHT)
        x, z = pathology.point_in_lung(lung, lateral, height)
        radius_x = pathology.half_width * pathology.uniform(*INFILTRATION_RADIUS_X)
        radius_z = pathology.half_width * pathology.uniform(*INFILTRATION_RADIUS_Z)
        shape = pathology.ill_defined_patch(x, z, radius_x, radius_z, INFILTRATION_RAGGEDNESS, INFILTRATION_SOFTNESS)
        opacity = pathology.mottle(shape, *INFILTRATION_MOTTLE)
        pathology.consolidate(lung, opacity * np.float32(INFILTRATION_DENSITY(severity)))
        pathology.vessel_gain += np.float32(INFILTRATION_VESSEL_GAIN * severity) * shape


def add_consolidation(pathology: Pathology, severity: float) -> None:
    """Add one dense patch in which vessels disappear and airways stay lucent."""
    add_airspace_patch(pathology, pathology.random_side(), CONSOLIDATION_PATCH, CONSOLIDATION_DENSITY(severity))
