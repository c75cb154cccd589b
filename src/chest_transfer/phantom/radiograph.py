"""One simulated radiograph: a patient in a pose, with findings, seen by a scanner."""

from dataclasses import dataclass

import numpy as np

from chest_transfer.phantom.anatomy import Anatomy
from chest_transfer.phantom.clutter import burn_in_markings, project_devices
from chest_transfer.phantom.detector import SCANNERS, attenuation, develop, expose
from chest_transfer.phantom.findings import FINDINGS
from chest_transfer.phantom.pathology import Pathology
from chest_transfer.phantom.patients import Patient, Pose
from chest_transfer.phantom.raster import smooth_noise
from chest_transfer.phantom.shapes import ImagePlane
from chest_transfer.phantom.skeleton import project_skeleton
from chest_transfer.phantom.thorax import Thorax, project_thorax
from chest_transfer.phantom.vessels import blood_path, grow_vessels


@dataclass(frozen=True)
class SimulatedRadiograph:
    """A simulated radiograph and what is known of it.

    Args:
        pixels: (h, w) uint8, bright where little gets through.
        boxes: finding -> (x, y, width, height) in pixels, of those that show at one place.
        lungs: (h, w) bool.
    """

    pixels: np.ndarray
    boxes: dict[str, tuple[int, int, int, int]]
    lungs: np.ndarray


def radiograph(
    patient: Patient,
    findings: tuple[str, ...],
    rng: np.random.Generator,
    shape: tuple[int, int],
    scanner: str = "nih",
    pose: Pose | None = None,
    severity: float | None = None,
) -> SimulatedRadiograph:
    """One frontal radiograph.

    Args:
        patient: whose thorax.
        findings: keys of `FINDINGS`.
        rng: decides pose, severity, place and noise.
        shape: rows and columns.
        scanner: a key of `SCANNERS`.
        pose: None draws one.
        severity: of each finding, 0 (hardly seen) to 1; None draws one for each.
    """
    # Streams of their own: the same seed gives the same exposure whatever the findings.
    standing, disease, clutter, exposure = rng.spawn(4)
    pose = pose or Pose.random(standing, patient)
    anatomy = Anatomy.random(standing, patient, pose)
    severities = {name: disease.beta(1.7, 1.3) if severity is None else severity for name in findings}
    for name in findings:
        if FINDINGS[name].change:
            anatomy = FINDINGS[name].change(anatomy, severities[name], disease)
    plane = image_plane(anatomy, shape)
    thorax = project_thorax(anatomy, plane)
    vessels = grow_vessels(thorax)
    drawn = Pathology(thorax, vessels, disease)
    boxes = {}
    for name in findings:
        before = drawn.airless_fraction + 0.2 * drawn.added_tissue
        if FINDINGS[name].draw:
            FINDINGS[name].draw(drawn, severities[name])
        if box := _bounding_box(
            np.abs(drawn.airless_fraction + 0.2 * drawn.added_tissue - before), thorax, FINDINGS[name].draw is None
        ):
            boxes[name] = box
    tissue, bone = _beam_paths(thorax, blood_path(thorax, vessels), drawn, standing)
    weakening = attenuation(tissue, bone) + project_devices(thorax, clutter)
    density = expose(weakening, plane, exposure, SCANNERS[scanner])
    grey = burn_in_markings(develop(density, plane, exposure, SCANNERS[scanner]), clutter)
    lungs = (thorax.lung_path > 0.1 * patient.half_width) & (thorax.mediastinum == 0)
    return SimulatedRadiograph(np.clip(np.rint(grey), 0, 255).astype(np.uint8), boxes, lungs)


def image_plane(anatomy: Anatomy, shape: tuple[int, int]) -> ImagePlane:
    """The plane of pixels that a pose shows of a patient: the field follows the lungs, however long they are."""
    height, width = shape
    patient, pose, wide = anatomy.patient, anatomy.pose, anatomy.patient.half_width
    deep = sum(anatomy.dome_z) / 2
    pitch = pose.width * wide / width * (deep / (patient.lung_height * pose.inspiration)) ** 0.5
    z = (np.arange(height, dtype=np.float32)[:, np.newaxis] - (height - 1) / 2) * pitch
    z = z + 0.5 * deep + pose.shift[1] * wide
    x = (np.arange(width, dtype=np.float32)[np.newaxis] - (width - 1) / 2) * pitch + pose.shift[0] * wide
    return ImagePlane((x + pose.lean * z).astype(np.float32), z.astype(np.float32), float(pitch))


def _beam_paths(
    thorax: Thorax, blood: np.ndarray, drawn: Pathology, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """cm of soft tissue and of bone along the beam."""
    anatomy, plane = thorax.anatomy, thorax.plane
    wide = anatomy.patient.half_width
    filled = np.clip(drawn.airless_fraction, -1, 0.97)
    tissue = thorax.soft_tissue - thorax.air + drawn.added_tissue
    for lung in thorax.lungs:
        density = np.float32(anatomy.lung_density[lung.index])
        full = np.where(filled > 0, density + (1 - density) * filled, density * (1 + filled))
        tissue -= (1 - full) * lung.path
    tissue += 2.4 * blood * (1 - drawn.vessel_loss) * (1 + drawn.vessel_gain) * (1 - np.clip(filled, 0, 1))
    texture = smooth_noise(rng, plane, 0.08 * wide) + smooth_noise(rng, plane, 0.2 * wide)
    tissue += np.float32(rng.uniform(0.001, 0.012)) * texture * thorax.lung_path * (1 - drawn.vessel_loss)
    return np.maximum(tissue, 0), project_skeleton(thorax) + drawn.added_bone


def _bounding_box(added: np.ndarray, thorax: Thorax, heart: bool) -> tuple[int, int, int, int] | None:
    """Where a finding shows: around the strongest quarter of what it adds, or around the heart."""
    strength = thorax.heart if heart else added
    shown = strength > 0.25 * strength.max() if strength.max() > 0 else np.zeros_like(strength, bool)
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    if not rows.size:
        return None
    return int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1
