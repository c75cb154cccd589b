"""Subsets of the training patients: each is inside the next larger one, and classes keep their shares."""

import numpy as np
import pytest

from chest_transfer.data.arrays import Arrays, open_arrays, write_arrays
from chest_transfer.data.training_subsets import of_training_patients
from chest_transfer.errors import ChestTransferError
from chest_transfer.training.batches import Batches

PATIENTS, IMAGES_OF_EACH = 300, 2


def training_split(classes: int = 2, multi_label: bool = False, sources: bool = False) -> Arrays:
    """A fifth of 300 patients with two radiographs each are ill; the gray level of a radiograph is its number."""
    rng = np.random.default_rng(0)
    ill = np.repeat(rng.permutation(np.arange(PATIENTS) < PATIENTS // 5), IMAGES_OF_EACH)
    labels = ill * rng.integers(1, classes, len(ill))
    if multi_label:
        labels = np.stack([ill, rng.random(len(ill)) < 0.3], axis=1).astype(np.int8)
    count = len(ill)
    return Arrays(
        images=(np.arange(count) % 256).astype(np.uint8)[:, None, None].repeat(4, 1).repeat(4, 2),
        labels=labels, patients=np.repeat([f"p{n}" for n in range(PATIENTS)], IMAGES_OF_EACH),
        names=np.arange(count).astype(str),
        classes=np.array([f"class {k}" for k in range(2 if multi_label else classes)]),
        sources=np.repeat(np.where(np.arange(PATIENTS) < 100, "a", "b"), IMAGES_OF_EACH) if sources else None,
    )  # fmt: skip


@pytest.mark.parametrize("kind", [{}, {"classes": 3}, {"multi_label": True}, {"sources": True}])
@pytest.mark.parametrize("seed", [1, 2])
def test_fewer_patients_are_among_more_and_have_the_same_shares_of_classes(kind, seed):
    train = training_split(**kind)
    smaller: set[str] = set()
    for patients in (20, 50, 200, PATIENTS - 1):
        subset = of_training_patients(train, patients, seed)
        assert smaller <= set(subset.patients)
        smaller = set(subset.patients)
        assert len(smaller) == patients
        assert len(subset.labels) == patients * IMAGES_OF_EACH  # all radiographs of a patient
        assert subset.targets[:, 1].mean() == pytest.approx(train.targets[:, 1].mean(), abs=2.5 / patients)
        if train.sources is not None:
            assert (subset.sources == "a").mean() == pytest.approx(1 / 3, abs=2.5 / patients)


def test_another_seed_draws_other_patients_and_all_patients_are_the_split_itself():
    train = training_split()
    drawn = [set(of_training_patients(train, 50, seed).patients) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert of_training_patients(train, None, 1) is train


def test_what_is_read_are_the_radiographs_of_these_patients_out_of_the_memory_map(tmp_path):
    train = training_split()
    write_arrays(tmp_path / "a.npz", "images", "uint8", train.images.shape, [train.images], **train.columns)
    subset = of_training_patients(open_arrays(tmp_path / "a.npz"), 20, 1)
    assert isinstance(subset.images, np.memmap)
    images = np.concatenate([Batches(subset, 7)[index][0] for index in range(6)])
    assert images[:, 0, 0, 0].tolist() == [int(name) % 256 for name in subset.names]
    half = subset.of_rows(np.arange(0, 40, 2))
    assert half.inputs(np.array([3]))[0, 0, 0, 0] == int(subset.names[6]) % 256


@pytest.mark.parametrize(
    ("patients", "message"),
    [
        (300, "`patients` names 300, and there are 300 training patients in all; name fewer, or all: dvc exp run -S"),
        (2, "2 training patients are too few: of those that seed 1 draws, none has class 2; name more in `patients`"),
    ],
)
def test_too_many_and_too_few_patients_are_refused(patients, message):
    with pytest.raises(ChestTransferError) as error:
        of_training_patients(training_split(classes=3), patients, 1)
    assert str(error.value).startswith(message)


def test_few_patients_have_a_rare_class_too():
    train = training_split(classes=3)
    for seed in range(20):
        assert (of_training_patients(train, 3, seed).targets == 1).any(axis=0).all()
