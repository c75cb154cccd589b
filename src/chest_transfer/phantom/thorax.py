"""The thorax in projection: the rib cage, the lungs within it, and what the beam crosses of everything but bone."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from chest_transfer.phantom.anatomy import Anatomy
from chest_transfer.phantom.body import project_air, project_body
from chest_transfer.phantom.curves import Linear
from chest_transfer.phantom.mediastinum import project_mediastinum
from chest_transfer.phantom.shapes import ImagePlane

# Shape of the rib cage and the diaphragm, chosen for appearance. `Linear` values depend on the child factor.
APEX_OFFSET = Linear(0.42, -0.10)  # half widths from the midline to the highest point of a lung
WIDEST_LEVEL = Linear(0.72, 0.24)  # lung heights below the apices at which the cage is widest
# An adult's cage is a barrel; a small child's widens evenly down to its base, like a bell.
BARREL_EXPONENT, BELL_EXPONENT = 2.4, 1.4
BELL_SHARE_OF_CHILD = 0.4
FULL_DEPTH_LEVEL = 0.5  # lung heights below the apices from which the cage has its full depth
CUPOLA_HEIGHT = 0.17  # lung heights over which the lungs' upper borders curve in to the midline
MIN_WIDTH = 1e-3  # cm, keeps a division finite where the cage has no width
DOME_OFFSET = 0.42  # half widths from the midline to the top of a dome
MEDIAL_DOME_DROP = 0.3  # fall of a dome toward the midline, over its fall toward the chest wall
DOME_ROUNDNESS = 0.16  # half widths below a dome's top down to which lung is crossed in front of it and behind it


@dataclass(frozen=True)
class Lung:
    """One lung in projection, with coordinates of its own.

    Args:
        side: int, -1 for the patient's right lung, which is on the left of the image; 1 for the left lung.
        path: (H, W) float32, cm of lung along the beam; 0 outside of the lung.
        lateral: (H, W) float32, 0 at the midline, 1 at the chest wall.
        height: (H, W) float32, 0 at the apex, 1 at the diaphragm.
    """

    side: int
    path: np.ndarray
    lateral: np.ndarray
    height: np.ndarray

    @property
    def index(self) -> int:
        """The lung's place in a pair: 0 for the right lung, 1 for the left lung."""
        return int(self.side > 0)


@dataclass(frozen=True)
class Thorax:
    """A thorax in projection; paths are (H, W) float32 arrays in cm.

    Args:
        plane: ImagePlane that it is projected onto.
        anatomy: Anatomy that is projected.
        lungs: the right and the left Lung.
        chest_wall: (H, 1) float32, cm from the midline to the inside of the rib cage.
        soft_tissue: path through the body as if all of it were soft tissue.
        air: path through the air of trachea, bronchi and stomach.
        heart: path through the heart.
        mediastinum: path through all that lies between the lungs, the heart included.
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
        """(H, W) float32, cm of lung along the beam, both lungs together."""
        return self.lungs[0].path + self.lungs[1].path


def project_thorax(anatomy: Anatomy, plane: ImagePlane) -> Thorax:
    """Project an anatomy's soft tissue and air onto an image plane; the bones follow in `skeleton`."""
    chest_wall = _chest_wall(anatomy, plane)
    heart, mediastinum = project_mediastinum(anatomy, plane)
    cage_path = _rib_cage_path(anatomy, plane, chest_wall)
    lungs = tuple(_project_lung(anatomy, plane, side, cage_path, chest_wall, mediastinum) for side in (-1, 1))
    return Thorax(
        plane=plane,
        anatomy=anatomy,
        lungs=lungs,
        chest_wall=chest_wall,
        soft_tissue=project_body(anatomy, plane),
        air=project_air(anatomy, plane),
        heart=heart,
        mediastinum=mediastinum,
    )


def _apex_offset(anatomy: Anatomy) -> np.float32:
    """Distance (cm) of the highest point of a lung from the midline."""
    return np.float32(APEX_OFFSET(anatomy.patient.child_factor) * anatomy.patient.half_width)


def _chest_wall(anatomy: Anatomy, plane: ImagePlane) -> np.ndarray:
    """(H, 1) float32: cm from the midline to the inside of the rib cage, which widens from the apices downward."""
    patient = anatomy.patient
    half_width, child, apex = np.float32(patient.half_width), np.float32(patient.child_factor), _apex_offset(anatomy)
    level = np.clip(plane.z / np.float32(WIDEST_LEVEL(patient.child_factor) * patient.lung_height), 0, 1)
    barrel, bell = np.sqrt(1 - (1 - level) ** BARREL_EXPONENT), 1 - (1 - level) ** BELL_EXPONENT
    return apex + (half_width - apex) * (barrel + BELL_SHARE_OF_CHILD * child * (bell - barrel))


def _rib_cage_path(anatomy: Anatomy, plane: ImagePlane, chest_wall: np.ndarray) -> np.ndarray:
    """(H, W) float32: cm along the beam inside the rib cage, which is rounded toward its sides and its top."""
    height, apex = np.float32(anatomy.patient.lung_height), _apex_offset(anatomy)
    from_midline = np.abs(plane.x)
    outer = np.clip((from_midline - apex) / np.maximum(chest_wall - apex, MIN_WIDTH), 0, 1)
    cupola_level = np.clip(plane.z / (CUPOLA_HEIGHT * height), 0, 1)
    inner_border = apex * (1 - np.sqrt(1 - (1 - cupola_level) ** 2))
    inner = np.clip((apex - from_midline) / np.maximum(apex - inner_border, MIN_WIDTH), 0, 1)
    depth_level = np.clip(plane.z / (FULL_DEPTH_LEVEL * height), 0, 1)
    depth = 2 * np.float32(anatomy.patient.half_depth) * np.sqrt(1 - (1 - depth_level) ** 2)
    return depth * np.sqrt((1 - outer**3) * (1 - np.square(inner) * inner))


def _project_lung(
    anatomy: Anatomy,
    plane: ImagePlane,
    side: int,
    cage_path: np.ndarray,
    chest_wall: np.ndarray,
    mediastinum: np.ndarray,
) -> Lung:
    """Project one lung: what the rib cage leaves of it beside the mediastinum and above the diaphragm.

    Args:
        anatomy: Anatomy to project.
        plane: ImagePlane to project onto.
        side: int, -1 for the patient's right lung, 1 for the left lung.
        cage_path: (H, W) float32, cm along the beam inside the rib cage.
        chest_wall: (H, 1) float32, cm from the midline to the inside of the rib cage.
        mediastinum: (H, W) float32, cm along the beam between the lungs.
    """
    half_width, index = np.float32(anatomy.patient.half_width), int(side > 0)
    from_midline = np.abs(plane.x)
    dome_x = np.float32(DOME_OFFSET) * half_width
    lateral_fall = np.maximum(from_midline - dome_x, 0) / (half_width - dome_x)
    medial_fall = np.maximum(dome_x - from_midline, 0) / dome_x
    fall = np.square(lateral_fall) + MEDIAL_DOME_DROP * np.square(medial_fall)
    dome = np.float32(anatomy.dome_z[index]) + np.float32(anatomy.dome_drop[index]) * fall
    # The dome is round from front to back as well: in front of its top and behind it, lung reaches deeper.
    below = np.clip((plane.z - dome) / (DOME_ROUNDNESS * half_width), 0, 1)
    lung_share = 1 - np.sqrt(below * (2 - below))
    path = np.maximum(cage_path * lung_share - mediastinum, 0) * (side * plane.x > 0)
    return Lung(side, path, from_midline / chest_wall, np.clip(plane.z / dome, 0, 1))
