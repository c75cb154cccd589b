"""The same radiograph in two datasets is found, whatever was done to its file; two people are never one."""

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from chest_transfer.data.overlap import seen_in
from chest_transfer.phantom.patients import Patient, Pose
from chest_transfer.phantom.radiograph import radiograph


def people(count: int, start: int = 0, size: int = 96) -> np.ndarray:
    def one(number: int) -> np.ndarray:
        random = np.random.default_rng(number)
        return radiograph(Patient.random(random, (20, 80)), (), random, (size, size), "nih").pixels

    return np.stack([one(start + number) for number in range(count)])


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
    "lighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "harder": lambda image: ImageEnhance.Contrast(image).enhance(1.3),
    "all at once": lambda image: ImageEnhance.Brightness(as_jpeg(resized(image))).enhance(0.85),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_is_found(change):
    ours, theirs = people(40), people(40, start=1000)
    copies = np.stack([np.asarray(CHANGES[change](Image.fromarray(image))) for image in ours[:10]])
    seen = seen_in(ours, [theirs, copies])
    assert seen[:10].all()
    assert not seen[10:].any()


def test_a_copy_of_another_size_is_found():
    ours = people(5)
    theirs = np.stack([np.asarray(Image.fromarray(image).resize((128, 128))) for image in ours])
    assert seen_in(ours, [theirs]).all()


def test_two_exposures_of_one_patient_are_two_radiographs():
    random = np.random.default_rng(5)
    patient = Patient.random(random, (30, 50))
    first, second = (
        radiograph(patient, (), random, (96, 96), "nih", Pose.random(random, patient)).pixels for _ in "ab"
    )
    assert not seen_in(first[None], [second[None]]).any()
