"""Heat maps: those of a trained network point to the finding, those of a random one at random, for every backbone."""

import json

import keras
import numpy as np
import pandas as pd
import pytest
from conftest import change_settings, encoded, make_zip, stages
from test_archives_as_found import CHILDREN

from chest_transfer.data.archives import Archive
from chest_transfer.data.arrays import Arrays
from chest_transfer.evaluation.calibrated_predictions import CalibratedPredictions
from chest_transfer.evaluation.explained_dataset import lung_masks
from chest_transfer.evaluation.explanation import OUTCOMES, choose_examples, maps_in_batches
from chest_transfer.evaluation.figures import heat_map_figure, save_figure
from chest_transfer.evaluation.grad_cam import METHODS, GradCam
from chest_transfer.evaluation.localization import box_mask, is_better_than_chance, localization_scores
from chest_transfer.networks.backbones import BACKBONES, build_backbone
from chest_transfer.networks.classifier import build_classifier
from chest_transfer.training.determinism import make_deterministic

SIZE, PATCH = 48, 12  # pixels a side


@pytest.fixture(autouse=True)
def deterministic():
    make_deterministic(seed=1, threads=2)


def striped_images(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return noise with a patch of vertical stripes, and in half of the images one of horizontal stripes: the finding.

    Both patches are alike but for the direction of their stripes, and lie at places of the same distribution.

    Returns:
        images (n, SIZE, SIZE) uint8; labels (n,); where the horizontal stripes are, and where the vertical ones are,
        (n, SIZE, SIZE) bool each.
    """
    rng = np.random.default_rng(seed)
    images, labels = rng.integers(80, 120, (count, SIZE, SIZE)), np.arange(count) % 2
    horizontal, vertical = (np.zeros((count, SIZE, SIZE), bool) for _ in range(2))
    stripes = np.tile([60, -60], PATCH // 2)[:, np.newaxis] * np.ones(PATCH, int)
    for row, label in enumerate(labels):
        left, other_left = rng.permutation([2, 33])
        top, other_top = rng.integers(2, SIZE - PATCH - 2, 2)
        vertical[row, other_top : other_top + PATCH, other_left : other_left + PATCH] = True
        images[row][vertical[row]] += stripes.T.ravel()
        if label:
            horizontal[row, top : top + PATCH, left : left + PATCH] = True
            images[row][horizontal[row]] += stripes.ravel()
    return np.clip(images, 0, 255).astype(np.uint8), labels, horizontal, vertical


def random_network():
    return build_classifier(build_backbone("cnn", SIZE), "linear", 2, multi_label=False)


@pytest.fixture(scope="module")
def trained():
    """A small network that has learned to recognize horizontal stripes."""
    make_deterministic(seed=1, threads=2)
    images, labels, _, _ = striped_images(400, seed=1)
    network = random_network()
    network.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    network.fit(images[..., None].astype("float32"), labels, epochs=6, verbose=0)
    return network


@pytest.mark.parametrize("method", METHODS)
def test_a_trained_network_points_to_the_finding(trained, method):
    images, labels, horizontal, vertical = striped_images(120, seed=2)
    rows = np.flatnonzero(labels)
    maps, patients = GradCam(trained, method).maps(images[rows], labels[rows]), rows.astype(str)
    scores = localization_scores(maps, horizontal[rows], patients)
    assert scores["pointing"] > 0.75
    assert scores["pointing_low"] > 3 * scores["pointing_chance"]
    assert scores["energy"] > 2 * scores["energy_chance"]
    assert scores["pointing_low"] > 3 * localization_scores(maps, vertical[rows], patients)["pointing"]


@pytest.mark.parametrize("method", METHODS)
def test_random_networks_point_to_the_finding_as_often_as_to_what_is_none(method):
    """One random network may prefer either direction of stripes, and prefers it in every image.

    Random kernels are as likely as the same kernels transposed, so that over random networks the difference between
    pointing to horizontal and to vertical stripes has mean 0. The mean of 16 of them is allowed two of its standard
    errors, beyond which one in 20 such tests would be by chance; the difference of a trained network is far outside.
    """
    images, labels, horizontal, vertical = striped_images(60, seed=2)
    rows = np.flatnonzero(labels)
    differences, pointing = [], []
    for seed in range(16):
        keras.utils.set_random_seed(seed)
        maps = GradCam(random_network(), method).maps(images[rows], labels[rows])
        to_finding, to_other = (
            localization_scores(maps, masks[rows], rows.astype(str))["pointing"] for masks in (horizontal, vertical)
        )
        differences.append(to_finding - to_other)
        pointing.append(to_finding)
    standard_error = np.std(differences, ddof=1) / np.sqrt(len(differences))
    print(np.round(differences, 2), np.mean(differences), standard_error, np.mean(pointing))
    assert abs(np.mean(differences)) < 2 * standard_error
    assert standard_error < 0.15  # so that the bound is one: a network that has learned the finding differs by 0.75
    assert np.mean(pointing) < 0.5  # to one of two patches, if to a patch at all


DEEPER = ("vgg19", "resnet101")  # with the same kinds of layers as vgg16 and resnet50


@pytest.mark.parametrize("name", [name for name in BACKBONES if name not in DEEPER])
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
    images, labels, _, _ = striped_images(8, seed=3)
    inputs = images[..., None].astype("float32")
    before = trained.predict_on_batch(inputs)
    first = GradCam(trained).maps(images, labels)
    assert (trained.predict_on_batch(inputs) == before).all()
    assert (GradCam(trained).maps(images, labels) == first).all()


def test_maps_in_batches_are_those_of_all_images_at_once(trained):
    images, labels, _, _ = striped_images(35, seed=3)
    heat_maps = GradCam(trained).maps
    assert maps_in_batches(heat_maps, images, labels) == pytest.approx(heat_maps(images, labels), abs=1e-5)
    assert maps_in_batches(heat_maps, images[:0], labels[:0]).shape == (0, SIZE, SIZE)


def test_hirescam_is_grad_cam_where_the_head_averages_and_points_where_it_does_not():
    """A head that looks at one place: only HiResCAM shows which, because each value has a gradient of its own."""
    make_deterministic(seed=1, threads=2)
    images = np.random.default_rng(1).integers(0, 256, (4, SIZE, SIZE), dtype=np.uint8)
    averaged = build_classifier(build_backbone("cnn", SIZE), "linear", 2, multi_label=False)
    maps = {method: GradCam(averaged, method).maps(images, np.ones(4, int)) for method in ("hirescam", "grad-cam")}
    assert maps["hirescam"] == pytest.approx(maps["grad-cam"], abs=1e-5)
    kept_whole = build_classifier(build_backbone("cnn", SIZE), "dense64", 2, multi_label=False)
    dense, logits = (kept_whole.get_layer(name) for name in ("head_dense64", "logits"))
    side, channels = kept_whole.get_layer("head_flatten").input.shape[1], 64
    kernel = np.zeros((side, side, channels, 64), np.float32)
    kernel[0, -1] = 1  # the upper right corner
    dense.set_weights([kernel.reshape(-1, 64), np.ones(64, np.float32)])
    logits.set_weights([np.tile(np.array([[0, 1]], np.float32), (64, 1)), np.zeros(2, np.float32)])
    hottest = GradCam(kept_whole, "hirescam").maps(images, np.ones(4, int)).reshape(4, -1).argmax(axis=1)
    rows, columns = hottest // SIZE, hottest % SIZE
    assert (rows < SIZE / side).all()
    assert (columns >= SIZE - SIZE / side).all()


def test_the_gain_over_chance_is_of_the_same_maps():
    patients = np.arange(30).astype(str)
    masks = np.zeros((30, 8, 8), bool)
    masks[:, 2:6, 2:6] = True
    maps = np.zeros((30, 8, 8), np.float32)
    maps[:, 4, 4] = 1
    scores = localization_scores(maps, masks, patients)
    assert [scores[f"energy_gain{end}"] for end in ("", "_low", "_high")] == [0, 0, 0]
    assert not is_better_than_chance(scores)  # to point to the middle, where all boxes are, is no skill
    masks[::2] = np.roll(masks[::2], 4, axis=1)
    maps[::2] = np.roll(maps[::2], 4, axis=1)
    scores = localization_scores(maps, masks, patients)
    assert scores["energy_gain"] == pytest.approx(scores["energy"] - scores["energy_chance"])
    assert scores["energy_gain_low"] > 0.3
    assert is_better_than_chance(scores)
    assert is_better_than_chance(localization_scores(maps[:4], masks[:4], patients[:4])) is None  # too few


def test_chance_is_the_score_of_the_same_maps_on_other_images():
    patients = np.arange(4).astype(str)
    masks = np.zeros((4, 8, 8), bool)
    masks[:, 2:6, 2:6] = True  # all alike: pointing to the middle is no skill
    maps = np.zeros((4, 8, 8), np.float32)
    maps[:, 4, 4] = 1
    scores = localization_scores(maps, masks, patients)
    assert scores["pointing"] == scores["pointing_chance"] == 1
    masks[:2] = np.roll(masks[:2], 4, axis=1)
    scores = localization_scores(maps, masks, patients)
    assert scores["pointing"] == 0.5
    maps[0] = 0
    assert localization_scores(maps, masks, patients)["images"] == 4
    assert localization_scores(maps[:1], masks[:1], patients[:1]) == {}


def test_boxes_become_masks_of_at_least_a_pixel():
    boxes = pd.DataFrame({"left": [0.0, 0.5], "top": [0.0, 0.5], "right": [0.5, 0.5], "bottom": [0.25, 0.5]})
    mask = box_mask(boxes, 8)
    assert mask.sum() == 2 * 4 + 1


def binary_predictions(labels: np.ndarray, probabilities: np.ndarray) -> CalibratedPredictions:
    """Return predictions whose calibrated probabilities of the second class are as given, with a threshold of 0.5."""
    logits = np.log(np.stack([1 - probabilities, probabilities], axis=1))
    return CalibratedPredictions(
        np.eye(2, dtype=int)[labels], logits, ["NORMAL", "PNEUMONIA"], False, 1.0, np.array([0.5, 0.5])
    )


def test_examples_are_chosen_by_rule_whatever_the_order_of_the_radiographs():
    rng = np.random.default_rng(1)
    labels, probabilities, names = rng.integers(0, 2, 60), rng.random(60), np.array([f"n{i}" for i in range(60)])
    examples = choose_examples(binary_predictions(labels, probabilities), names, images=3)
    assert [example.outcome for example in examples] == [outcome for outcome in OUTCOMES for _ in range(3)]
    for example in examples:
        is_right = labels[example.row] == (probabilities[example.row] >= 0.5)
        assert example.outcome.startswith("true") == is_right
        assert example.outcome.endswith("positive") == (probabilities[example.row] >= 0.5)
        assert example.probability == pytest.approx(probabilities[example.row])
    order = rng.permutation(60)
    again = choose_examples(binary_predictions(labels[order], probabilities[order]), names[order], images=3)
    assert [names[order][example.row] for example in again] == [names[example.row] for example in examples]


def test_figures_are_the_same_bytes_twice(tmp_path):
    images, labels, _, _ = striped_images(12, seed=4)
    names = np.array([f"n{i}" for i in range(12)])
    test = Arrays(images, labels, names, names, np.array(["NORMAL", "PNEUMONIA"]))
    examples = choose_examples(binary_predictions(labels, np.linspace(0.01, 0.99, 12)), names, images=2)
    boxes = pd.DataFrame({"name": names, "finding": "PNEUMONIA", "left": 0.1, "top": 0.1, "right": 0.4, "bottom": 0.5})
    maps = np.random.default_rng(1).random((len(examples), SIZE, SIZE)).astype(np.float32)
    for file in ("a.png", "b.png"):
        save_figure(heat_map_figure(test, examples, maps, boxes, "train-none"), tmp_path / file)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_lung_masks_are_found_beside_the_images(tmp_path):
    white = np.zeros((32, 32), np.uint8)
    white[8:24, 8:24] = 255
    root, members = "COVID-19_Radiography_Dataset", {}
    for folder in ("COVID", "Normal", "Lung_Opacity", "Viral Pneumonia"):
        members[f"{root}/{folder}/images/{folder}-1.png"] = encoded(white // 2)
        members[f"{root}/{folder}/masks/{folder}-1.png"] = encoded(white)
    names = np.array(["COVID/images/COVID-1.png", "Normal/images/Normal-1.png"])
    test = Arrays(np.zeros((2, 16, 16), np.uint8), np.array([1, 0]), names, names, np.array(["Normal", "COVID"]))
    with Archive(make_zip(tmp_path / "covid.zip", members)) as archive:
        images = pd.DataFrame({"member": [f"{root}/{name}" for name in names]}, index=names)
        masks = lung_masks(archive, test, images, "squeeze")
    assert sorted(masks) == [0, 1]
    assert masks[0].sum() == 64


def test_an_archive_that_is_only_read_when_pooled_has_pictures_too(project, tmp_path):
    members = {name: content for name, content in CHILDREN.items() if "/test/" in name}
    source = make_zip(tmp_path / "children.zip", members)
    change_settings(project / "params.yaml", source=str(source), preprocess__splits="pooled", train__weights=[])
    commands = ("download pneumonia", "preprocess pneumonia", "pictures pneumonia", "explain pneumonia cnn")
    stages(project, *(command.split() for command in commands))
    assert (project / "data/pictures/pneumonia/samples.png").stat().st_size > 1000
    assert json.loads((project / "metrics/explained/pneumonia.json").read_text()) == {}


def test_the_stage_draws_and_scores_every_trained_model(evaluated):
    scores = json.loads((evaluated / "metrics/explained/pneumonia.json").read_text())
    assert list(scores) == ["train"]
    assert list(scores["train"]) == ["none"]
    assert 0 <= scores["train"]["none"]["boxes"]["PNEUMONIA"]["pointing"] <= 1
    assert scores["train"]["none"]["lungs"] == {}
    (figure,) = (evaluated / "data/heat_maps/pneumonia/cnn").iterdir()
    assert figure.name == "train-none.png"
    assert figure.stat().st_size > 10_000
