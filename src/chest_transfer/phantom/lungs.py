"""Simulated radiographs with their lungs, for the network that finds lungs: any patient, any field, any finding."""

from dataclasses import replace
from functools import partial

import numpy as np
from PIL import Image

from chest_transfer.phantom.cohorts import FRESH
from chest_transfer.phantom.patients import Patient, Pose
from chest_transfer.phantom.radiograph import radiograph
from chest_transfer.workers import parallel_map_with_progress

SEED_STREAM = 0x4C756E67  # keeps these patients apart from those of every simulated dataset
SUPERSAMPLING = 1.5  # as in pretraining
NORMAL_SHARE = 0.4  # in opaque lungs the network can only guess, and must also learn where it need not
# The field, beyond what a pose samples: real ones are collimated less well, and show arms, neck and abdomen.
FIELD_FACTOR = (0.85, 1.5)
SHIFT = 0.1  # half widths of the rib cage, either way
SHIFT_OF_WIDER = (-1.2, 0.8)  # half widths up and down, of a field twice as wide


def lungs_of_fresh_patients(
    patients: int, seed: int, image_side: int, mask_side: int, processes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Simulate one radiograph of each of a number of patients.

    Args:
        patients: int.
        seed: int; other seeds give other patients.
        image_side: int, pixels a side.
        mask_side: int, pixels a side.
        processes: int; the result does not depend on it.

    Returns:
        Radiographs (N, image_side, image_side) and lung masks (N, mask_side, mask_side), uint8, masks 255 on lung.
    """
    work = partial(_image_and_mask, seed, image_side, mask_side)
    images, masks = zip(*parallel_map_with_progress(work, range(patients), processes, "draw", "patients"), strict=True)
    return np.stack(images), np.stack(masks)


def _image_and_mask(seed: int, image_side: int, mask_side: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, SEED_STREAM, number])
    patient = Patient.random(rng, FRESH.sample_age_range(rng))
    findings = FRESH.findings(rng) if rng.random() >= NORMAL_SHARE else ()
    pose = Pose.random(rng, patient)
    factor = rng.uniform(*FIELD_FACTOR)
    across, down = rng.uniform(-SHIFT, SHIFT), (factor - 1) * rng.uniform(*SHIFT_OF_WIDER)
    pose = replace(pose, width=pose.width * factor, shift=(pose.shift[0] * factor + across, pose.shift[1] + down))
    side, root_aspect = SUPERSAMPLING * image_side, pose.aspect**0.5
    shape = round(side * root_aspect), round(side / root_aspect)
    simulated = radiograph(patient, findings, rng, shape, FRESH.sample_scanner(rng), pose)
    mask = np.uint8(255) * simulated.lung_mask
    return tuple(
        np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BOX))
        for pixels, side in ((simulated.pixels, image_side), (mask, mask_side))
    )
