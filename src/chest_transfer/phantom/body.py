"""The body's outline in projection (neck, shoulders, trunk, arms, breasts, chin), and the air outside of the lungs."""

import numpy as np

from chest_transfer.phantom.anatomy import Anatomy
from chest_transfer.phantom.curves import Linear, half_chord, smoothstep
from chest_transfer.phantom.shapes import ImagePlane, capsule_path, ellipse_radius_squared, ellipsoid_path

# Unless noted otherwise, lengths are in half widths of the rib cage, `Linear` values depend on the child factor, and
# all numbers were chosen for appearance.

# Trachea and main bronchi. A man's trachea is 13 to 25 mm wide, a woman's 10 to 21 mm (Breatnach, Abbott and Fraser,
# AJR 142:903, 1984); this one is about 15 mm wide in an adult.
TRACHEA_RADIUS = 0.058
TRACHEA_ROTATION = 0.2  # cm that the trachea moves per cm of rotation
TRACHEA_TOP = -1.0  # z
TRACHEA_TOP_SHIFT = 0.5  # displacement of the trachea at the neck over that at the carina
CARINA_OFFSET, CARINA_LEVEL = 0.01, 0.36  # x; level in lung heights
# The right main bronchus is wider and steeper than the left one (standard anatomy). Ends: x; level in lung heights.
RIGHT_BRONCHUS_END, RIGHT_BRONCHUS_RADIUS = (0.17, 0.46), 0.8  # radius over the trachea's
LEFT_BRONCHUS_END, LEFT_BRONCHUS_RADIUS = (0.2, 0.48), 0.7

# Air in the stomach below the left dome; sizes are in radii of the bubble.
MIN_GASTRIC_BUBBLE = 0.02
GASTRIC_BUBBLE_X, GASTRIC_BUBBLE_BELOW_DOME = 0.42, 0.05
GASTRIC_BUBBLE_CENTER = 0.55
GASTRIC_BUBBLE_HALF_WIDTH, GASTRIC_BUBBLE_HALF_HEIGHT, GASTRIC_BUBBLE_DEPTH = 1.35, 0.6, 1.6
GASTRIC_BUBBLE_TILT = -12  # degrees
GASTRIC_FLUID_LEVEL = 0.3  # below the bubble's center
FLUID_EDGE_PIXELS = 2  # over which the fluid level is blurred

# Widths and depths of the body from the neck down. Levels are z.
SHOULDER_TOP, SHOULDER_RISE_WITH_ARMS, SHOULDER_HEIGHT = 0.5, 0.2, 0.62
TRUNK_TOP, TRUNK_TRANSITION = 0.12, 0.6
NECK_HALF_WIDTH = Linear(0.40, 0.05)
SHOULDER_HALF_WIDTH = Linear(1.05, -0.43)  # beyond the neck
TRUNK_HALF_WIDTH = Linear(1.14, -0.10)
FLANK_FAT = Linear(1.2, -0.8)  # thicknesses of fat on each side; a child's flanks are thin
NECK_HALF_DEPTH = Linear(0.42, -0.1)
CHEST_WALL_HALF_DEPTH = 0.12  # muscles and bones outside of the rib cage's inside
DEPTH_FAT = 0.9  # thicknesses of fat in front and behind
UPPER_CHEST_THINNING = Linear(0.2, 0.05)  # share of the depth that is missing above the trunk
ABDOMEN_GAIN, ABDOMEN_TOP, ABDOMEN_TRANSITION = 0.08, 1.2, 0.8  # share of the depth; z; length
ELLIPSE_SHARE, SQUARE_SHARE = 0.7, 0.3  # an adult's trunk is between an ellipse and a rounded square in cross section

BREAST_X, BREAST_Z = 0.58, 1.05
BREAST_DESCENT = 0.3  # breast radii that the center lies lower
BREAST_THICKNESS = 0.75  # breast radii
BREAST_FADE_LENGTH, BREAST_FADE_OFFSET = 1.6, 0.6  # breast radii; a breast hangs, and fades upward

