"""What training did to networks, block by block: moved weights, similarity, what blocks are needed, transfusion."""

import json

import keras
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, change_settings, stages, toy_project

from chest_transfer.data.arrays import open_arrays
from chest_transfer.errors import ChestTransferError
from chest_transfer.evaluation.representations import block_records, compare_networks, representations_of
from chest_transfer.evaluation.similarity import cka, linear_kernel
from chest_transfer.model_names import ModelName
from chest_transfer.networks.backbones import build_backbone
from chest_transfer.networks.blocks import block_outputs, blocks_of
from chest_transfer.networks.classifier import build_classifier
from chest_transfer.networks.facts import ClassifierFacts
from chest_transfer.networks.saving import save_model
from chest_transfer.networks.starting_points import load_starting_point
from chest_transfer.reporting import charts
from chest_transfer.reporting.dataset_charts import block_charts
from chest_transfer.reporting.gathering import gather
from chest_transfer.reporting.transfusion import transfusion
from chest_transfer.settings import read_settings

RNG = np.random.default_rng(0)


def similarity(first: np.ndarray, second: np.ndarray) -> float:
    return cka(linear_kernel(first), linear_kernel(second))


class TestSimilarity:
    @pytest.mark.parametrize("features", [5, 2000])  # fewer and more than images
    def test_turned_and_scaled_features_are_the_same_and_unrelated_ones_are_not(self, features):
        first, second = RNG.normal(size=(2, 100, features))
        turn = np.linalg.qr(RNG.normal(size=(features, features)))[0]
        assert similarity(first, first) == pytest.approx(1)
        assert similarity(first, 3 * first @ turn) == pytest.approx(1)
        assert abs(similarity(first, second)) < 0.15

    def test_with_many_images_it_is_the_plain_estimate(self):
        first = RNG.normal(size=(3000, 4))
        second = first @ RNG.normal(size=(4, 6)) + RNG.normal(size=(3000, 6))
        one, other = (features - features.mean(axis=0) for features in (first, second))
        # Equation 1 and the text below it in Kornblith et al.: for centered features.
        plain = np.linalg.norm(other.T @ one) ** 2 / np.linalg.norm(one.T @ one) / np.linalg.norm(other.T @ other)
        assert similarity(first, second) == pytest.approx(plain, abs=0.01)

    def test_where_all_images_are_alike_there_is_none(self):
        assert np.isnan(similarity(np.zeros((10, 3)), RNG.normal(size=(10, 3))))


@pytest.mark.parametrize("size", [75, 112])  # at 75 pixels, padding of 5 x 5 maps is nearer to 10 x 10
@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("cnn", ["block1_conv", "block2_conv", "block3_conv", "block4_conv2"]),
        ("resnet50", ["conv1_relu", "conv2_block3_out", "conv3_block4_out", "conv4_block6_out", "conv5_block3_out"]),
        ("mobilenetv2", ["block_1_expand_relu", "block_3_expand_relu", "block_6_expand_relu", "block_13_expand_relu",
                         "out_relu"]),
    ],
)  # fmt: skip
def test_each_block_ends_with_the_maps_that_all_later_ones_read(name, size, ends):
    backbone = build_backbone(name, size)
    assert len(blocks_of(backbone)) == len(ends)
    assert [output._keras_history.operation.name for output in block_outputs(backbone)] == ends


