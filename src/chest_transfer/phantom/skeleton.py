"""The bones in projection: ribs, spine, clavicles, scapulae and humeri, as cm of solid bone along the beam.

Unless noted otherwise, lengths are in half widths of the rib cage, and all numbers were chosen for appearance.
"""

import numpy as np
from PIL import Image, ImageDraw

from chest_transfer.phantom.body import upper_arm
from chest_transfer.phantom.curves import bone_profile, half_chord, smoothstep
from chest_transfer.phantom.mediastinum import SPINE_ROTATION
from chest_transfer.phantom.raster import gaussian_blur
from chest_transfer.phantom.ribs import project_ribs
from chest_transfer.phantom.shapes import capsule_path
from chest_transfer.phantom.thorax import Thorax

# Spine. There is one vertebra per rib. Heights within a vertebra run from -0.5 (upper disc) to 0.5 (lower disc). Pairs
# are (center, width) of a bump in that direction.
SPINE_WINDOW = 0.36  # on either side of the midline; nothing of a vertebra reaches farther
VERTEBRA_HALF_WIDTH, VERTEBRA_WAIST = 0.105, 0.06  # at mid-height; gain toward the end plates
VERTEBRA_GAIN, VERTEBRA_GAIN_COUNT, VERTEBRA_GAIN_LIMIT = 0.012, 9, 1.5  # lower vertebrae are broader
DISC_DENSITY, BODY_DENSITY_GAIN, DISC_TRANSITION = 0.55, 0.45, 0.12
END_PLATE_DENSITY, END_PLATE = 0.25, (0.40, 0.05)
PEDICLE_X, PEDICLE_HEIGHT, PEDICLE_RING = (0.075, 0.030), (-0.15, 0.2), 0.8  # pedicles are seen end on, as rings
SPINOUS_PROCESS_WIDTH, SPINOUS_PROCESS_HEIGHT = 0.022, (0.25, 0.2)
TRANSVERSE_PROCESS_HEIGHT, TRANSVERSE_PROCESS_END, TRANSVERSE_PROCESS_TRANSITION = (-0.2, 0.13), 0.22, 0.06
BODY_THICKNESS, PEDICLE_THICKNESS, SPINOUS_THICKNESS, TRANSVERSE_THICKNESS = 0.13, 0.05, 0.06, 0.04

# Clavicles, by view. From the breastbone (0) to the shoulder (1). In AP they lie higher above the lungs and flatter.
CLAVICLE_ROTATION = 0.7  # cm that the clavicles move per cm of rotation, being in front
CLAVICLE_START_X, CLAVICLE_LENGTH = 0.1, 1.05
CLAVICLE_START_LEVEL = {"AP": 0.10, "PA": 0.135}  # lung heights below the apices
CLAVICLE_RISE, CLAVICLE_RISE_WITH_ARMS = {"AP": 0.22, "PA": 0.3}, 0.35
CLAVICLE_BEND = 0.055  # of its S shape
CLAVICLE_RADIUS, CLAVICLE_END_RADIUS_GAIN, CLAVICLE_RADIUS_FACTOR = 0.042, 0.022, 1.08
CLAVICLE_START, CLAVICLE_END = (-0.02, 0.03), (1.02, 0.04)  # (position along the clavicle, transition)
CLAVICLE_THICKNESS = 0.15

# Scapulae: thin blades with thick borders. In a PA view the shoulders are rolled forward, which turns the blades out of
# the lungs. Corners are (x, z, whether the PA view moves the corner outward).
SCAPULA_CORNERS = (
    (1.16, 0.08, False),
    (0.80, 0.04, True),
    (0.74, 0.22, True),
    (0.93, 0.82, True),
    (1.04, 0.76, True),
    (1.2, 0.32, False),
)
PA_SCAPULA_OFFSET = 0.16
SCAPULA_RISE_WITH_ARMS = 0.22
SCAPULA_TIP_SWING, SCAPULA_TIP_Z = 0.25, 0.5  # outward movement of the tip per rise; z below which it is the tip
SCAPULA_FIRST_BORDER_CORNER = 2  # the thick border runs from this corner to the last one and on to the first
SCAPULA_BLADE_THICKNESS, SCAPULA_BORDER_THICKNESS, SCAPULA_SPINE_THICKNESS = 0.035, 0.11, 0.09
SCAPULA_BORDER_WIDTH = 0.03
SCAPULA_SPINE_START_X, SCAPULA_SPINE_END_X, SCAPULA_SPINE_Z, SCAPULA_SPINE_RISE = 0.78, 1.22, 0.16, 0.13
SCAPULA_BLUR = 0.014

