"""Fresh simulated patients to pretrain on: children and adults, every scanner, every finding equally often."""

from functools import partial

import numpy as np
from PIL import Image

from chest_transfer.data.arrays import Arrays
from chest_transfer.data.layouts import FINDINGS
from chest_transfer.phantom.cohorts import FRESH
from chest_transfer.phantom.patients import Patient, Pose
from chest_transfer.phantom.radiograph import radiograph
from chest_transfer.workers import in_order

STREAM = 0x50726574  # keeps these patients apart from those of every simulated dataset


def fresh_patients(patients: int, seed: int, image_size: int, processes: int) -> tuple[Arrays, Arrays]:
    """Simulate one radiograph of each of so many patients, with any of NIH's 14 findings.

    Args:
        patients: how many; every tenth is for validation.
        seed: another one, other patients.
        image_size: pixels a side.
        processes: that draw at the same time; the result does not depend on their number.

    Returns:
        (train, val), in memory; labels (N, 14) uint8 in the order of `FINDINGS`.
    """
    drawn = list(in_order(partial(_one, seed, image_size), range(patients), processes))
    images, labels = (np.stack(column) for column in zip(*drawn, strict=True))
    names = np.array([f"phantom-{number}" for number in range(patients)])
    val = np.arange(patients) % 10 == 9
    classes = np.array(FINDINGS)
    return tuple(Arrays(images[rows], labels[rows], names[rows], names[rows], classes) for rows in (~val, val))


def _one(seed: int, image_size: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, STREAM, number])
    patient = Patient.random(rng, FRESH.ages_of(rng))
    findings = FRESH.findings(rng)
    pose = Pose.random(rng, patient)
    # Drawn larger, shrunk, and squeezed to a square, as most real radiographs are: their edges are then as sharp.
    side, aspect = 1.5 * image_size, pose.aspect**0.5
    shape = (round(side * aspect), round(side / aspect))
    # More severe than those to be judged: subtle ones hardly teach a network that knows nothing yet.
    severity = rng.beta(3, 1)
    pixels = radiograph(patient, findings, rng, shape, FRESH.scanner_of(rng), pose, severity).pixels
    image = Image.fromarray(pixels).resize((image_size, image_size), Image.Resampling.BOX)
    return np.asarray(image), np.array([name in findings for name in FINDINGS], dtype=np.uint8)