def test_a_block_ends_with_the_sum_and_not_with_a_branch():
    backbone = build_backbone("convnext_tiny", 64)
    operations = [output._keras_history.operation for output in block_outputs(backbone)]
    assert [type(operation).__name__ for operation in operations] == ["Add", "Add", "Add", "LayerNormalization"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A toy project with the stages before training, and two starts."""
    folder = toy_project(tmp_path_factory.mktemp("blocks"))
    change_settings(folder / "params.yaml", weights=["none", "phantom"], train__weights=["none", "phantom"])
    change_settings(folder / "params.yaml", representations=["pneumonia"], train__epochs=1, probe__epochs=1)
    words = (
        "download pneumonia", "preprocess pneumonia", "profile pneumonia", "shortcuts pneumonia", "explore pneumonia",
        "overlap",
        "pretrained cnn none", "pretrained cnn phantom", "embed pneumonia cnn none 1", "embed pneumonia cnn phantom",
        "probe pneumonia cnn none 1 all", "probe pneumonia cnn phantom 1 all", "train pneumonia cnn none 1 all",
        "train pneumonia cnn phantom 1 all", "evaluate pneumonia", "representations pneumonia cnn",
    )  # fmt: skip
    stages(folder, *(command.split() for command in words))
    return folder


class TestMeasures:
    @pytest.fixture
    def look_into(self, project, monkeypatch):
        """A function that looks into a network whose second block was changed by a factor after its start."""
        monkeypatch.chdir(project)

        def look(factor: float, seed: int = 1):
            backbone, facts = load_starting_point("cnn", "none", seed)
            backbone.get_layer("block2_conv").kernel.assign(factor * backbone.get_layer("block2_conv").kernel)
            name = ModelName("pneumonia", "cnn", "train", "none", seed, patients=7)
            of_file = {
                "dataset": "pneumonia",
                "regime": "train",
                "classes": ["NORMAL", "PNEUMONIA"],
                "fit": "squeeze",
                "region": "whole",
            }
            of_file |= {"multi_label": False, "seed": seed, "patients": 7, "settings": {}}
            keras.utils.set_random_seed(seed)
            save_model(
                build_classifier(backbone, "linear", 2, False),
                name.network,
                ClassifierFacts(**facts.model_dump(), **of_file),
            )
            return representations_of(name, open_arrays("data/arrays/pneumonia/test.npz"), rounds=50, seed=1)

        return look

    def test_nothing_changed_without_training(self, look_into):
        found = look_into(1.0)
        assert (found.moved == 0).all()
        assert found.similarity == pytest.approx(np.ones(4))
        assert (found.area_changes[~np.isnan(found.area_changes)] == 0).all()  # nobody is ill in some resamples

    def test_only_the_block_that_was_changed_moved(self, look_into):
        found = look_into(-1.0, seed=2)  # kernels turned round: twice their length away; biases are 0
        assert found.moved == pytest.approx([0, 2, 0, 0])
        assert found.similarity[0] == pytest.approx(1)
        assert found.similarity[1] < 0.99
        assert (found.area_changes[[0, 2, 3], 0] == 0).all()  # reset to what they are
        assert found.area_changes[1, 0] != 0

    def test_seeds_are_averaged_and_compared_with_each_other(self, look_into):
        fits = [look_into(-1.0), look_into(2.0, seed=2)]
        record = block_records(fits)["train"]["none"]["2"]
        assert record["moved"] == pytest.approx((2 + 1) / 2)
        assert record["auc"] == pytest.approx(np.mean([fit.area_changes[1, 0] for fit in fits]), abs=1e-6)
        assert record["auc_low"] is None  # of so few patients
        assert set(compare_networks(fits)["model"]) == {"train: none, two seeds"}


def test_the_stage_measures_every_trained_network_and_the_report_draws_them(project, monkeypatch):
    monkeypatch.chdir(project)
    records = json.loads((project / "metrics/representations/pneumonia.json").read_text())
    assert {regime: set(starts) for regime, starts in records.items()} == {"train": {"none", "phantom"}}
    for blocks in records["train"].values():
        assert list(blocks) == ["1", "2", "3", "4"]
        assert all(record["moved"] > 0 and record["similarity"] <= 1 for record in blocks.values())
    networks = pd.read_csv(project / "metrics/representations/pneumonia/networks.csv")
    assert set(networks["model"]) == {"train: phantom and none"}
    [dataset] = gather(read_settings())[0]
    assert [chart.name for chart in block_charts(dataset)] == ["moved", "similarity", "reset", "networks"]
    assert all("<svg" in chart.on_page()["svg"] for chart in block_charts(dataset))


def test_of_an_experiment_that_did_not_ask_for_it_nothing_is_shown(project, monkeypatch):
    monkeypatch.chdir(project)
    settings = read_settings().model_copy(update={"representations": ()})
    assert block_charts(gather(settings)[0][0]) == []


def test_a_dataset_that_is_not_trained_on_is_refused(tmp_path):
    toy = toy_project(tmp_path)
    change_settings(toy / "params.yaml", representations=["covid"])
    with pytest.raises(ChestTransferError, match=r"unknown dataset in representations 'covid'.*where they are trained"):
        read_settings(toy / "params.yaml")


def test_transfusion_counts_pretrained_blocks_from_none_to_all(tmp_path):
    toy = toy_project(tmp_path)
    partial = {f"imagenet_{blocks}": {"weights": "imagenet", "blocks": blocks} for blocks in (2, 1)}
    change_settings(
        toy / "params.yaml", model="mobilenetv2", partial_weights=partial, weights=["none", *partial, "imagenet"]
    )
    scores = {
        f"{regime}-{start}": {"auc": auc, "auc_low": auc - 0.1, "auc_high": auc + 0.1}
        for regime in ("probe", "train")
        for start, auc in {"none": 0.6, "imagenet_2": 0.8, "imagenet_1": 0.7, "imagenet": 0.85}.items()
        if regime == "probe" or start in ("none", "imagenet")
    }
    table = transfusion(scores, read_settings(toy / "params.yaml"))
    other = table.iloc[[1]].assign(model="probe, mine", blocks="3")  # of other weights, which have other numbers
    axes = charts.by_block(pd.concat([table, other]), "blocks", "auc", ("blocks", "AUC")).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1", "2", "3", "all"]
    assert table["blocks"].to_list() == ["0", "1", "2", "all"]
    assert table["auc"].to_list() == [0.6, 0.7, 0.8, 0.85]
    assert set(table["model"]) == {"probe, imagenet"}
    assert transfusion(scores, read_settings(ROOT / "params.yaml")).empty
