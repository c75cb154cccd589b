"""Splits: no patient and no copy of an image on two sides, whatever the order of the files."""

import numpy as np
import pytest

from chest_transfer.data.splits import rarest_label, split_by_patient
from chest_transfer.errors import ChestTransferError


def cohort(images: int = 600, seed: int = 0, official: bool = False) -> dict:
    random = np.random.default_rng(seed)
    patients = np.array([f"p{n}" for n in random.integers(0, images // 3, images)])
    ill = {patient: int(random.random() < 0.3) for patient in sorted(set(patients))}
    in_test = {patient: random.random() < 0.2 for patient in sorted(set(patients))}
    return {
        "patients": patients,
        "digests": np.array([f"d{n}" for n in range(images)]),
        "strata": np.array([ill[patient] for patient in patients]),
        "official": np.array([("test" if in_test[p] else "train") if official else "" for p in patients]),
    }


def split(cohort: dict, seed: int = 1):
    return split_by_patient(**cohort, test_share=0.2, validation_share=0.15, seed=seed)


@pytest.mark.parametrize("official", [False, True])
def test_no_patient_is_on_two_sides_and_classes_keep_their_share(official):
    images = cohort(official=official)
    made = split(images)
    sides = [set(images["patients"][made.of == name]) for name in ("train", "val", "test")]
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    assert not sides[1] & sides[2]
    assert set(made.of) == {"train", "val", "test"}
    for name in ("train", "val"):
        assert images["strata"][made.of == name].mean() == pytest.approx(images["strata"].mean(), abs=0.08)
    assert np.mean(made.of == "val") == pytest.approx(0.15 * np.mean(made.of != "test"), abs=0.03)


def test_an_official_test_split_is_kept_as_it_is():
    images = cohort(official=True)
    assert ((split(images).of == "test") == (images["official"] == "test")).all()


def test_a_naive_cut_by_image_would_leak():
    # The reason for all this: of the validation images of a cut by image, most have their patient in train.
    images = cohort()
    images["patients"] = np.array([f"alone{n}" for n in range(600)])
    of = split(images).of
    patients = cohort()["patients"]
    assert np.isin(patients[of == "val"], patients[of == "train"]).mean() > 0.4


def test_exact_duplicates_join_their_patients_in_one_group():
    images = cohort()
    a, b = np.flatnonzero(images["patients"] == images["patients"][0])[0], 300
    assert images["patients"][a] != images["patients"][b]
    images["digests"][b] = images["digests"][a]
    made = split(images)
    both = np.isin(images["patients"], images["patients"][[a, b]])
    assert len(set(made.groups[both])) == 1
    assert len(set(made.of[both])) == 1
    assert made.duplicates == 1


def test_a_copy_of_an_official_test_image_is_taken_out_of_training():
    images = cohort(official=True)
    train, test = (np.flatnonzero(images["official"] == name)[0] for name in ("train", "test"))
    images["digests"][train] = images["digests"][test]
    made = split(images)
    leaking = (images["patients"] == images["patients"][train]) & (images["official"] == "train")
    assert set(made.of[leaking]) == {""}
    assert made.leaked == leaking.sum()


def test_the_cut_depends_on_the_seed_alone():
    images = cohort()
    assert (split(images).of == split(images).of).all()
    assert (split(images, seed=2).of != split(images, seed=1).of).any()


def test_too_few_patients_are_refused():
    few = {key: values[:8] for key, values in cohort().items()}
    with pytest.raises(ChestTransferError, match="patient groups are too few to cut 20% for test"):
        split(few)


def test_a_class_rarer_than_the_folds_does_not_stop_the_cut():
    images = cohort()
    images["strata"] = images["strata"].copy()
    images["strata"][0] = 7
    assert set(split(images).of) == {"train", "val", "test"}


def test_the_stratum_of_several_findings_is_the_rarest():
    labels = np.array([[1, 0, 1], [1, 0, 0], [1, 1, 1], [0, 0, 1], [0, 0, 0], [1, 0, 0]])
    assert rarest_label(labels).tolist() == [3, 1, 2, 3, 0, 1]
