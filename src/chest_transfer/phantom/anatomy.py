"""A patient in a pose: the measures from which the thorax is projected, and which a finding may change."""

from dataclasses import dataclass

import numpy as np

from chest_transfer.phantom.curves import Linear
from chest_transfer.phantom.patients import Patient, Pose

# Unless a source is given, the distributions below were chosen for appearance; a pair is (mean, standard deviation).

# Density of aerated lung over water's. The inflated lung of ICRP's reference man has 0.26 g/cm³ (ICRP Publication 23,
# 1975); a shallow breath leaves more blood and less air.
LUNG_DENSITY = (0.27, 0.035)
LUNG_DENSITY_LIMITS = (0.17, 0.42)
LUNG_DENSITY_PER_EXPIRATION = 0.1
LUNG_DENSITY_ASYMMETRY = (1, 0.02)  # left over right
# The left dome lies lower than the right one in most people (Felson, Chest Roentgenology, 1973). Half widths.
LEFT_DOME_DESCENT = (0.09, 0.04)
DOME_DROP = (0.34, 0.06)  # half widths
MIN_DOME_DROP = 0.12
# The heart is magnified in AP views, where it lies farther from the detector, and lies broader on a high diaphragm.
AP_HEART_MAGNIFICATION = 0.1
HEART_WIDTH_FACTOR = (1, 0.02)
HEART_WIDTH_BY_INSPIRATION = Linear(1.25, -0.25)
LOG_VESSEL_CALIBER_SD = 0.3
VESSEL_CALIBER_LIMITS = (0.5, 1.7)
GASTRIC_BUBBLE_RADIUS = (0.16, 0.12)  # half widths


@dataclass(frozen=True)
class Anatomy:
    """A patient in a pose. Of pairs, the first is the patient's right side, which is on the left of the image.

    Args:
        patient: Patient.
        pose: Pose.
        dome_z: pair of floats, cm from the apices down to the top of each dome of the diaphragm.
        dome_drop: pair of floats, cm by which each dome falls toward the chest wall.
        lung_density: pair of floats, density of each lung over water's, 0-1.
        cardiothoracic_ratio: float, width of the heart over the width of the rib cage, in this exposure.
        vessel_caliber: float, width of the pulmonary vessels, 1 for normal.
        mediastinal_shift: float, cm by which heart and trachea are displaced to the patient's left.
        gastric_bubble_radius: float, cm, radius of the air in the stomach.
    """

    patient: Patient
    pose: Pose
    dome_z: tuple[float, float]
    dome_drop: tuple[float, float]
    lung_density: tuple[float, float]
    cardiothoracic_ratio: float
    vessel_caliber: float
    mediastinal_shift: float
    gastric_bubble_radius: float

    @classmethod
    def random(cls, rng: np.random.Generator, patient: Patient, pose: Pose) -> "Anatomy":
        """Sample the anatomy that a pose shows of a healthy patient.

        Args:
            rng: numpy Generator.
            patient: Patient.
            pose: Pose of the same patient.
        """
        half_width, ap_view = patient.half_width, pose.view == "AP"
        right_dome = patient.lung_height * pose.inspiration
        density = float(np.clip(rng.normal(*LUNG_DENSITY), *LUNG_DENSITY_LIMITS))
        density = density + LUNG_DENSITY_PER_EXPIRATION * (1 - pose.inspiration)
        left_dome = right_dome + half_width * rng.normal(*LEFT_DOME_DESCENT)
        dome_drop = tuple(half_width * max(MIN_DOME_DROP, rng.normal(*DOME_DROP)) for _ in range(2))
        lung_density = density, density * rng.normal(*LUNG_DENSITY_ASYMMETRY)
        magnification = 1 + AP_HEART_MAGNIFICATION * (1 - patient.child_factor) * ap_view
        heart_width_factor = rng.normal(*HEART_WIDTH_FACTOR)
        vessel_caliber = float(np.clip(np.exp(rng.normal(0, LOG_VESSEL_CALIBER_SD)), *VESSEL_CALIBER_LIMITS))
        return cls(
            patient=patient,
            pose=pose,
            dome_z=(right_dome, left_dome),
            dome_drop=dome_drop,
            lung_density=lung_density,
            cardiothoracic_ratio=patient.cardiothoracic_ratio
            * magnification
            * heart_width_factor
            * HEART_WIDTH_BY_INSPIRATION(pose.inspiration),
            vessel_caliber=vessel_caliber,
            mediastinal_shift=0.0,
            gastric_bubble_radius=half_width * max(0.0, rng.normal(*GASTRIC_BUBBLE_RADIUS)),
        )