# The chin reaches into a small child's field.
CHIN_CHILD_FACTOR = 0.4  # above which the field shows it
CHIN_ROTATION = 0.3  # cm per cm of rotation
CHIN_Z = Linear(-1.1, 0.4)  # of the arms' elevation
CHIN_HALF_WIDTH, CHIN_HALF_HEIGHT, CHIN_DEPTH = 0.66, 0.42, 1.3

# Upper arms. Angles are in degrees below the horizontal.
SHOULDER_JOINT_X = Linear(1.22, -0.15)
SHOULDER_JOINT_Z = Linear(0.13, -0.12)  # of the arms' elevation
HANGING_ARM_ANGLE = 76
RAISED_ARM_ANGLE = Linear(105, -150)  # of the arms' elevation
UPPER_ARM_LENGTH = 1.5
UPPER_ARM_RADIUS = Linear(0.27, -0.08)
UPPER_ARM_FAT = 0.5  # thicknesses of fat


def project_air(anatomy: Anatomy, plane: ImagePlane) -> np.ndarray:
    """(H, W) float32: cm of air along the beam in trachea, main bronchi and stomach."""
    half_width, lung_height = anatomy.patient.half_width, anatomy.patient.lung_height
    trachea_x = anatomy.mediastinal_shift - TRACHEA_ROTATION * anatomy.pose.rotation
    top = TRACHEA_TOP_SHIFT * trachea_x, TRACHEA_TOP * half_width
    carina = trachea_x + CARINA_OFFSET * half_width, CARINA_LEVEL * lung_height
    right_end = trachea_x - RIGHT_BRONCHUS_END[0] * half_width, RIGHT_BRONCHUS_END[1] * lung_height
    left_end = trachea_x + LEFT_BRONCHUS_END[0] * half_width, LEFT_BRONCHUS_END[1] * lung_height
    radius = TRACHEA_RADIUS * half_width
    trachea = capsule_path(plane, top, carina, radius)
    right_bronchus = capsule_path(plane, carina, right_end, RIGHT_BRONCHUS_RADIUS * radius)
    left_bronchus = capsule_path(plane, carina, left_end, LEFT_BRONCHUS_RADIUS * radius)
    # They overlap at the carina, where adding them would count the air twice.
    air = np.maximum(np.maximum(trachea, right_bronchus), left_bronchus)
    if anatomy.gastric_bubble_radius > MIN_GASTRIC_BUBBLE * half_width:
        air = np.maximum(air, _gastric_bubble(anatomy, plane))
    return air


def _gastric_bubble(anatomy: Anatomy, plane: ImagePlane) -> np.ndarray:
    """(H, W) float32: cm of air along the beam in the stomach."""
    half_width, radius = anatomy.patient.half_width, anatomy.gastric_bubble_radius
    z = anatomy.dome_z[1] + GASTRIC_BUBBLE_BELOW_DOME * half_width + GASTRIC_BUBBLE_CENTER * radius
    bubble = ellipsoid_path(
        plane,
        GASTRIC_BUBBLE_X * half_width,
        z,
        GASTRIC_BUBBLE_HALF_WIDTH * radius,
        GASTRIC_BUBBLE_HALF_HEIGHT * radius,
        GASTRIC_BUBBLE_DEPTH * radius,
        GASTRIC_BUBBLE_TILT,
    )
    if anatomy.pose.view != "PA":
        return bubble
    # In a standing patient the fluid settles, and the bubble ends at its level.
    above_fluid = z + GASTRIC_FLUID_LEVEL * radius - plane.z
    return bubble * smoothstep(above_fluid / (FLUID_EDGE_PIXELS * plane.pixel_size) + 0.5)


def project_body(anatomy: Anatomy, plane: ImagePlane) -> np.ndarray:
    """(H, W) float32: cm along the beam through the body as if all of it were soft tissue."""
    patient, pose = anatomy.patient, anatomy.pose
    half_width = np.float32(patient.half_width)
    tissue = np.maximum(_neck_and_trunk(anatomy, plane), _arms(anatomy, plane))
    if patient.breast_radius:
        for side in (-1, 1):
            tissue = tissue + _breast(anatomy, plane, side)
    if patient.child_factor > CHIN_CHILD_FACTOR:
        tissue = tissue + ellipsoid_path(
            plane,
            CHIN_ROTATION * pose.rotation,
            CHIN_Z(pose.arm_elevation) * half_width,
            CHIN_HALF_WIDTH * half_width,
            CHIN_HALF_HEIGHT * half_width,
            CHIN_DEPTH * half_width,
        )
    return tissue


