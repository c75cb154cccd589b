"""Patients and their poses: what varies from one chest to the next, and from one exposure to the next."""

from dataclasses import dataclass

import numpy as np

from chest_transfer.phantom.curves import Linear

# Unless a source is given, the distributions below were chosen for appearance. A pair is (mean, standard deviation) or
# (lowest, highest); `Linear` values are a function of the child factor (0 for an adult, 1 for an infant).

INFANT_AGE, ADULT_AGE = 2, 16  # years; body proportions change linearly between them

MALE_FRACTION = 0.55
ADULT_HALF_WIDTH = {"M": 13.4, "F": 12.1}  # cm, inside of the rib cage
INFANT_HALF_WIDTH = 7.6  # cm
HALF_WIDTH_FACTOR = (1, 0.06)
# Lung height in half widths: a child's lungs are shorter, a stout patient's are lower.
LUNG_HEIGHT = Linear(1.78, -0.48)
LUNG_HEIGHT_FACTOR_MEAN, LUNG_HEIGHT_FACTOR_SD = 1, Linear(0.05, 0.03)
LUNG_HEIGHT_PER_HABITUS = 0.05
# Half of the depth, front to back, in half widths: a child's chest is rounder.
HALF_DEPTH_MEAN, HALF_DEPTH_SD = Linear(0.66, 0.12), 0.04
# Soft tissue over the ribs, in half widths.
FAT_THICKNESS = Linear(0.17, 0.07)  # of the habitus
FAT_THICKNESS_LIMITS = (0.06, 0.5)
BREAST_RADIUS_LIMITS = (0.25, 0.62)  # in half widths
OLDEST_WITHOUT_BREASTS = 13  # years
# The heart's width over the chest's. Above 0.5 is abnormal in adults (Danzer, Am J Med Sci 157:513, 1919); in infants
# the ratio is normally larger.
CARDIOTHORACIC_RATIO_MEAN, CARDIOTHORACIC_RATIO_SD = Linear(0.44, 0.07), Linear(0.025, 0.035)
CARDIOTHORACIC_RATIO_PER_HABITUS = 0.01
CARDIOTHORACIC_RATIO_LIMITS = (0.36, 0.62)
# Depth of the heart and the great vessels over the chest's.
MEDIASTINAL_DEPTH_MEAN, MEDIASTINAL_DEPTH_SD = Linear(0.85, -0.2), 0.08
MEDIASTINAL_DEPTH_LIMITS = (0.45, 0.95)
# Posterior ribs within the height of the lungs: nine to ten are seen above the diaphragm in a good inspiration.
RIBS_IN_LUNG_HEIGHT_MEAN, RIBS_IN_LUNG_HEIGHT_SD = Linear(9.3, -0.4), 0.5
# Descent of a rib from spine to side, in half widths: a child's ribs are more horizontal.
RIB_DROP_MEAN, RIB_DROP_SD = Linear(0.42, -0.1), 0.05
RIB_DROP_PER_HABITUS = 0.03
LOG_BONE_DENSITY_SD = Linear(0.2, 0.15)
BONE_DENSITY_LIMITS = (0.5, 2)
# Bone is lost with age: by a quarter from 60 to 90 years.
BONE_LOSS, BONE_LOSS_AGE, BONE_LOSS_YEARS = 0.25, 60, 30
SCOLIOSIS_SD = 0.025  # half widths
THYMUS_SIZE = (0.7, 0.9)

