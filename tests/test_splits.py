"""Splits: no patient and no copy of an image in two splits, whatever the order of the files."""

import numpy as np
import pytest

from chest_transfer.data.splits import rarest_label, split_by_patient
from chest_transfer.errors import ChestTransferError

SHARES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.33, 0.4, 0.45, 0.5)
DISEASED_SHARE = 0.3  # of the patients
MOST_OF_A_PATIENT = 10  # images
MANY_OF_A_PATIENT = 8  # images and more


def cohort(images: int = 600, seed: int = 0, official: bool = False) -> dict:
    """Patients with one to about nine images each, diseased or not; the keyword arguments of `split_by_patient`."""
    rng = np.random.default_rng(seed)
    patients = np.array([f"p{n}" for n in rng.integers(0, images // 3, images)])
    diseased = {patient: int(rng.random() < DISEASED_SHARE) for patient in sorted(set(patients))}
    in_test = {patient: rng.random() < 0.2 for patient in sorted(set(patients))}
    return {
        "patients": patients,
        "digests": np.array([f"d{n}" for n in range(images)]),
        "strata": np.array([diseased[patient] for patient in patients]),
        "official": np.array([("test" if in_test[p] else "train") if official else "" for p in patients]),
    }


def evenly_sized_cohort(images: int) -> dict:
    """Patients with 1 to 10 images each, every number equally frequent."""
    rng, sizes = np.random.default_rng(images), []
    while sum(sizes) < images:
        sizes.append(int(rng.integers(1, MOST_OF_A_PATIENT + 1)))
    sizes[-1] -= sum(sizes) - images
    diseased = rng.random(len(sizes)) < DISEASED_SHARE
    return {
        "patients": np.repeat([f"p{n}" for n in range(len(sizes))], sizes),
        "digests": np.array([f"d{n}" for n in range(images)]),
        "strata": np.repeat(diseased.astype(int), sizes),
        "official": np.full(images, ""),
    }


def split(cohort: dict, seed: int = 1, test_share: float = 0.2, validation_share: float = 0.15, **options):
    return split_by_patient(**cohort, test_share=test_share, validation_share=validation_share, seed=seed, **options)


@pytest.mark.parametrize("test_share", SHARES)
@pytest.mark.parametrize("classes", [15, 60])
def test_the_share_of_all_images_is_as_wanted_with_many_rare_classes(classes, test_share):
    # The classes of single images: a patient's may differ. Rare ones must not add up to a share of their own.
    for seed in range(5):
        rng = np.random.default_rng(seed)
        images = evenly_sized_cohort(600)
        images["strata"] = rng.choice(classes, size=600, p=rng.dirichlet(np.full(classes, 0.4)))
        result = split(images, test_share=test_share)
        assert np.mean(result.names == "test") == pytest.approx(test_share, abs=0.0101)


@pytest.mark.parametrize("images", [600, 5000])
@pytest.mark.parametrize("test_share", SHARES)
def test_shares_are_as_asked_grouped_by_patient_and_stratified(images, test_share):
    patients = evenly_sized_cohort(images)
    key, strata = patients["patients"], patients["strata"]
    names, counts = np.unique(key, return_counts=True)
    with_many = names[counts >= MANY_OF_A_PATIENT]
    for validation_share in SHARES:
        result = split(patients, test_share=test_share, validation_share=validation_share)
        in_split = {name: result.names == name for name in ("train", "val", "test")}
        assert sum(rows.sum() for rows in in_split.values()) == images
        assert in_split["test"].mean() == pytest.approx(test_share, abs=0.01)
        validation = in_split["val"].sum() / (images - in_split["test"].sum())
        assert validation == pytest.approx(validation_share, abs=0.01)
        patients_in = {name: set(key[rows]) for name, rows in in_split.items()}
        assert sum(map(len, patients_in.values())) == len(names)  # each patient in one split
        for name, rows in in_split.items():
            assert abs(strata[rows].sum() - strata.mean() * rows.sum()) <= 2  # diseased images
            expected = rows.mean() * len(with_many)
            assert abs(len(patients_in[name] & set(with_many)) - expected) <= 3


@pytest.mark.parametrize("official", [False, True])
def test_no_patient_is_in_two_splits_and_classes_keep_their_shares(official):
    images = cohort(official=official)
    names = split(images).names
    train, val, test = (set(images["patients"][names == name]) for name in ("train", "val", "test"))
    assert not train & val
    assert not train & test
    assert not val & test
    assert set(names) == {"train", "val", "test"}
    for name in ("train", "val"):
        assert images["strata"][names == name].mean() == pytest.approx(images["strata"].mean(), abs=0.08)
    assert np.mean(names == "val") == pytest.approx(0.15 * np.mean(names != "test"), abs=0.03)


def test_an_official_test_split_is_kept():
    images = cohort(official=True)
    assert ((split(images).names == "test") == (images["official"] == "test")).all()


def test_a_split_by_image_would_leak():
    # The reason for splits by patient: if images are split one by one, most validation images have their patient in
    # the training split.
    images = cohort()
    images["patients"] = np.array([f"alone{n}" for n in range(600)])
    names = split(images).names
    patients = cohort()["patients"]
    assert np.isin(patients[names == "val"], patients[names == "train"]).mean() > 0.4


def test_exact_duplicates_join_their_patients_in_one_group():
    images = cohort()
    a, b = np.flatnonzero(images["patients"] == images["patients"][0])[0], 300
    assert images["patients"][a] != images["patients"][b]
    images["digests"][b] = images["digests"][a]
    result = split(images)
    both = np.isin(images["patients"], images["patients"][[a, b]])
    assert len(set(result.groups[both])) == 1
    assert len(set(result.names[both])) == 1
    assert result.duplicates == 1


def test_a_training_copy_of_an_official_test_image_is_left_out_with_its_patient():
    images = cohort(official=True)
    train, test = (np.flatnonzero(images["official"] == name)[0] for name in ("train", "test"))
    images["digests"][train] = images["digests"][test]
    result = split(images)
    leaking = (images["patients"] == images["patients"][train]) & (images["official"] == "train")
    assert set(result.names[leaking]) == {""}
    assert result.leaked == leaking.sum()


def with_copies(images: dict, copied: int = 40) -> np.ndarray:
    """Make the last images exact copies of the first, in place; which images are copies of an earlier one."""
    images["digests"][-copied:] = images["digests"][:copied]
    return np.arange(len(images["digests"])) >= len(images["digests"]) - copied


def test_copies_that_are_kept_are_all_in_the_split_of_their_original():
    images = cohort()
    is_copy = with_copies(images)
    result = split(images)
    assert set(result.names) == {"train", "val", "test"}
    assert (result.names[is_copy] == result.names[: is_copy.sum()]).all()
    assert len(set(result.names[is_copy])) == 3
    assert result.duplicates == is_copy.sum()


def test_of_copies_that_are_dropped_only_the_first_is_in_a_split():
    images = cohort()
    is_copy = with_copies(images)
    result = split(images, drop_duplicates=True)
    assert ((result.names == "") == is_copy).all()
    assert result.duplicates == is_copy.sum()
    assert np.mean(result.names == "test") * 600 == pytest.approx(0.2 * (~is_copy).sum(), abs=6)
    for name in ("train", "val", "test"):  # groups stay whole, without the dropped images
        others = np.isin(result.names, [other for other in ("train", "val", "test") if other != name])
        assert not set(result.groups[result.names == name]) & set(result.groups[others])


def test_of_a_copy_in_the_official_test_split_the_test_image_remains():
    # In the order of the names the training image comes first.
    images = cohort(official=True)
    train, test = np.flatnonzero(images["official"] == "train")[0], np.flatnonzero(images["official"] == "test")[-1]
    assert train < test
    images["digests"][test] = images["digests"][train]
    result = split(images, drop_duplicates=True)
    assert ((result.names == "test") == (images["official"] == "test")).all()
    assert result.names[train] == ""
    leaking = (images["patients"] == images["patients"][train]) & (images["official"] == "train")
    assert result.leaked == leaking.sum() - 1  # the copy itself counts as a duplicate
    assert result.duplicates == 1


def test_the_split_depends_on_the_seed_alone():
    images = cohort()
    assert (split(images).names == split(images).names).all()
    assert (split(images, seed=2).names != split(images, seed=1).names).any()


def test_too_few_patients_are_refused():
    few = {key: values[:8] for key, values in cohort().items()}
    with pytest.raises(ChestTransferError, match="patient groups are too few to cut 20% for test"):
        split(few)


def test_a_class_of_a_single_image_does_not_prevent_the_split():
    images = cohort()
    images["strata"] = images["strata"].copy()
    images["strata"][0] = 7
    assert set(split(images).names) == {"train", "val", "test"}


def test_the_stratum_of_several_findings_is_the_rarest():
    labels = np.array([[1, 0, 1], [1, 0, 0], [1, 1, 1], [0, 0, 1], [0, 0, 0], [1, 0, 0]])
    assert rarest_label(labels).tolist() == [3, 1, 2, 3, 0, 1]
