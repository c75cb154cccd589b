"""The out-of-distribution score: images that are no such radiographs exceed its threshold, and few radiographs do."""

from dataclasses import fields

import numpy as np
import pytest
from PIL import Image

from chest_transfer.analysis.told_apart import told_apart
from chest_transfer.data.arrays import open_arrays, read_npz, write_npz
from chest_transfer.data.catalog import dataset_named
from chest_transfer.data.predictions import Predictions
from chest_transfer.data.preprocessing import preprocess
from chest_transfer.evaluation.operating_points import OPERATING_POINTS
from chest_transfer.evaluation.out_of_distribution import OutOfDistribution, fit_out_of_distribution, sample_thumbnails
from chest_transfer.networks.facts import ClassifierFacts, PackedFacts
from chest_transfer.networks.saving import read_facts, save_model
from chest_transfer.phantom.archive import write_archive
from chest_transfer.serving.packing import pack, read_out_of_distribution
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import make_deterministic


@pytest.fixture(autouse=True)
def deterministic():
    make_deterministic(seed=1, threads=2)


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    folder, settings = tmp_path_factory.mktemp("splits"), read_settings("params.yaml")
    phantoms = settings.phantom.model_copy(update={"patients": 400, "image_size": 64})
    write_archive(dataset_named("tuberculosis"), phantoms, folder / "tb.zip", processes=2)
    preprocess(dataset_named("tuberculosis"), folder / "tb.zip", folder / "tb", settings.preprocess, 64, 2)
    return {split: open_arrays(folder / f"tb/{split}.npz").images for split in ("train", "val", "test")}


@pytest.fixture(scope="module")
def distribution(splits) -> OutOfDistribution:
    return fit_out_of_distribution(splits["train"], splits["val"])


def test_few_radiographs_of_the_same_kind_are_outside(distribution, splits):
    assert distribution.is_outside(splits["test"]).mean() <= 0.1
    assert distribution.score(splits["train"]).mean() == pytest.approx(2, abs=0.2)


CHANGES = {
    "negative": lambda images: 255 - images,
    "on its side": lambda images: images.transpose(0, 2, 1),
    "upside down": lambda images: images[:, ::-1],
    "noise": lambda images: np.random.default_rng(1).integers(0, 256, images.shape, dtype=np.uint8),
    "constant gray": lambda images: np.full_like(images, 128),
    "a gradient": lambda images: np.broadcast_to(np.linspace(0, 255, images.shape[2]).astype(np.uint8), images.shape),
}


@pytest.mark.parametrize("change", CHANGES)
def test_images_that_are_no_such_radiographs_are_outside(distribution, splits, change):
    assert distribution.is_outside(CHANGES[change](np.array(splits["test"]))).mean() > 0.9


def test_brightness_contrast_and_size_do_not_matter(distribution, splits):
    images = np.array(splits["test"][:20])
    pale = (images * 0.5 + 60).astype(np.uint8)
    large = np.array([np.asarray(Image.fromarray(image).resize((160, 160))) for image in images])
    assert distribution.score(pale) == pytest.approx(distribution.score(images), rel=0.05)
    assert distribution.score(large) == pytest.approx(distribution.score(images), rel=0.1)


def facts() -> ClassifierFacts:
    return ClassifierFacts(
        backbone="cnn", weights="none", weights_sha256=None, image_size=64, precision="float32", preprocessing="unit",
        dataset="tuberculosis", regime="train", classes=["Normal", "Tuberculosis"], multi_label=False,
        fit="squeeze", region="whole",
        settings={}, seed=1, patients=None,
    )  # fmt: skip


def test_its_file_and_the_file_of_a_packed_model_contain_all_of_it(distribution, splits, tmp_path):
    import keras

    inputs = keras.Input((4,))
    network, val, stored = tmp_path / "train-none.keras", tmp_path / "val.csv", tmp_path / "tuberculosis.npz"
    save_model(keras.Model(inputs, keras.layers.Dense(2)(inputs)), network, facts())
    names, labels = np.arange(8).astype(str), np.eye(2, dtype=int)[np.arange(8) % 2]
    logits = labels + np.random.default_rng(1).normal(size=(8, 2))
    Predictions(
        names, names, labels, logits, facts().classes, facts().classes, np.zeros(8, bool)
    ).table().to_csv(val, index=False)  # fmt: skip
    write_npz(stored, distribution.arrays())
    assert set(read_npz(stored)) == {field.name for field in fields(OutOfDistribution)}
    pack([network], [val], stored, tmp_path / "packed.keras")
    packed = read_facts(tmp_path / "packed.keras", PackedFacts)
    again = read_out_of_distribution(tmp_path / "packed.keras")
    assert packed.classes == ["Normal", "Tuberculosis"]
    assert set(packed.thresholds) == set(OPERATING_POINTS)
    assert (again.score(splits["test"]) == distribution.score(splits["test"])).all()
    assert float(again.threshold) == float(distribution.threshold)


def test_how_well_the_scores_of_two_datasets_tell_their_radiographs_apart(distribution, splits, tmp_path):
    upside_down = {split: np.ascontiguousarray(images[:, ::-1]) for split, images in splits.items()}
    parts = {"upright": splits, "upside_down": upside_down}
    distributions, thumbnails = ({name: tmp_path / f"{name}-{kind}.npz" for name in parts} for kind in ("a", "b"))
    for name, part in parts.items():
        write_npz(distributions[name], fit_out_of_distribution(part["train"], part["val"]).arrays())
        write_npz(thumbnails[name], {"images": sample_thumbnails(part["test"])})
    table = told_apart(distributions, thumbnails)
    assert list(table["dataset"]) == ["upright", "upside_down"]
    assert (table["auc"] > 0.99).all()
    assert (table["flagged"] > 0.9).all()
    assert (table["false_alarms"] <= 0.1).all()
    assert told_apart({"upright": distributions["upright"]}, {"upright": thumbnails["upright"]}).empty
