"""Scope: what is no frontal chest radiograph of the kind is told from what is, and few of the kind are."""

import numpy as np
import pytest
from PIL import Image

from chest_transfer.data.arrays import open_arrays
from chest_transfer.data.catalog import dataset_named
from chest_transfer.data.preprocessing import preprocess
from chest_transfer.data.scope import Scope, scope_of
from chest_transfer.networks.saving import add_facts, read_array, read_facts, save_model
from chest_transfer.phantom.archive import write_archive
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import pin


@pytest.fixture(autouse=True)
def pinned():
    pin(seed=1, threads=2)


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    folder, settings = tmp_path_factory.mktemp("scope"), read_settings("params.yaml")
    phantoms = settings.phantom.model_copy(update={"patients": 400, "image_size": 64})
    write_archive(dataset_named("tuberculosis"), phantoms, folder / "tb.zip", processes=2)
    preprocess(dataset_named("tuberculosis"), folder / "tb.zip", folder / "tb", settings.preprocess, 64, 2)
    return {split: open_arrays(folder / f"tb/{split}.npz").images for split in ("train", "val", "test")}


@pytest.fixture(scope="module")
def scope(splits) -> Scope:
    return scope_of(splits["train"], splits["val"])


def test_few_of_the_kind_are_outside(scope, splits):
    assert scope.outside(splits["test"]).mean() <= 0.1
    assert scope.distances(splits["train"]).mean() == pytest.approx(2, abs=0.2)


CHANGES = {
    "negative": lambda images: 255 - images,
    "on its side": lambda images: images.transpose(0, 2, 1),
    "upside down": lambda images: images[:, ::-1],
    "noise": lambda images: np.random.default_rng(1).integers(0, 256, images.shape, dtype=np.uint8),
    "a flat grey": lambda images: np.full_like(images, 128),
    "a gradient": lambda images: np.broadcast_to(np.linspace(0, 255, images.shape[2]).astype(np.uint8), images.shape),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_no_such_radiograph_is_outside(scope, splits, change):
    assert scope.outside(CHANGES[change](np.array(splits["test"]))).mean() > 0.9


def test_brightness_contrast_and_size_do_not_matter(scope, splits):
    images = np.array(splits["test"][:20])
    pale = (images * 0.5 + 60).astype(np.uint8)
    large = np.array([np.asarray(Image.fromarray(image).resize((160, 160))) for image in images])
    assert scope.distances(pale) == pytest.approx(scope.distances(images), rel=0.05)
    assert scope.distances(large) == pytest.approx(scope.distances(images), rel=0.1)


def test_a_models_file_carries_it(scope, splits, tmp_path):
    import keras

    inputs = keras.Input((4,))
    save_model(keras.Model(inputs, keras.layers.Dense(2)(inputs)), tmp_path / "model.keras", {"classes": ["a"]})
    add_facts(tmp_path / "model.keras", {"scope": scope.numbers()}, scope.arrays())
    facts = read_facts(tmp_path / "model.keras")
    kept = {name: read_array(tmp_path / "model.keras", f"scope_{name}") for name in ("mean", "components", "variances")}
    again = Scope(**kept, **facts["scope"])
    assert facts["classes"] == ["a"]
    assert (again.distances(splits["test"]) == scope.distances(splits["test"])).all()