PA_FRACTION = 0.6  # of adults' radiographs: 67,310 of the 112,120 in NIH ChestX-ray14
# A patient who lies or sits breathes in less deeply and is turned and tilted more.
INSPIRATION_MEAN, INSPIRATION_SD = {"PA": 1.0, "AP": 0.93}, 0.055
INSPIRATION_LIMITS = (0.76, 1.08)
ROTATION_SD = {"PA": 0.035, "AP": 0.09}  # half widths
LEAN_SD = {"PA": 0.015, "AP": 0.05}  # slope
SHIFT_X_SD = 0.05  # half widths
SHIFT_Z_PER_CHILD_FACTOR, SHIFT_Z_SD = 0.09, 0.11  # half widths; a child's image is centered lower
# Width of the field in half widths: children are imaged with wider and more variable margins.
FIELD_WIDTH_MEAN, FIELD_WIDTH_SD = Linear(2.42, 0.3), Linear(0.2, 0.06)
FIELD_WIDTH_LIMITS = (2.1, 3.3)
# Height of the field over its width: a child's field is wide, because the arms are in it.
ASPECT_MEAN, ASPECT_SD = Linear(0.98, -0.2), 0.07
ASPECT_LIMITS = (0.62, 1.25)
# Small children's arms are held up beside the head.
ARMS_RAISED_ABOVE_CHILD_FACTOR = 0.3
ARM_ELEVATION_LIMITS = (0.3, 1.0)


def child_factor(age: int) -> float:
    """How childlike the proportions are at an age in years: 1 up to 2 years, 0 from 16 years on, linear between."""
    return float(np.clip((ADULT_AGE - age) / (ADULT_AGE - INFANT_AGE), 0, 1))


@dataclass(frozen=True)
class Patient:
    """What stays the same from one radiograph of a person to the next.

    Args:
        age: int, years.
        sex: str, "M" or "F".
        half_width: float, cm, half the largest width of the rib cage's inside.
        lung_height: float, cm, from the apices to the domes of the diaphragm at full inspiration.
        half_depth: float, cm, half of the rib cage's inside from front to back.
        fat_thickness: float, cm of soft tissue over the ribs.
        breast_radius: float, cm; 0 for none.
        cardiothoracic_ratio: float, width of the heart over the width of the rib cage.
        mediastinal_depth: float, depth of heart and great vessels over the depth of the rib cage.
        rib_spacing: float, cm from one rib to the next at the spine.
        rib_drop: float, descent of a rib from the spine to the side, in half widths.
        bone_density: float, 1 for a typical young adult.
        scoliosis: float, cm by which the middle of the spine deviates sideways.
        thymus_size: float, 0 for none, about 1 for an infant's.
        vessel_seed: int, seed of what is the patient's own, such as the branching of the pulmonary vessels.
    """

    age: int
    sex: str
    half_width: float
    lung_height: float
    half_depth: float
    fat_thickness: float
    breast_radius: float
    cardiothoracic_ratio: float
    mediastinal_depth: float
    rib_spacing: float
    rib_drop: float
    bone_density: float
    scoliosis: float
    thymus_size: float
    vessel_seed: int

    @property
    def child_factor(self) -> float:
        return child_factor(self.age)

    @classmethod
    def random(cls, rng: np.random.Generator, ages: tuple[int, int] = (18, 89)) -> "Patient":
        """Sample a patient; `ages` are the lowest and the highest age in years, both included."""
        youngest, oldest = ages
        mean_age, age_sd = (youngest + oldest) / 2, (oldest - youngest) / 4
        age = int(np.clip(rng.normal(mean_age, age_sd), youngest, oldest))
        sex = "M" if rng.random() < MALE_FRACTION else "F"
        child = child_factor(age)
        mean_half_width = ADULT_HALF_WIDTH[sex] * (1 - child) + INFANT_HALF_WIDTH * child
        half_width = mean_half_width * rng.normal(*HALF_WIDTH_FACTOR)
        habitus = rng.normal()  # slim (negative) to stout (positive)
        lung_height_factor = rng.normal(LUNG_HEIGHT_FACTOR_MEAN, LUNG_HEIGHT_FACTOR_SD(child))
        lung_height = half_width * (LUNG_HEIGHT(child) * lung_height_factor - LUNG_HEIGHT_PER_HABITUS * habitus)
        half_depth = half_width * rng.normal(HALF_DEPTH_MEAN(child), HALF_DEPTH_SD)
        fat_thickness = half_width * float(np.clip(FAT_THICKNESS(habitus), *FAT_THICKNESS_LIMITS))
        breasts = sex == "F" and age > OLDEST_WITHOUT_BREASTS
        breast_radius = half_width * rng.uniform(*BREAST_RADIUS_LIMITS) * breasts
        heart = rng.normal(CARDIOTHORACIC_RATIO_MEAN(child), CARDIOTHORACIC_RATIO_SD(child))
        heart += CARDIOTHORACIC_RATIO_PER_HABITUS * habitus
        mediastinal_depth = rng.normal(MEDIASTINAL_DEPTH_MEAN(child), MEDIASTINAL_DEPTH_SD)
        rib_spacing = lung_height / rng.normal(RIBS_IN_LUNG_HEIGHT_MEAN(child), RIBS_IN_LUNG_HEIGHT_SD)
        rib_drop = rng.normal(RIB_DROP_MEAN(child), RIB_DROP_SD) - RIB_DROP_PER_HABITUS * habitus
        bone_density = float(np.clip(np.exp(rng.normal(0, LOG_BONE_DENSITY_SD(child))), *BONE_DENSITY_LIMITS))
        bone_density *= 1 - BONE_LOSS * max(0, age - BONE_LOSS_AGE) / BONE_LOSS_YEARS
        return cls(
            age=age,
            sex=sex,
            half_width=half_width,
            lung_height=lung_height,
            half_depth=half_depth,
            fat_thickness=fat_thickness,
            breast_radius=breast_radius,
            cardiothoracic_ratio=float(np.clip(heart, *CARDIOTHORACIC_RATIO_LIMITS)),
            mediastinal_depth=float(np.clip(mediastinal_depth, *MEDIASTINAL_DEPTH_LIMITS)),
            rib_spacing=rib_spacing,
            rib_drop=rib_drop,
            bone_density=bone_density,
            scoliosis=rng.normal(0, SCOLIOSIS_SD) * half_width,
            thymus_size=max(0.0, rng.normal(*THYMUS_SIZE)) * child,
            vessel_seed=int(rng.integers(2**32)),
        )