HUMERUS_RADIUS, HUMERUS_MARROW_RADIUS, HUMERUS_MARROW_DEFICIT, HUMERUS_HEAD_RADIUS = 0.075, 0.05, 0.75, 0.14
HUMERUS_HEAD_OFFSET = (0.01, 0.02)  # cm; a capsule needs two different ends
HUMERUS_SHAFT_DENSITY, HUMERUS_HEAD_DENSITY = 1.3, 0.55


def project_skeleton(thorax: Thorax) -> np.ndarray:
    """(H, W) float32: cm of solid bone along the beam."""
    bones = project_ribs(thorax) + _spine(thorax) + _clavicles(thorax) + _scapulae(thorax) + _humeri(thorax)
    return bones * np.float32(thorax.anatomy.patient.bone_density)


def _gaussian_exponent(distance: np.ndarray, bump: tuple[float, float]) -> np.ndarray:
    center, width = bump
    return np.square((distance - center) / width)


def _spine(thorax: Thorax) -> np.ndarray:
    """Vertebral bodies with discs between, pedicles, spinous and transverse processes."""
    plane, patient = thorax.plane, thorax.anatomy.patient
    half_width = np.float32(patient.half_width)
    columns = plane.column_slice(-SPINE_WINDOW * half_width, SPINE_WINDOW * half_width)
    bend = patient.scoliosis * np.sin(np.pi * plane.z / patient.lung_height)
    x = (plane.x[:, columns] + (SPINE_ROTATION * thorax.anatomy.pose.rotation + bend).astype(np.float32)) / half_width
    vertebra = plane.z / np.float32(patient.rib_spacing)
    height = vertebra - np.floor(vertebra) - np.float32(0.5)
    lower_gain = VERTEBRA_GAIN * np.clip(vertebra / VERTEBRA_GAIN_COUNT, 0, VERTEBRA_GAIN_LIMIT)
    width = np.float32(VERTEBRA_HALF_WIDTH) + lower_gain + np.float32(VERTEBRA_WAIST) * np.square(height)
    between_discs = smoothstep((0.5 - np.abs(height)) / DISC_TRANSITION)
    end_plates = np.exp(-_gaussian_exponent(np.abs(height), END_PLATE))
    density = DISC_DENSITY + BODY_DENSITY_GAIN * between_discs + END_PLATE_DENSITY * end_plates
    bodies = half_chord(np.square(x / width)) * density
    from_pedicle = _gaussian_exponent(np.abs(x), PEDICLE_X) + _gaussian_exponent(height, PEDICLE_HEIGHT)
    pedicles = np.exp(-np.square(from_pedicle - PEDICLE_RING))
    from_process = _gaussian_exponent(height, SPINOUS_PROCESS_HEIGHT)
    spinous = np.exp(-np.square(x / SPINOUS_PROCESS_WIDTH) - from_process)
    from_tip = (TRANSVERSE_PROCESS_END - np.abs(x)) / TRANSVERSE_PROCESS_TRANSITION
    transverse = np.exp(-_gaussian_exponent(height, TRANSVERSE_PROCESS_HEIGHT)) * smoothstep(from_tip)
    bone = np.zeros(plane.shape, np.float32)
    bone[:, columns] = (
        BODY_THICKNESS * bodies
        + PEDICLE_THICKNESS * pedicles
        + SPINOUS_THICKNESS * spinous
        + TRANSVERSE_THICKNESS * transverse
    ) * half_width
    return bone


