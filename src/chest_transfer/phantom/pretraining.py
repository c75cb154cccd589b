"""Simulated patients for pretraining: children and adults, every scanner, every finding equally often."""

from functools import partial

import numpy as np
from PIL import Image

from chest_transfer.data.arrays import Arrays
from chest_transfer.data.findings import NIH_FINDINGS
from chest_transfer.data.regions import MASK_SIDE, WHOLE, lung_window
from chest_transfer.phantom.cohorts import FRESH
from chest_transfer.phantom.patients import Patient, Pose
from chest_transfer.phantom.radiograph import radiograph
from chest_transfer.workers import parallel_map_with_progress

SEED_STREAM = 0x50726574  # keeps these patients apart from those of every simulated dataset
VALIDATION_EVERY = 10  # every tenth patient is for validation
# Radiographs are simulated larger, reduced and squeezed to a square, as most real ones are: edges are then as sharp.
SUPERSAMPLING = 1.5
# Findings are more severe than in the simulated datasets: subtle ones hardly teach an untrained network.
SEVERITY_BETA = (3, 1)  # parameters of a beta distribution; mean 0.75


def fresh_patients(
    patients: int, seed: int, image_size: int, processes: int, region: str, outside: str
) -> tuple[Arrays, Arrays]:
    """Simulate one radiograph of each of a number of patients, with any of NIH's 14 findings.

    Args:
        patients: int, number of patients; every tenth is for validation.
        seed: int; other seeds give other patients.
        image_size: int, rows and columns of the images.
        processes: int, number of processes; the result does not depend on it.
        region: str, one of `regions.REGIONS`; lungs are where they truly are, not where a network finds them.
        outside: str, one of `regions.OUTSIDE_LUNGS`.

    Returns:
        (train, validation) `Arrays`; images (N, image_size, image_size) uint8, labels (N, 14) uint8 in the order of
        `data.findings.NIH_FINDINGS`.
    """
    draw = partial(_image_and_labels, seed, image_size, region, outside)
    pairs = list(parallel_map_with_progress(draw, range(patients), processes, "draw", "patients"))
    images, labels = (np.stack(column) for column in zip(*pairs, strict=True))
    names = np.array([f"phantom-{number}" for number in range(patients)])
    validation = np.arange(patients) % VALIDATION_EVERY == VALIDATION_EVERY - 1
    classes = np.array(NIH_FINDINGS)
    return tuple(
        Arrays(images[rows], labels[rows], names[rows], names[rows], classes) for rows in (~validation, validation)
    )


def _image_and_labels(
    seed: int, image_size: int, region: str, outside: str, number: int
) -> tuple[np.ndarray, np.ndarray]:
    """Simulate the radiograph of one patient.

    Returns:
        The image, (image_size, image_size) uint8, and its labels, (14,) uint8.
    """
    rng = np.random.default_rng([seed, SEED_STREAM, number])
    patient = Patient.random(rng, FRESH.sample_age_range(rng))
    findings = FRESH.findings(rng)
    pose = Pose.random(rng, patient)
    side, root_aspect = SUPERSAMPLING * image_size, pose.aspect**0.5
    shape = round(side * root_aspect), round(side / root_aspect)
    severity = rng.beta(*SEVERITY_BETA)
    simulated = radiograph(patient, findings, rng, shape, FRESH.sample_scanner(rng), pose, severity)
    lungs = Image.fromarray(simulated.lung_mask).resize((MASK_SIDE, MASK_SIDE))
    window = (lung_window(np.asarray(lungs), outside) if region == "lungs" else None) or WHOLE
    image = Image.fromarray(simulated.pixels)
    if window.mask is not None:
        shown = Image.fromarray(window.mask).resize(image.size, Image.Resampling.BILINEAR)
        image = Image.fromarray(np.where(np.asarray(shown) > 127, simulated.pixels, np.uint8(0)))
    image = image.resize((image_size, image_size), Image.Resampling.BOX, window.pixels(*image.size))
    return np.asarray(image), np.array([name in findings for name in NIH_FINDINGS], dtype=np.uint8)
