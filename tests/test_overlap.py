"""The same radiograph in two datasets is found, whatever was done to its file; two patients are never the same."""

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from chest_transfer.data.fingerprints import image_fingerprints, is_among, seen_in_training
from chest_transfer.phantom.patients import Patient, Pose
from chest_transfer.phantom.radiograph import radiograph


def simulate_patients(count: int, start: int = 0, size: int = 96) -> np.ndarray:
    """Return radiographs (count, size, size) uint8 of different patients."""

    def simulate(number: int) -> np.ndarray:
        rng = np.random.default_rng(number)
        return radiograph(Patient.random(rng, (20, 80)), (), rng, (size, size), "nih").pixels

    return np.stack([simulate(start + number) for number in range(count)])


def resized(image: Image.Image) -> Image.Image:
    return image.resize((67, 67), Image.Resampling.BICUBIC).resize((96, 96), Image.Resampling.BILINEAR)


def as_jpeg(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=40)
    return Image.open(buffer)


CHANGES = {
    "unchanged": lambda image: image,
    "resized": resized,
    "encoded as JPEG": as_jpeg,
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "more contrast": lambda image: ImageEnhance.Contrast(image).enhance(1.3),
    "all at once": lambda image: ImageEnhance.Brightness(as_jpeg(resized(image))).enhance(0.85),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_is_found(change):
    own, others = simulate_patients(40), simulate_patients(40, start=1000)
    copies = np.stack([np.asarray(CHANGES[change](Image.fromarray(image))) for image in own[:10]])
    found = is_among(image_fingerprints(own), image_fingerprints(np.concatenate([others, copies])))
    assert found[:10].all()
    assert not found[10:].any()


def test_a_copy_of_another_size_is_found():
    own = simulate_patients(5)
    others = np.stack([np.asarray(Image.fromarray(image).resize((128, 128))) for image in own])
    assert is_among(image_fingerprints(own), image_fingerprints(others)).all()


def test_only_the_training_and_the_validation_split_of_the_other_dataset_count_as_seen():
    own = image_fingerprints(simulate_patients(4))
    others = {"train": own[:1], "val": own[1:2], "test": own[2:3]}
    found = seen_in_training({"train": own[:0], "val": own[3:], "test": own}, others)
    assert {split: seen.tolist() for split, seen in found.items()} == {
        "train": [], "val": [False], "test": [True, True, False, False]
    }  # fmt: skip


def test_two_exposures_of_one_patient_are_two_radiographs():
    rng = np.random.default_rng(5)
    patient = Patient.random(rng, (30, 50))
    first, second = (radiograph(patient, (), rng, (96, 96), "nih", Pose.random(rng, patient)).pixels for _ in "ab")
    assert not is_among(image_fingerprints(first[None]), image_fingerprints(second[None])).any()
