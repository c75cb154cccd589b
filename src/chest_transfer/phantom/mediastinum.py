"""The mediastinum in projection: great vessels, thymus, heart and spine, within one outline."""

import numpy as np
from scipy.interpolate import PchipInterpolator

from chest_transfer.phantom.anatomy import Anatomy
from chest_transfer.phantom.curves import half_chord, smoothstep
from chest_transfer.phantom.shapes import ImagePlane

# The mediastinum's borders in an adult, traced for appearance. Levels run from the apices (0) to the domes of the
# diaphragm (1) and beyond; borders are distances from the midline in the rib cage's half widths. The last three columns
# say how much a level grows with the aortic arch of an older patient, with the heart, and with a child's thymus.
OUTLINE = (
    # level, left, right, arch, heart, thymus
    (0.00, 0.36, 0.36, 0, 0, 0.0),  # vessels of the neck
    (0.09, 0.23, 0.25, 0, 0, 0.5),
    (0.19, 0.20, 0.20, 0, 0, 1.0),  # superior vena cava on the right
    (0.27, 0.23, 0.19, 1, 0, 1.1),  # aortic arch on the left
    (0.33, 0.225, 0.17, 1, 0, 1.0),
    (0.40, 0.20, 0.17, 0, 0, 0.8),
    (0.47, 0.235, 0.18, 0, 0, 0.5),  # pulmonary trunk on the left
    (0.58, 0.31, 0.21, 0, 1, 0.0),
    (0.70, 0.45, 0.26, 0, 1, 0.0),  # left ventricle, right atrium
    (0.83, 0.56, 0.28, 0, 1, 0.0),
    (0.95, 0.59, 0.24, 0, 1, 0.0),
    (1.07, 0.48, 0.20, 0, 1, 0.0),
    (1.20, 0.20, 0.15, 0, 0, 0.0),
)
LOWEST_LEVEL = 1.2
OUTLINE_CARDIOTHORACIC_RATIO = 0.44  # of the heart in this outline

# The remaining parameters were chosen for appearance. Lengths are in half widths of the rib cage.
# The aortic arch unfolds with age.
ARCH_GROWTH = 0.06
ARCH_GROWTH_START, ARCH_GROWTH_YEARS = 25, 60  # years
ARCH_GROWTH_LIMITS = (-0.4, 1)
RIGHT_ARCH_GROWTH = 0.5  # of the left side's
THYMUS_WIDTH = 0.11
# The vessels of the neck lie closer together in a child, as do the apices of the lungs.
CHILD_NECK_NARROWING = 0.4
NECK_LEVEL = 0.2
# A displacement of the mediastinum acts on the heart more than on the neck.
SHIFT_AT_NECK, SHIFT_GAIN = 0.5, 0.5
HEART_ROTATION = 0.6  # cm that the heart moves per cm of rotation, being in front
HEART_TOP_LEVEL, HEART_TOP_TRANSITION = 0.5, 0.1
# Spine with the muscles and vessels beside it, which always lies between the lungs.
SPINE_HALF_WIDTH = 0.17
SPINE_ROTATION = 0.35  # cm that the spine moves per cm of rotation, being behind


def project_mediastinum(anatomy: Anatomy, plane: ImagePlane) -> tuple[np.ndarray, np.ndarray]:
    """Project what lies between the lungs.

    In each row it is one ellipse between a right and a left border.

    Returns:
        (heart, mediastinum), each (H, W) float32, cm along the beam; the mediastinum includes heart and spine.
    """
    patient, pose = anatomy.patient, anatomy.pose
    half_width = np.float32(patient.half_width)
    level = plane.z[:, 0] / (0.5 * sum(anatomy.dome_z))
    left, right = _borders(anatomy, level)
    shift = anatomy.mediastinal_shift * (SHIFT_AT_NECK + SHIFT_GAIN * level)
    rotation = HEART_ROTATION * pose.rotation * np.clip(level, 0, 1)
    middle = shift - rotation + half_width * (left - right) / 2
    half = half_width * (left + right) / 2
    from_middle = plane.x - middle[:, np.newaxis].astype(np.float32)
    radius_squared = np.square(from_middle / half[:, np.newaxis].astype(np.float32))
    depth = 2 * np.float32(patient.half_depth)
    organs = depth * np.float32(patient.mediastinal_depth) * half_chord(radius_squared)
    heart_share = smoothstep((level[:, np.newaxis] - HEART_TOP_LEVEL) / HEART_TOP_TRANSITION).astype(np.float32)
    from_spine = plane.x + np.float32(SPINE_ROTATION * pose.rotation)
    spine_radius_squared = np.square(from_spine / (np.float32(SPINE_HALF_WIDTH) * half_width))
    # To the fourth power: flat in front, steep at the sides.
    spine = depth * half_chord(spine_radius_squared * spine_radius_squared)
    return organs * heart_share, np.maximum(organs, spine)


def _borders(anatomy: Anatomy, level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mediastinum's left and right border at each of (H,) levels, in half widths from the midline."""
    patient = anatomy.patient
    levels, left, right, arch, heart, thymus = np.array(OUTLINE).T
    age_factor = np.clip((patient.age - ARCH_GROWTH_START) / ARCH_GROWTH_YEARS, *ARCH_GROWTH_LIMITS)
    arch_growth = ARCH_GROWTH * age_factor
    heart_factor = 1 + heart * (anatomy.cardiothoracic_ratio / OUTLINE_CARDIOTHORACIC_RATIO - 1)
    thymus_growth = THYMUS_WIDTH * patient.thymus_size * thymus
    neck_factor = 1 - CHILD_NECK_NARROWING * patient.child_factor * np.clip(1 - levels / NECK_LEVEL, 0, 1)
    left, right = neck_factor * left, neck_factor * right
    left = heart_factor * left + arch_growth * arch + thymus_growth
    right = heart_factor * right + RIGHT_ARCH_GROWTH * arch_growth * arch + thymus_growth
    level = np.clip(level, 0, LOWEST_LEVEL)
    return PchipInterpolator(levels, left)(level), PchipInterpolator(levels, right)(level)
