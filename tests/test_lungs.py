"""Lungs first: a network trained on simulated radiographs finds lungs, and what a model sees is the box around them."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import TOY, change_settings, encoded, make_zip, run, stages, toy_project
from PIL import Image

from chest_transfer.data.archives import Archive
from chest_transfer.data.arrays import open_arrays, read_npz
from chest_transfer.data.fingerprints import is_among
from chest_transfer.data.lung_windows import NOT_FOUND, find_lungs
from chest_transfer.data.predictions import read_predictions
from chest_transfer.data.radiographs import decode_square
from chest_transfer.data.regions import MARGIN, MASK_SIDE, SIDE, WHOLE, Window, lung_window, window_of
from chest_transfer.data.squares import SQUARE_FITS, box_in_square
from chest_transfer.errors import ChestTransferError
from chest_transfer.evaluation.explained_dataset import lung_masks
from chest_transfer.evaluation.operating_points import calibrated_probabilities
from chest_transfer.networks.lung_network import LungNetwork
from chest_transfer.phantom.lungs import lungs_of_fresh_patients
from chest_transfer.serving.image_files import ImageFile
from chest_transfer.serving.overlays import heat_map_overlay
from chest_transfer.serving.packing import pack
from chest_transfer.serving.predictor import Predictor
from chest_transfer.settings import Lungs
from chest_transfer.training.determinism import make_deterministic
from chest_transfer.training.lung_segmentation import dice, train_lung_network

FEW = {"patients": 240, "epochs": 10}


def mask_of(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """A mask of 64 x 64 pixels with some boxes of lung, each (left, top, right, bottom)."""
    mask = np.zeros((64, 64), np.float32)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = 0.9
    return mask


RIGHT, LEFT = (12, 10, 28, 50), (36, 10, 52, 50)


class TestLungWindow:
    def test_it_is_the_box_around_both_lungs_with_a_margin(self):
        window, across, down = lung_window(mask_of(RIGHT, LEFT)), MARGIN * 40 / 64, MARGIN * 40 / 64
        expected = 12 / 64 - across, 10 / 64 - down, 52 / 64 + across, 50 / 64 + down
        assert (window.left, window.top, window.right, window.bottom) == pytest.approx(expected, abs=1e-4)

    @pytest.mark.parametrize(
        "more",
        [(2, 60, 5, 63), (30, 54, 34, 58), (0, 0, 4, 2)],
        ids=["a speck in a corner", "air in the stomach", "a letter"],
    )
    def test_what_is_much_smaller_than_a_lung_does_not_count(self, more):
        assert lung_window(mask_of(RIGHT, LEFT, more)) == lung_window(mask_of(RIGHT, LEFT))

    def test_the_base_of_a_lung_beyond_a_gap_does(self):
        assert lung_window(mask_of(RIGHT, (36, 10, 52, 46), (36, 48, 52, 50))) == lung_window(mask_of(RIGHT, LEFT))

    @pytest.mark.parametrize(
        "boxes",
        [[], [(20, 20, 26, 26)], [RIGHT], [(0, 0, 64, 64)]],
        ids=["nothing", "too small", "one lung", "everything"],
    )
    def test_what_does_not_look_like_two_lungs_is_none(self, boxes):
        assert lung_window(mask_of(*boxes)) is None

    def test_it_ends_at_the_edge_of_the_picture(self):
        assert lung_window(mask_of((0, 4, 20, 50), (36, 4, 56, 50))).left == 0.0


@pytest.mark.parametrize("fit", SQUARE_FITS)
def test_only_lungs_are_left_where_the_rest_is_black(fit):
    picture = np.full((100, 200), 200, np.uint8)
    window = lung_window(mask_of(RIGHT, LEFT), "black")
    shown = decode_square(encoded(picture), 64, fit, window)
    assert set(np.unique(shown)) <= {0, 200}
    whole = decode_square(encoded(picture), 64, fit, lung_window(mask_of(RIGHT, LEFT)))
    assert (shown[24:40, 31:33] == 0).all()  # between the lungs
    assert (shown[24:40, [12, 51]] == 200).all()
    assert (whole[24:40] == 200).all()


@pytest.mark.parametrize("fit", SQUARE_FITS)
def test_a_box_of_a_finding_is_where_it_is_in_the_window(fit):
    picture, window = np.zeros((90, 120), np.uint8), Window(0.25, 0.2, 0.75, 0.8)
    picture[40:50, 50:62] = 255
    shown = decode_square(encoded(picture), 60, fit, window)
    left, top, right, bottom = (edge * 60 for edge in box_in_square((50, 40, 62, 50), 120, 90, fit, window))
    inside = shown[round(top) : round(bottom), round(left) : round(right)]
    assert inside.mean() > 200
    assert int(shown.sum()) == pytest.approx(int(inside.sum()), rel=0.12)


@pytest.mark.parametrize("fit", SQUARE_FITS)
def test_a_box_that_the_window_does_not_show_has_no_area_and_one_at_its_edge_is_cut_off(fit):
    window = Window(0.25, 0.0, 0.75, 1.0)
    outside = box_in_square((2, 40, 20, 60), 100, 100, fit, window)
    assert outside[0] >= outside[2]
    at_the_edge = box_in_square((2, 40, 45, 60), 100, 100, fit, window)
    whole = box_in_square((25, 40, 45, 60), 100, 100, fit, window)
    assert at_the_edge == pytest.approx(whole)


def test_a_heat_map_lies_on_the_window():
    opacity = heat_map_overlay(np.ones((8, 8), np.float32), 60, 90, "squeeze", Window(0.5, 0.1, 1.0, 0.4))[..., 3]
    assert (opacity[9:36, 30:] == 255).all()
    assert opacity.sum() == 255 * 27 * 30


def test_dice_is_1_for_equal_masks_and_0_for_disjoint_ones():
    mask = mask_of(RIGHT) > 0.5
    half = mask_of((12, 10, 28, 30)) > 0.5
    pairs = [(mask, mask), (mask, mask_of(LEFT) > 0.5), (mask, half), (mask & False, mask & False)]
    scores = dice(*(np.array(masks) for masks in zip(*pairs, strict=True)))
    assert scores == pytest.approx([1, 0, 2 / 3, 1])


@pytest.fixture(scope="module")
def trained() -> tuple[LungNetwork, dict]:
    """A network of a few patients, and its scores."""
    make_deterministic(1, 2)
    images, masks = lungs_of_fresh_patients(FEW["patients"], 1, SIDE, MASK_SIDE, 1)
    return train_lung_network(images, masks, Lungs(**FEW), 1)


def test_a_network_of_few_patients_finds_the_lungs_of_others(trained):
    network, scores = trained
    assert scores["held_out"] == 24
    assert 0.8 < scores["dice"] <= 1
    assert scores["dice_of_twentieth"] < scores["dice"]
    images, masks = lungs_of_fresh_patients(40, 2, SIDE, MASK_SIDE, 1)
    found = network.masks(images)
    assert dice(found > 0.5, masks > 127).mean() > 0.75
    assert dice(network.masks(255 - images) > 0.5, masks > 127).mean() < 0.6  # it looks at the picture
    windows = [lung_window(mask) for mask in found]
    assert sum(window is not None for window in windows) >= 36


def test_another_exposure_makes_no_difference(trained):
    network, _ = trained
    images, _ = lungs_of_fresh_patients(10, 3, SIDE, MASK_SIDE, 1)
    pale = (images * 0.5 + 60).astype(np.uint8)
    assert dice(network.masks(pale) > 0.5, network.masks(images) > 0.5).min() > 0.97


def test_equal_patients_and_seeds_give_equal_weights():
    def weights(seed: int) -> dict[str, np.ndarray]:
        make_deterministic(seed, 2)
        images, masks = lungs_of_fresh_patients(40, seed, SIDE, MASK_SIDE, 1)
        return train_lung_network(images, masks, Lungs(patients=40, epochs=1), seed)[0].arrays()

    first, again, other = weights(1), weights(1), weights(2)
    assert all((first[name] == again[name]).all() for name in first)
    assert not all((first[name] == other[name]).all() for name in first)


def test_windows_of_an_archive_with_a_broken_file(trained, tmp_path):
    images, masks = lungs_of_fresh_patients(6, 4, SIDE, MASK_SIDE, 1)
    members = {f"{number}.png": encoded(image) for number, image in enumerate(images)}
    members |= {"broken.png": b"no image"}
    with Archive(make_zip(tmp_path / "a.zip", members)) as archive:
        found = find_lungs(archive, list(members), trained[0], "keep", 1)
    windows = found.windows
    assert (found.found[-1], windows[-1]) == (False, WHOLE)
    assert sum(found.found) >= 5
    inside = []
    for window, mask in zip(windows, masks, strict=False):
        left, top, right, bottom = window.pixels(MASK_SIDE, MASK_SIDE)
        inside.append((mask[top:bottom, left:right] > 127).sum() / (mask > 127).sum())
    assert np.mean(inside) > 0.9


def test_copies_are_found_in_whole_pictures(trained, tmp_path):
    images, _ = lungs_of_fresh_patients(12, 6, SIDE, MASK_SIDE, 1)
    members = {f"{number}.png": encoded(image) for number, image in enumerate(images)}
    members |= {
        f"copy-{number}.jpg": encoded(Image.fromarray(image).resize((100, 90)), "JPEG", quality=60)
        for number, image in enumerate(images)
    }
    with Archive(make_zip(tmp_path / "a.zip", members)) as archive:
        found = find_lungs(archive, list(members), trained[0], "black", 1)
    assert is_among(found.fingerprints[12:], found.fingerprints[:12]).all()
    assert not is_among(found.fingerprints[:6], found.fingerprints[6:12]).any()


@pytest.fixture(scope="module")
def of_lungs(tmp_path_factory):
    """A toy experiment on lungs: COVID, whose archive has masks, and pneumonia with a trained model."""
    folder = toy_project(tmp_path_factory.mktemp("lungs"))
    settings = {
        "preprocess__region": "lungs",
        "preprocess__outside_lungs": "black",
        "lungs__patients": FEW["patients"],
        "lungs__epochs": FEW["epochs"],
    }
    change_settings(folder / "params.yaml", **(TOY | settings | {"datasets": ["pneumonia", "covid"], "image_size": 48}))
    words = (
        "lungs lungs", "download pneumonia", "preprocess pneumonia", "download covid", "preprocess covid",
        "pictures pneumonia", "profile pneumonia", "pretrained cnn none", "train pneumonia cnn none 1 all",
    )  # fmt: skip
    stages(folder, *(command.split() for command in words))
    return folder


@pytest.fixture(scope="module")
def packed(of_lungs) -> Path:
    """The packed file of the trained model."""
    path, predictions = of_lungs / "packed.keras", of_lungs / "data/predictions/pneumonia/cnn/train-none-seed1-all"
    network = of_lungs / "models/pneumonia/cnn/train-none-seed1-all.keras"
    pack([network], [predictions / "val.csv"], of_lungs / "data/out_of_distribution/pneumonia.npz", path)
    return path


def test_the_arrays_show_the_lungs(of_lungs):
    folder = of_lungs / "data/arrays/covid"
    images, test = pd.read_csv(folder / "images.csv", index_col="name"), open_arrays(folder / "test.npz")
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["region"], summary["outside_lungs"]) == ("lungs", "black")
    assert (test.images == 0).mean() > 0.15
    assert set(read_npz(folder / "fingerprints.npz")) == {"train", "val", "test"}
    windows = [window_of(row) for row in images.to_dict("records")]
    not_found = sum(window == WHOLE for window in windows)
    assert not_found <= len(windows) / 10
    assert [NOT_FOUND in caution for caution in summary.get("cautions", [])].count(True) == (not_found > 0)
    with Archive(of_lungs / "data/raw/covid.zip") as archive:
        shown = lung_masks(archive, test, images, "squeeze")
        whole = lung_masks(archive, test, images[["member"]], "squeeze")
    assert len(shown) > 5
    # Lungs fill more of the picture than before, and hardly any is cut off.
    gain = np.mean([mask.mean() for mask in shown.values()]) / np.mean([mask.mean() for mask in whole.values()])
    assert gain > 1.15
    assert json.loads((of_lungs / "metrics/regions/lungs.json").read_text())["dice"] > 0.8
    assert set(read_npz(folder / "region.npz")) == set(read_npz(of_lungs / "models/regions/lungs.npz"))


def test_a_packed_model_finds_the_lungs_itself(of_lungs, packed):
    make_deterministic(1, 2)
    predictions = of_lungs / "data/predictions/pneumonia/cnn/train-none-seed1-all"
    predictor, table = Predictor(packed), read_predictions(predictions / "test.csv")
    assert (predictor.facts.region, predictor.facts.outside_lungs) == ("lungs", "black")
    images = pd.read_csv(of_lungs / "data/arrays/pneumonia/images.csv", index_col="name")
    with Archive(of_lungs / "data/raw/pneumonia.zip") as archive:
        files = [ImageFile(name, archive.read(images.at[name, "member"])) for name in table.names]
    predicted = list(predictor.predict(files))
    arrays = open_arrays(of_lungs / "data/arrays/pneumonia/test.npz")
    assert [one.window for one in predicted] == [window_of(images.loc[name]) for name in table.names]
    assert all((one.pixels == image).all() for one, image in zip(predicted, arrays.images, strict=True))
    probabilities = np.array([list(one.probabilities.values()) for one in predicted])
    scored = calibrated_probabilities(table.logits, predictor.facts.temperature, multi_label=False)
    assert probabilities == pytest.approx(scored, abs=1e-5)

    images, _ = lungs_of_fresh_patients(30, 5, SIDE, MASK_SIDE, 1)
    of_one_lung = [ImageFile("", encoded(image[SIDE // 2 :, SIDE // 2 :])) for image in images]
    decoded = [predictor.decode(picture) for picture in of_one_lung]
    assert {(NOT_FOUND in one.cautions, one.window == WHOLE) for one in decoded} == {(False, False), (True, True)}


def test_such_a_model_is_adapted_and_predicts_by_command(packed, tmp_path):
    images, _ = lungs_of_fresh_patients(110, 7, SIDE, MASK_SIDE, 1)
    make_zip(tmp_path / "ward.zip", {f"{number}.png": encoded(image) for number, image in enumerate(images)})
    words = ("adapt", str(packed), "ward.zip", "--out", "ward.keras", "--share", "0.3")
    done = run(tmp_path, "chest-transfer", *words, check=False)
    assert done.returncode == 0, done.stderr
    assert "110 radiographs, whose labels were not used" in done.stdout
    adapted = Predictor(tmp_path / "ward.keras")
    assert adapted.lungs is not None
    assert (adapted.facts.region, adapted.facts.regime) == ("lungs", "adapted")


def test_a_model_that_lacks_its_network_of_lungs_is_refused(packed, tmp_path):
    with zipfile.ZipFile(packed) as archive, zipfile.ZipFile(tmp_path / "without.keras", "w") as other:
        for name in archive.namelist():
            if not name.startswith("lungs_"):
                other.writestr(name, archive.read(name))
    with pytest.raises(ChestTransferError, match="lacks the network that finds lungs"):
        next(Predictor(tmp_path / "without.keras").predict([ImageFile("a.png", encoded(np.zeros((64, 64), np.uint8)))]))


def test_the_samples_show_what_a_network_sees(of_lungs):
    with Image.open(of_lungs / "data/pictures/pneumonia/samples.png") as picture:
        assert picture.size[0] > 500