def _clavicles(thorax: Thorax) -> np.ndarray:
    """Clavicles from the breastbone to the shoulder, bent like an S."""
    plane, anatomy = thorax.plane, thorax.anatomy
    half_width, lung_height = np.float32(anatomy.patient.half_width), np.float32(anatomy.patient.lung_height)
    view = anatomy.pose.view
    x = (plane.x + np.float32(CLAVICLE_ROTATION * anatomy.pose.rotation)) / half_width
    along = (np.abs(x) - CLAVICLE_START_X) / CLAVICLE_LENGTH
    rise = np.float32(CLAVICLE_RISE[view]) + np.float32(CLAVICLE_RISE_WITH_ARMS * anatomy.pose.arm_elevation)
    start_z = lung_height * np.float32(CLAVICLE_START_LEVEL[view])
    bend = np.float32(CLAVICLE_BEND) * np.sin(np.float32(2 * np.pi) * along)
    axis_z = start_z - half_width * (rise * along + bend)
    radius = half_width * (CLAVICLE_RADIUS + CLAVICLE_END_RADIUS_GAIN * np.square(2 * along - 1))
    (start, start_transition), (end, end_transition) = CLAVICLE_START, CLAVICLE_END
    visible = smoothstep((along - start) / start_transition) * smoothstep((end - along) / end_transition)
    profile = bone_profile((plane.z - axis_z) / (CLAVICLE_RADIUS_FACTOR * radius))
    return profile * visible * (CLAVICLE_THICKNESS * half_width)


def _scapulae(thorax: Thorax) -> np.ndarray:
    """Scapulae, over the lateral lungs in AP views and beside the lungs in PA views."""
    plane, anatomy = thorax.plane, thorax.anatomy
    half_width = anatomy.patient.half_width
    outward = 0.0 if anatomy.pose.view == "AP" else PA_SCAPULA_OFFSET
    rise = SCAPULA_RISE_WITH_ARMS * anatomy.pose.arm_elevation
    corners = np.array([(x + outward * moves, z) for x, z, moves in SCAPULA_CORNERS])
    corners[:, 0] += SCAPULA_TIP_SWING * rise * (corners[:, 1] > SCAPULA_TIP_Z)
    corners[:, 1] -= rise
    border = max(1, round(SCAPULA_BORDER_WIDTH * half_width / plane.pixel_size))
    spine_row = plane.row_at((SCAPULA_SPINE_Z - rise) * half_width)
    spine_end_row = spine_row - SCAPULA_SPINE_RISE * half_width / plane.pixel_size
    layer = Image.new("F", plane.shape[::-1])
    draw = ImageDraw.Draw(layer)
    for side in (-1, 1):
        outline = []
        for x, z in corners.tolist():
            row = plane.row_at(z * half_width)
            outline.append((plane.column_at(side * x * half_width, row), row))
        draw.polygon(outline, fill=SCAPULA_BLADE_THICKNESS * half_width)
        thick_border = [*outline[SCAPULA_FIRST_BORDER_CORNER:], outline[0]]
        draw.line(thick_border, fill=SCAPULA_BORDER_THICKNESS * half_width, width=border)
        start_column = plane.column_at(side * (SCAPULA_SPINE_START_X + outward) * half_width, spine_row)
        end_column = plane.column_at(side * SCAPULA_SPINE_END_X * half_width, spine_row)
        spine = [(start_column, spine_row), (end_column, spine_end_row)]
        draw.line(spine, fill=SCAPULA_SPINE_THICKNESS * half_width, width=2 * border)
    return gaussian_blur(np.asarray(layer), SCAPULA_BLUR * half_width / plane.pixel_size)


def _humeri(thorax: Thorax) -> np.ndarray:
    plane, half_width = thorax.plane, thorax.anatomy.patient.half_width
    bone = np.zeros(plane.shape, np.float32)
    for side in (-1, 1):
        shoulder, elbow, _ = upper_arm(thorax.anatomy, side)
        marrow = capsule_path(plane, shoulder, elbow, HUMERUS_MARROW_RADIUS * half_width)
        shaft = capsule_path(plane, shoulder, elbow, HUMERUS_RADIUS * half_width) - HUMERUS_MARROW_DEFICIT * marrow
        head_end = shoulder[0] + HUMERUS_HEAD_OFFSET[0], shoulder[1] + HUMERUS_HEAD_OFFSET[1]
        head = capsule_path(plane, shoulder, head_end, HUMERUS_HEAD_RADIUS * half_width)
        bone = np.maximum(bone, np.maximum(HUMERUS_SHAFT_DENSITY * shaft, HUMERUS_HEAD_DENSITY * head))
    return bone
