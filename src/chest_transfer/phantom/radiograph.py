"""One simulated radiograph: a patient in a pose, with findings, imaged by a scanner."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from chest_transfer.phantom.anatomy import Anatomy
from chest_transfer.phantom.detector import SCANNERS, attenuation, develop, expose
from chest_transfer.phantom.devices import project_devices
from chest_transfer.phantom.findings import FINDINGS
from chest_transfer.phantom.markings import burn_in_markings
from chest_transfer.phantom.pathology import Pathology
from chest_transfer.phantom.patients import Patient, Pose
from chest_transfer.phantom.raster import smooth_noise
from chest_transfer.phantom.shapes import ImagePlane
from chest_transfer.phantom.skeleton import project_skeleton
from chest_transfer.phantom.thorax import Thorax, project_thorax
from chest_transfer.phantom.vessels import blood_path, grow_vessels

# All numbers were chosen for appearance.
SEVERITY_BETA = (1.7, 1.3)  # parameters of a beta distribution: mostly moderate, sometimes hardly visible or extreme
MAX_AIRLESS_FRACTION = 0.97
# Vessels are drawn by their width alone; this adds the depth of what runs with them: bronchi, walls, smaller branches.
TISSUE_PER_VESSEL_WIDTH = 2.4
# Fine texture of normal lung.
TEXTURE_WAVELENGTHS = (0.08, 0.2)  # half widths of the rib cage
TEXTURE_AMPLITUDE = (0.001, 0.012)  # (lowest, highest), cm of tissue per cm of lung
MIN_LUNG_MASK_PATH = 0.1  # half widths of lung along the beam, from which a pixel belongs to the lung mask
# As readers do, a finding's boxes enclose each of its opacities: where it is at least a third as dense as in its
# densest place or, if that is calcium or much fluid, as an opacity that is clearly visible. A blur joins what lies
# close together. Small spots beside large ones get no box.
BOX_THRESHOLD = 1 / 3
CLEARLY_VISIBLE = 4  # cm of tissue or fluid in place of air
BOX_BLUR = 0.015  # standard deviation, fraction of the image's width
SMALLEST_BOXED = 0.1  # fraction of the area of the finding's largest opacity

Box = tuple[int, int, int, int]  # x, y, width, height in pixels


@dataclass(frozen=True)
class SimulatedRadiograph:
    """A simulated radiograph and its ground truth.

    Args:
        pixels: (H, W) uint8, bright where little of the beam gets through.
        strengths: dict from finding to (H, W) float array, cm of tissue or fluid along the beam that it adds and that
            is seen; the heart's path for one that only changes the anatomy.
        lung_mask: (H, W) bool, True on lung that neither the heart nor the spine covers.
    """

    pixels: np.ndarray
    strengths: dict[str, np.ndarray]
    lung_mask: np.ndarray

    @cached_property
    def boxes(self) -> dict[str, list[Box]]:
        """Of each finding that has a place, a list of Box, one for each opacity.

        Computed on first use, because most radiographs are drawn for pretraining, which needs no boxes.
        """
        boxes = {name: _boxes_around(strength) for name, strength in self.strengths.items()}
        return {name: places for name, places in boxes.items() if places}


def radiograph(
    patient: Patient,
    findings: tuple[str, ...],
    rng: np.random.Generator,
    shape: tuple[int, int],
    scanner: str = "nih",
    pose: Pose | None = None,
    severity: float | None = None,
) -> SimulatedRadiograph:
    """Simulate one frontal radiograph.

    The same `rng` state gives the same exposure, devices and markings whatever the findings.

    Args:
        patient: Patient to image.
        findings: tuple of str, keys of `FINDINGS`; empty for a normal radiograph.
        rng: numpy Generator; three of its child streams are independent of the findings.
        shape: tuple of two ints, rows and columns.
        scanner: str, key of `SCANNERS`.
        pose: Pose of the patient; None samples one.
        severity: float, 0 (hardly visible) to 1, of every finding; None samples one for each.
    """
    pose_rng, finding_rng, clutter_rng, exposure_rng = rng.spawn(4)
    pose = pose or Pose.random(pose_rng, patient)
    anatomy = Anatomy.random(pose_rng, patient, pose)
    severities = {name: finding_rng.beta(*SEVERITY_BETA) if severity is None else severity for name in findings}
    for name in findings:
        if FINDINGS[name].change_anatomy:
            anatomy = FINDINGS[name].change_anatomy(anatomy, severities[name], finding_rng)
    plane = image_plane(anatomy, shape)
    thorax = project_thorax(anatomy, plane)
    vessels = grow_vessels(thorax)
    pathology = Pathology(thorax, vessels, finding_rng)
    strengths = {name: _add_finding(pathology, name, severities[name]) for name in findings}
    tissue, bone = _beam_paths(thorax, blood_path(thorax, vessels), pathology, pose_rng)
    total_attenuation = attenuation(tissue, bone) + project_devices(thorax, clutter_rng)
    log_exposure = expose(total_attenuation, plane, exposure_rng, SCANNERS[scanner])
    gray_levels = develop(log_exposure, plane, exposure_rng, SCANNERS[scanner])
    pixels = np.clip(np.rint(burn_in_markings(gray_levels, clutter_rng)), 0, 255).astype(np.uint8)
    lung_mask = (thorax.lung_path > MIN_LUNG_MASK_PATH * patient.half_width) & (thorax.mediastinum == 0)
    return SimulatedRadiograph(pixels, strengths, lung_mask)


def image_plane(anatomy: Anatomy, shape: tuple[int, int]) -> ImagePlane:
    """Place the detector's pixels, (rows, columns), in the frontal plane of a patient in a pose.

    The field is centered on the middle of the lungs, and grows with their height.
    """
    height, width = shape
    patient, pose, half_width = anatomy.patient, anatomy.pose, anatomy.patient.half_width
    mean_dome_z = sum(anatomy.dome_z) / 2
    field_gain = (mean_dome_z / (patient.lung_height * pose.inspiration)) ** 0.5
    pixel_size = pose.width * half_width / width * field_gain
    z = (np.arange(height, dtype=np.float32)[:, np.newaxis] - (height - 1) / 2) * pixel_size
    z = z + 0.5 * mean_dome_z + pose.shift[1] * half_width
    x = (np.arange(width, dtype=np.float32)[np.newaxis] - (width - 1) / 2) * pixel_size + pose.shift[0] * half_width
    return ImagePlane((x + pose.lean * z).astype(np.float32), z.astype(np.float32), float(pixel_size))


def _add_finding(pathology: Pathology, name: str, severity: float) -> np.ndarray:
    """Add the signs of a finding.

    Args:
        pathology: Pathology to add to.
        name: str, key of `FINDINGS`.
        severity: float, 0-1.

    Returns:
        (H, W) float array, what it adds, as in `SimulatedRadiograph.strengths`.
    """

    thorax = pathology.thorax

    def added() -> np.ndarray:
        """(H, W) float array, cm of tissue or fluid along the beam, a haze over both lungs left out."""
        return (pathology.airless_fraction - pathology.haze) * thorax.lung_path + pathology.added_tissue

    before = added()
    add_signs = FINDINGS[name].add_signs
    if add_signs is None:
        return thorax.heart
    add_signs(pathology, severity)
    is_chest = thorax.lung_path + thorax.mediastinum > 0  # fluid behind the diaphragm is not seen
    return np.abs(added() - before) * is_chest


def _boxes_around(strength: np.ndarray) -> list[Box]:
    """Boxes around each of the strongest places of an (H, W) float array; none if it is 0."""
    blurred = ndimage.gaussian_filter(strength, BOX_BLUR * strength.shape[1])
    places, _ = ndimage.label(blurred > BOX_THRESHOLD * min(blurred.max(), CLEARLY_VISIBLE))
    areas = np.bincount(places.ravel())[1:]
    return [
        (columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
        for (rows, columns), area in zip(ndimage.find_objects(places), areas, strict=True)
        if area >= SMALLEST_BOXED * areas.max()
    ]


def _beam_paths(
    thorax: Thorax, blood: np.ndarray, pathology: Pathology, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Sum up what the beam crosses.

    Args:
        thorax: Thorax without findings.
        blood: (H, W) float32, cm of blood in the vessels of the lungs.
        pathology: Pathology, what the findings add.
        rng: numpy Generator of the lung's texture.

    Returns:
        (soft tissue, bone), each (H, W) float32, cm along the beam.
    """
    anatomy, plane = thorax.anatomy, thorax.plane
    half_width = anatomy.patient.half_width
    airless = np.clip(pathology.airless_fraction, -1, MAX_AIRLESS_FRACTION)
    vessels_left = 1 - pathology.vessel_loss
    tissue = thorax.soft_tissue - thorax.air + pathology.added_tissue
    for lung in thorax.lungs:
        normal = np.float32(anatomy.lung_density[lung.index])
        density = np.where(airless > 0, normal + (1 - normal) * airless, normal * (1 + airless))
        tissue -= (1 - density) * lung.path
    # Vessels disappear in airless lung, which is as dense as they are.
    vessel_tissue = TISSUE_PER_VESSEL_WIDTH * blood * vessels_left * (1 + pathology.vessel_gain)
    tissue += vessel_tissue * (1 - np.clip(airless, 0, 1))
    finer, coarser = (smooth_noise(rng, plane, wavelength * half_width) for wavelength in TEXTURE_WAVELENGTHS)
    texture = finer + coarser
    tissue += np.float32(rng.uniform(*TEXTURE_AMPLITUDE)) * texture * thorax.lung_path * vessels_left
    return np.maximum(tissue, 0), project_skeleton(thorax) + pathology.added_bone