@dataclass(frozen=True)
class Pose:
    """How a patient stood or lay, breathed and turned in one exposure, and what the field showed.

    Args:
        view: str, "PA" (standing, chest to the detector) or "AP" (lying or sitting, back to the detector).
        inspiration: float, 1 for a full breath; the lungs' height scales with it.
        rotation: float, cm by which structures in front move against those behind as the patient turns.
        lean: float, slope of the body's axis against the image's columns.
        shift: tuple of two floats, x and z of the image's center, in the rib cage's half widths.
        width: float, width of the field in the rib cage's half widths.
        aspect: float, height of the field over its width.
        arm_elevation: float, 0 for hanging arms, 1 for arms beside the head; above 0.5 they cross the upper corners.
    """

    view: str
    inspiration: float
    rotation: float
    lean: float
    shift: tuple[float, float]
    width: float
    aspect: float
    arm_elevation: float

    @classmethod
    def random(cls, rng: np.random.Generator, patient: Patient, pa_fraction: float = PA_FRACTION) -> "Pose":
        """Sample a pose.

        Args:
            rng: numpy Generator.
            patient: Patient to pose.
            pa_fraction: float, 0-1, fraction of PA views among adults; small children are always AP.
        """
        child = patient.child_factor
        view = "PA" if rng.random() < pa_fraction * (1 - child) else "AP"
        inspiration = float(np.clip(rng.normal(INSPIRATION_MEAN[view], INSPIRATION_SD), *INSPIRATION_LIMITS))
        rotation = rng.normal(0, ROTATION_SD[view]) * patient.half_width
        lean = rng.normal(0, LEAN_SD[view])
        shift = rng.normal(0, SHIFT_X_SD), rng.normal(SHIFT_Z_PER_CHILD_FACTOR * child, SHIFT_Z_SD)
        width = float(np.clip(rng.normal(FIELD_WIDTH_MEAN(child), FIELD_WIDTH_SD(child)), *FIELD_WIDTH_LIMITS))
        aspect = float(np.clip(rng.normal(ASPECT_MEAN(child), ASPECT_SD), *ASPECT_LIMITS))
        raised = child > ARMS_RAISED_ABOVE_CHILD_FACTOR
        arm_elevation = rng.uniform(*ARM_ELEVATION_LIMITS) * child if raised else 0.0
        return cls(view, inspiration, rotation, lean, shift, width, aspect, arm_elevation)
