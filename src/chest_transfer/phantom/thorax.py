"""The soft thorax: body, lungs, heart, great vessels, airways and diaphragm as path lengths of the beam."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.interpolate import PchipInterpolator

from chest_transfer.phantom.anatomy import Anatomy
from chest_transfer.phantom.curves import half_chord, smoothstep
from chest_transfer.phantom.shapes import ImagePlane, capsule_path, ellipse_radius_squared, ellipsoid_path

# The mediastinum's borders in an adult, as shares of the cage's half width, from the apex (0) past the domes (1); and
# how far each level grows with the aortic arch of an older patient, with the heart, and with a child's thymus.
OUTLINE = (
    # level, left, right, arch, heart, thymus
    (0.00, 0.36, 0.36, 0, 0, 0.0),
    (0.09, 0.23, 0.25, 0, 0, 0.5),
    (0.19, 0.20, 0.20, 0, 0, 1.0),
    (0.27, 0.23, 0.19, 1, 0, 1.1),
    (0.33, 0.225, 0.17, 1, 0, 1.0),
    (0.40, 0.20, 0.17, 0, 0, 0.8),
    (0.47, 0.235, 0.18, 0, 0, 0.5),
    (0.58, 0.31, 0.21, 0, 1, 0.0),
    (0.70, 0.45, 0.26, 0, 1, 0.0),
    (0.83, 0.56, 0.28, 0, 1, 0.0),
    (0.95, 0.59, 0.24, 0, 1, 0.0),
    (1.07, 0.48, 0.20, 0, 1, 0.0),
    (1.20, 0.20, 0.15, 0, 0, 0.0),
)


@dataclass(frozen=True)
class Lung:
    """One lung in projection.

    Args:
        side: -1 for the patient's right lung, on the left of the image; 1 for his left.
        path: (h, w) cm of lung that the beam crosses; 0 outside.
        lateral: (h, w) 0 at the spine, 1 at the chest wall.
        height: (h, w) 0 at the apex, 1 at the dome.
    """

    side: int
    path: np.ndarray
    lateral: np.ndarray
    height: np.ndarray

    @property
    def index(self) -> int:
        """0 for the right lung, 1 for the left one: its place in a pair."""
        return int(self.side > 0)


@dataclass(frozen=True)
class Thorax:
    """A thorax in projection; paths in cm, (h, w) float32.

    Args:
        chest_wall: (h, 1) x of the chest wall's inside.
        soft_tissue: path through soft tissue, airless.
        air: path through air outside the lungs' tissue.
        heart, mediastinum: path through the heart, and through all that stands between the lungs.
    """

    plane: ImagePlane
    anatomy: Anatomy
    lungs: tuple[Lung, Lung]
    chest_wall: np.ndarray
    soft_tissue: np.ndarray
    air: np.ndarray
    heart: np.ndarray
    mediastinum: np.ndarray

    @cached_property
    def lung_path(self) -> np.ndarray:
        """(h, w) cm of lung that the beam crosses, of both lungs."""
        return self.lungs[0].path + self.lungs[1].path


def project_thorax(anatomy: Anatomy, plane: ImagePlane) -> Thorax:
    """Project the soft thorax of an anatomy onto a plane."""
    wide = np.float32(anatomy.patient.half_width)
    top = np.clip(
        plane.z / np.float32((0.72 + 0.24 * anatomy.patient.child_factor) * anatomy.patient.lung_height), 0, 1
    )
    child, apex = np.float32(anatomy.patient.child_factor), apex_of(anatomy)
    # An adult's cage is a barrel; a small child's widens evenly down to its base, like a bell.
    barrel, bell = np.sqrt(1 - (1 - top) ** 2.4), 1 - (1 - top) ** 1.4
    edge = apex + (wide - apex) * (barrel + 0.4 * child * (bell - barrel))
    heart, mediastinum = _mediastinum(anatomy, plane)
    away = np.abs(plane.x)
    cage = _cage(anatomy, plane, edge, away)
    lungs = tuple(_lung(anatomy, plane, side, cage, edge, away, mediastinum) for side in (-1, 1))
    return Thorax(plane, anatomy, lungs, edge, _body(anatomy, plane), _airways(anatomy, plane), heart, mediastinum)


def apex_of(anatomy: Anatomy) -> np.float32:
    """How far (cm) the top of a lung lies from the middle."""
    return np.float32((0.42 - 0.10 * anatomy.patient.child_factor) * anatomy.patient.half_width)


def _cage(anatomy: Anatomy, plane: ImagePlane, edge: np.ndarray, away: np.ndarray) -> np.ndarray:
    """Front to back inside the rib cage."""
    patient = anatomy.patient
    height = np.float32(patient.lung_height)
    apex = apex_of(anatomy)
    outer = np.clip((away - apex) / np.maximum(edge - apex, 1e-3), 0, 1)
    inner_edge = apex * (1 - np.sqrt(1 - (1 - np.clip(plane.z / (0.17 * height), 0, 1)) ** 2))
    inner = np.clip((apex - away) / np.maximum(apex - inner_edge, 1e-3), 0, 1)
    deep = 2 * np.float32(patient.half_depth) * np.sqrt(1 - (1 - np.clip(plane.z / (0.5 * height), 0, 1)) ** 2)
    return deep * np.sqrt((1 - outer**3) * (1 - np.square(inner) * inner))


def _lung(
    anatomy: Anatomy,
    plane: ImagePlane,
    side: int,
    cage: np.ndarray,
    edge: np.ndarray,
    away: np.ndarray,
    mediastinum: np.ndarray,
) -> Lung:
    wide = np.float32(anatomy.patient.half_width)
    number = int(side > 0)
    middle = np.float32(0.42) * wide
    dome = np.maximum(away - middle, 0) / (wide - middle)
    dome = np.square(dome) + 0.3 * np.square(np.maximum(middle - away, 0) / middle)
    dome = np.float32(anatomy.dome_z[number]) + np.float32(anatomy.dome_drop[number]) * dome
    # The dome is round from front to back as well: behind and before its top, lung reaches deeper.
    below = np.clip((plane.z - dome) / (0.16 * wide), 0, 1)
    share = 1 - np.sqrt(below * (2 - below))
    path = np.maximum(cage * share - mediastinum, 0) * (side * plane.x > 0)
    height = np.clip(plane.z / dome, 0, 1)
    return Lung(side, path, away / edge, height)


def _mediastinum(anatomy: Anatomy, plane: ImagePlane) -> tuple[np.ndarray, np.ndarray]:
    """Paths through the heart, and through all that stands between the lungs: vessels, thymus, heart, spine.

    In each row it is one oval between a right and a left border, drawn through what shapes them from above: the
    neck's vessels, the aortic arch, the pulmonary trunk and the left ventricle; the upper vena cava and right atrium.
    """
    patient, pose = anatomy.patient, anatomy.pose
    wide = np.float32(patient.half_width)
    down = plane.z[:, 0] / (0.5 * sum(anatomy.dome_z))
    levels, left, right, arch, heart, thymus = np.array(OUTLINE).T
    aged = 0.06 * np.clip((patient.age - 25) / 60, -0.4, 1)
    larger = 1 + heart * (anatomy.cardiothoracic_ratio / 0.44 - 1)
    grown = 0.11 * patient.thymus_size * thymus
    # The neck's vessels stand closer in a child, as do the tops of his lungs.
    narrow = 1 - 0.4 * patient.child_factor * np.clip(1 - levels / 0.2, 0, 1)
    left, right = narrow * left, narrow * right
    left = larger * left + aged * arch + grown
    right = larger * right + 0.5 * aged * arch + grown
    left, right = (PchipInterpolator(levels, border)(np.clip(down, 0, 1.2)) for border in (left, right))
    middle = (
        anatomy.mediastinal_shift * (0.5 + 0.5 * down)
        - 0.6 * pose.rotation * np.clip(down, 0, 1)
        + wide * (left - right) / 2
    )
    half = wide * (left + right) / 2
    across = np.square((plane.x - middle[:, np.newaxis].astype(np.float32)) / half[:, np.newaxis].astype(np.float32))
    deep = 2 * np.float32(patient.half_depth)
    all_of_it = deep * np.float32(patient.mediastinal_depth) * half_chord(across)
    heart = all_of_it * smoothstep((down[:, np.newaxis] - 0.5) / 0.1).astype(np.float32)
    behind = np.square((plane.x + np.float32(0.35 * pose.rotation)) / (np.float32(0.17) * wide))
    return heart, np.maximum(all_of_it, deep * half_chord(behind * behind))


def _airways(anatomy: Anatomy, plane: ImagePlane) -> np.ndarray:
    """Path through air: trachea, main bronchi, and the stomach above its fluid level."""
    patient = anatomy.patient
    wide, height = patient.half_width, patient.lung_height
    x = anatomy.mediastinal_shift - 0.2 * anatomy.pose.rotation
    carina = (x + 0.01 * wide, 0.36 * height)
    radius = 0.058 * wide
    air = np.maximum(
        capsule_path(plane, (0.5 * x, -wide), carina, radius),
        capsule_path(plane, carina, (x - 0.17 * wide, 0.46 * height), 0.8 * radius),
    )
    air = np.maximum(air, capsule_path(plane, carina, (x + 0.2 * wide, 0.48 * height), 0.7 * radius))
    if anatomy.gastric_bubble_radius > 0.02 * wide:
        below = anatomy.dome_z[1] + 0.05 * wide + 0.55 * anatomy.gastric_bubble_radius
        bubble = ellipsoid_path(
            plane,
            0.42 * wide,
            below,
            1.35 * anatomy.gastric_bubble_radius,
            0.6 * anatomy.gastric_bubble_radius,
            1.6 * anatomy.gastric_bubble_radius,
            -12,
        )
        if anatomy.pose.view == "PA":  # standing: fluid settles
            bubble = bubble * smoothstep(
                (below + 0.3 * anatomy.gastric_bubble_radius - plane.z) / (2 * plane.pixel_size) + 0.5
            )
        air = np.maximum(air, bubble)
    return air


def _body(anatomy: Anatomy, plane: ImagePlane) -> np.ndarray:
    """Path through the body as if it were solid: neck, shoulders, trunk, arms, breasts, head."""
    patient, pose = anatomy.patient, anatomy.pose
    wide, fat = np.float32(patient.half_width), np.float32(patient.fat_thickness)
    z = plane.z / wide
    shoulder = smoothstep((z + 0.5 + 0.2 * np.float32(pose.arm_elevation)) / 0.62)  # raised arms lift them
    trunk = smoothstep((z - 0.12) / 0.6)
    child = np.float32(patient.child_factor)
    upper = wide * (0.40 + 0.05 * child + (1.05 - 0.43 * child) * shoulder)
    half = upper * (1 - trunk) + ((1.14 - 0.10 * child) * wide + (1.2 - 0.8 * child) * fat) * trunk
    deep = (
        wide * (0.42 - 0.1 * child) * (1 - shoulder)
        + (np.float32(patient.half_depth) + 0.12 * wide + 0.9 * fat) * shoulder
    )
    deep = deep * (1 - (0.2 + 0.05 * child) * (1 - trunk)) * (1 + 0.08 * smoothstep((z - 1.2) / 0.8))
    across = np.square(plane.x / half)
    tissue = 2 * deep * half_chord(across * (0.7 + 0.3 * (across + child * (1 - across))))
    tissue = np.maximum(tissue, _arms(anatomy, plane))
    if patient.breast_radius:
        for side in (-1, 1):
            x, below = side * 0.58 * wide, 1.05 * wide + 0.3 * patient.breast_radius
            squares = ellipse_radius_squared(plane, x, below, patient.breast_radius, patient.breast_radius)
            hanging = smoothstep((plane.z - np.float32(below)) / np.float32(1.6 * patient.breast_radius) + 0.6)
            tissue = tissue + 0.75 * np.float32(patient.breast_radius) * half_chord(squares) * hanging
    if patient.child_factor > 0.4:  # the chin reaches into a small child's field
        tissue = tissue + ellipsoid_path(
            plane, 0.3 * pose.rotation, (0.4 * pose.arm_elevation - 1.1) * wide, 0.66 * wide, 0.42 * wide, 1.3 * wide
        )
    return tissue


def _arms(anatomy: Anatomy, plane: ImagePlane) -> np.ndarray:
    arms = np.zeros(plane.shape, np.float32)
    for side in (-1, 1):
        shoulder, elbow, radius = arm(anatomy, side)
        arms = np.maximum(arms, capsule_path(plane, shoulder, elbow, radius))
    return arms


def arm(anatomy: Anatomy, side: int) -> tuple[tuple[float, float], tuple[float, float], float]:
    """Shoulder, elbow (x, z) and radius of an upper arm, cm."""
    wide, raised = anatomy.patient.half_width, anatomy.pose.arm_elevation
    angle = np.radians(105 - 150 * raised if raised else 76)
    shoulder = (side * (1.22 - 0.15 * anatomy.patient.child_factor) * wide, (0.13 - 0.12 * raised) * wide)
    elbow = (shoulder[0] + side * 1.5 * wide * np.cos(angle), shoulder[1] + 1.5 * wide * np.sin(angle))
    return shoulder, elbow, (0.27 - 0.08 * anatomy.patient.child_factor) * wide + 0.5 * anatomy.patient.fat_thickness
