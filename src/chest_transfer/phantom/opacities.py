"""Opacities that several findings share: a patch of filled air spaces, and a haze over both lungs."""

from dataclasses import dataclass

import numpy as np

from chest_transfer.phantom.pathology import Pathology

# All numbers were chosen for appearance.
PATCH_ELONGATION = (0.8, 1.4)  # height over width
PATCH_MOTTLE = (0.08, 0.04)  # amplitudes of the medium and the fine noise
HAZE_BASE, HAZE_HILAR_GAIN, HAZE_NOISE = 0.75, 0.5, 0.12


@dataclass(frozen=True)
class AirspacePatch:
    """Where patches of filled air spaces lie in a lung and how large they are; pairs are (lowest, highest).

    Args:
        lateral: pair of floats, position between the midline (0) and the chest wall (1).
        height: pair of floats, position between the apex (0) and the diaphragm (1).
        radius: pair of floats, half widths of the rib cage.
        air_bronchogram: float, 0-1, how much air stays in the large airways.
    """

    lateral: tuple[float, float]
    height: tuple[float, float]
    radius: tuple[float, float]
    air_bronchogram: float


def add_airspace_patch(pathology: Pathology, side: int, patch: AirspacePatch, density: float) -> None:
    """Add one patch of filled air spaces.

    Args:
        pathology: Pathology to add to.
        side: int, -1 for the patient's right lung, 1 for the left lung.
        patch: AirspacePatch to sample place and size from.
        density: float, 0-1, fraction of the air that is replaced at the center.
    """
    lung = pathology.lung_on(side)
    x, z = pathology.point_in_lung(lung, pathology.uniform(*patch.lateral), pathology.uniform(*patch.height))
    radius = pathology.uniform(*patch.radius) * pathology.half_width
    shape = pathology.ill_defined_patch(x, z, radius, radius * pathology.uniform(*PATCH_ELONGATION))
    fraction = pathology.mottle(shape, *PATCH_MOTTLE) * np.float32(density)
    pathology.consolidate(lung, fraction, patch.air_bronchogram)


def add_haze(pathology: Pathology, density: float) -> None:
    """Make both lungs less lucent throughout, most around the hila.

    Args:
        pathology: Pathology to add to.
        density: float, 0-1, fraction of the air that is replaced.
    """
    before = pathology.airless_fraction
    for lung in pathology.thorax.lungs:
        hilar_gain = HAZE_HILAR_GAIN * np.maximum(0, 1 - lung.lateral)
        shape = HAZE_BASE + hilar_gain + HAZE_NOISE * pathology.coarse_noise
        pathology.consolidate(lung, shape * np.float32(density))
    pathology.haze += pathology.airless_fraction - before
