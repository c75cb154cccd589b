"""Heat maps: they point to what a trained network looks at, at random where it learnt nothing, for every backbone."""

import json

import keras
import numpy as np
import pandas as pd
import pytest
from conftest import make_zip, stage

from chest_transfer.data.archives import Archive
from chest_transfer.data.arrays import Arrays
from chest_transfer.data.catalog import dataset_named
from chest_transfer.evaluation.explanation import KINDS, chosen, lung_masks
from chest_transfer.evaluation.figures import heat_map_sheet, save
from chest_transfer.evaluation.grad_cam import METHODS, GradCam
from chest_transfer.evaluation.localisation import box_masks, localisation
from chest_transfer.evaluation.metrics import Judged
from chest_transfer.networks.backbones import BACKBONES, build_backbone
from chest_transfer.networks.classifier import build_classifier
from chest_transfer.training.determinism import pin

SIDE = 48


@pytest.fixture(autouse=True)
def pinned():
    pin(seed=1, threads=2)


def spotted(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noise (n, SIDE, SIDE) uint8 with a patch of upright stripes, in half of it one of level stripes too; labels, and
    where the level stripes are. A network that learnt nothing has no reason to prefer them.
    """
    chance = np.random.default_rng(seed)
    images, labels = chance.integers(80, 120, (count, SIDE, SIDE)), np.arange(count) % 2
    masks = np.zeros((count, SIDE, SIDE), bool)
    stripes = np.repeat([[60], [-60]], 6, axis=0).reshape(2, 6).T.ravel()[:, None] * np.ones(12, int)
    for row, label in enumerate(labels):
        left, other = chance.permutation([2, 33])
        top, other_top = chance.integers(2, SIDE - 14, 2)
        images[row, other_top : other_top + 12, other : other + 12] += stripes.T
        if label:
            images[row, top : top + 12, left : left + 12] += stripes
            masks[row, top : top + 12, left : left + 12] = True
    return np.clip(images, 0, 255).astype(np.uint8), labels, masks


@pytest.fixture(scope="module")
def trained():
    """A small network that has learnt to tell level stripes, and one that has learnt nothing."""
    pin(seed=1, threads=2)
    images, labels, _ = spotted(400, seed=1)
    networks = []
    for epochs in (6, 0):
        network = build_classifier(build_backbone("cnn", SIDE), "linear", 2, multi_label=False)
        if epochs:
            network.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
            network.fit(images[..., None].astype("float32"), labels, epochs=epochs, verbose=0)
        networks.append(network)
    return networks


@pytest.mark.parametrize("method", METHODS)
def test_a_trained_network_looks_at_the_finding_and_a_random_one_no_more_than_at_anything_else(trained, method):
    images, labels, masks = spotted(120, seed=2)
    rows = np.flatnonzero(labels)
    patients = rows.astype(str)
    knows, random = (
        localisation(GradCam(network, method).maps(images[rows], labels[rows]), masks[rows], patients, 200, 1)
        for network in trained
    )
    assert knows["pointing"] > 0.75
    assert knows["pointing_low"] > 3 * knows["pointing_chance"]
    assert knows["energy"] > 2 * knows["energy_chance"]
    assert random["pointing"] < 0.6


@pytest.mark.parametrize("name", [name for name in BACKBONES if name != "vgg19"])
def test_every_backbone_can_be_explained(name):
    size = max(BACKBONES[name].smallest, 48)
    network = build_classifier(build_backbone(name, size), "dense256", 3, multi_label=True)
    images = np.random.default_rng(1).integers(0, 256, (2, size, size), dtype=np.uint8)
    maps = GradCam(network).maps(images, np.array([0, 2]))
    assert maps.shape == (2, size, size)
    assert np.isfinite(maps).all()
    assert maps.min() >= 0
    assert maps.max() <= 1


def test_explaining_leaves_the_network_as_it_was(trained):
    images, labels, _ = spotted(8, seed=3)
    inputs = images[..., None].astype("float32")
    before = trained[0].predict_on_batch(inputs)
    first = GradCam(trained[0]).maps(images, labels)
    assert (trained[0].predict_on_batch(inputs) == before).all()
    assert (GradCam(trained[0]).maps(images, labels) == first).all()


def test_chance_is_what_the_same_maps_give_on_other_images():
    masks = np.zeros((4, 8, 8), bool)
    masks[:, 2:6, 2:6] = True  # all alike: pointing to the middle is no skill
    maps = np.zeros((4, 8, 8), np.float32)
    maps[:, 4, 4] = 1
    found = localisation(maps, masks, np.arange(4).astype(str), 100, 1)
    assert found["pointing"] == found["pointing_chance"] == 1
    masks[:2] = np.roll(masks[:2], 4, axis=1)
    found = localisation(maps, masks, np.arange(4).astype(str), 100, 1)
    assert found["pointing"] == 0.5
    maps[0] = 0
    assert localisation(maps, masks, np.arange(4).astype(str), 100, 1)["images"] == 4
    assert localisation(maps[:1], masks[:1], np.array(["a"]), 100, 1) == {}


def test_boxes_become_masks_of_at_least_a_pixel():
    boxes = pd.DataFrame({"left": [0.0, 0.5], "top": [0.0, 0.5], "right": [0.5, 0.5], "bottom": [0.25, 0.5]})
    mask = box_masks(boxes, 8)
    assert mask.sum() == 2 * 4 + 1


def judged(truth, p):
    return Judged(np.eye(2, dtype=int)[truth], np.stack([1 - p, p], axis=1), False, 1.0, np.array([0.5, 0.5]))


def test_radiographs_are_chosen_by_rule_whatever_their_order():
    chance = np.random.default_rng(1)
    truth, p, names = chance.integers(0, 2, 60), chance.random(60), np.array([f"n{i}" for i in range(60)])
    shown = chosen(judged(truth, p), names, images=3)
    assert [each.kind for each in shown] == [kind for kind in KINDS for _ in range(3)]
    for each in shown:
        assert (each.kind.startswith("true")) == (truth[each.row] == (p[each.row] >= 0.5))
    other = chance.permutation(60)
    again = chosen(judged(truth[other], p[other]), names[other], images=3)
    assert [names[other][each.row] for each in again] == [names[each.row] for each in shown]


def test_sheets_are_the_same_bytes_twice(tmp_path):
    images, labels, _ = spotted(12, seed=4)
    names = np.array([f"n{i}" for i in range(12)])
    test = Arrays(images, labels, names, names, np.array(["healthy", "ill"]))
    shown = chosen(judged(labels, np.linspace(0, 1, 12)), names, images=2)
    boxes = pd.DataFrame({"name": names, "finding": "ill", "left": 0.1, "top": 0.1, "right": 0.4, "bottom": 0.5})
    maps = np.random.default_rng(1).random((len(shown), SIDE, SIDE)).astype(np.float32)
    for file in ("a.png", "b.png"):
        save(heat_map_sheet(test, shown, maps, boxes, "train-none"), tmp_path / file)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_lung_masks_are_found_beside_the_images(tmp_path):
    from conftest import encoded

    white = np.zeros((32, 32), np.uint8)
    white[8:24, 8:24] = 255
    root, members = "COVID-19_Radiography_Dataset", {}
    for folder in ("COVID", "Normal", "Lung_Opacity", "Viral Pneumonia"):
        members[f"{root}/{folder}/images/{folder}-1.png"] = encoded(white // 2)
        members[f"{root}/{folder}/masks/{folder}-1.png"] = encoded(white)
    names = np.array(["COVID/images/COVID-1.png", "Normal/images/Normal-1.png"])
    test = Arrays(np.zeros((2, 16, 16), np.uint8), np.array([1, 0]), names, names, np.array(["Normal", "COVID"]))
    with Archive(make_zip(tmp_path / "covid.zip", members)) as archive:
        masks = lung_masks(dataset_named("covid"), archive, test, "squeeze")
    assert sorted(masks) == [0, 1]
    assert masks[0].sum() == 64


def test_the_stage_writes_a_sheet_and_says_how_well_it_points(project):
    for words in (
        ("download", "pneumonia"), ("preprocess", "pneumonia"), ("pretrained", "cnn", "none"),
        ("train", "pneumonia", "cnn", "none"), ("explain", "pneumonia", "cnn", "train-none"),
    ):  # fmt: skip
        stage(project, *words)
    scores = json.loads((project / "metrics/explained/pneumonia/train-none.json").read_text())
    assert 0 <= scores["boxes"]["PNEUMONIA"]["pointing"] <= 1
    assert scores["lungs"] == {}
    assert (project / "data/pictures/pneumonia/cnn/train-none.png").stat().st_size > 10_000