def _neck_and_trunk(anatomy: Anatomy, plane: ImagePlane) -> np.ndarray:
    patient = anatomy.patient
    half_width, fat, child = (
        np.float32(value) for value in (patient.half_width, patient.fat_thickness, patient.child_factor)
    )
    z = plane.z / half_width
    shoulder_rise = SHOULDER_RISE_WITH_ARMS * np.float32(anatomy.pose.arm_elevation)
    # 0 above and 1 below: where the neck widens to the shoulders, where the trunk begins, and where the abdomen does.
    shoulder = smoothstep((z + SHOULDER_TOP + shoulder_rise) / SHOULDER_HEIGHT)
    trunk = smoothstep((z - TRUNK_TOP) / TRUNK_TRANSITION)
    abdomen = smoothstep((z - ABDOMEN_TOP) / ABDOMEN_TRANSITION)
    upper_width = half_width * (NECK_HALF_WIDTH(child) + SHOULDER_HALF_WIDTH(child) * shoulder)
    trunk_width = TRUNK_HALF_WIDTH(child) * half_width + FLANK_FAT(child) * fat
    width = upper_width * (1 - trunk) + trunk_width * trunk
    neck_depth = half_width * NECK_HALF_DEPTH(child)
    chest_depth = np.float32(patient.half_depth) + CHEST_WALL_HALF_DEPTH * half_width + DEPTH_FAT * fat
    depth = neck_depth * (1 - shoulder) + chest_depth * shoulder
    depth = depth * (1 - UPPER_CHEST_THINNING(child) * (1 - trunk)) * (1 + ABDOMEN_GAIN * abdomen)
    radius_squared = np.square(plane.x / width)
    # A child's trunk is an ellipse in cross section.
    squareness = radius_squared + child * (1 - radius_squared)
    return 2 * depth * half_chord(radius_squared * (ELLIPSE_SHARE + SQUARE_SHARE * squareness))


def _breast(anatomy: Anatomy, plane: ImagePlane, side: int) -> np.ndarray:
    half_width, radius = np.float32(anatomy.patient.half_width), anatomy.patient.breast_radius
    x, z = side * BREAST_X * half_width, BREAST_Z * half_width + BREAST_DESCENT * radius
    radius_squared = ellipse_radius_squared(plane, x, z, radius, radius)
    fade = smoothstep((plane.z - np.float32(z)) / np.float32(BREAST_FADE_LENGTH * radius) + BREAST_FADE_OFFSET)
    return BREAST_THICKNESS * np.float32(radius) * half_chord(radius_squared) * fade


def _arms(anatomy: Anatomy, plane: ImagePlane) -> np.ndarray:
    arms = np.zeros(plane.shape, np.float32)
    for side in (-1, 1):
        arms = np.maximum(arms, capsule_path(plane, *upper_arm(anatomy, side)))
    return arms


def upper_arm(anatomy: Anatomy, side: int) -> tuple[tuple[float, float], tuple[float, float], float]:
    """Shoulder (x, z), elbow (x, z) and radius of an upper arm, in cm; `side` is -1 for the patient's right arm."""
    half_width, elevation, child = (
        anatomy.patient.half_width,
        anatomy.pose.arm_elevation,
        anatomy.patient.child_factor,
    )
    angle = np.radians(RAISED_ARM_ANGLE(elevation) if elevation else HANGING_ARM_ANGLE)
    shoulder = side * SHOULDER_JOINT_X(child) * half_width, SHOULDER_JOINT_Z(elevation) * half_width
    elbow = (
        shoulder[0] + side * UPPER_ARM_LENGTH * half_width * np.cos(angle),
        shoulder[1] + UPPER_ARM_LENGTH * half_width * np.sin(angle),
    )
    return shoulder, elbow, UPPER_ARM_RADIUS(child) * half_width + UPPER_ARM_FAT * anatomy.patient.fat_thickness
