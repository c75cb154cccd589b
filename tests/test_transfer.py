"""From one disease to the next: a model judged on another dataset as it is, trained on, and scored without overlap."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import TOY, all_stages, change_settings, stages, toy_project, toy_repository

from chest_transfer.data.arrays import open_arrays, write_arrays
from chest_transfer.data.predictions import read_predictions
from chest_transfer.errors import ChestTransferError
from chest_transfer.evaluation.meaning import as_health, health_table
from chest_transfer.networks.backbones import build_backbone
from chest_transfer.networks.classifier import backbone_of, build_classifier
from chest_transfer.networks.saving import load_model
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import pin

TWO = {"datasets": ["pneumonia", "tuberculosis"], "transfer__sources": ["tuberculosis"], "transfer__weights": "none",
       "transfer__epochs": 1}  # fmt: skip


@pytest.fixture(autouse=True)
def pinned():
    pin(seed=1, threads=2)


def test_classes_are_matched_by_meaning():
    covid = np.array([[0.7, 0.1, 0.1, 0.1], [0.2, 0.5, 0.2, 0.1]])
    assert as_health(covid, multi_label=False) == pytest.approx(np.array([[0.7, 0.3], [0.2, 0.8]]))
    findings = np.array([[0.1, 0.3, 0.2], [0.9, 0.8, 0.1]])
    assert as_health(findings, multi_label=True) == pytest.approx(np.array([[0.7, 0.3], [0.1, 0.9]]))


def test_a_table_of_health_tells_the_truth_of_the_target(tmp_path):
    names, findings = np.array(["a", "b", "c"]), np.array([[0, 0], [0, 1], [1, 1]])
    said = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])
    table = health_table(names, names, findings, True, said, False).assign(seen=[0, 1, 0])
    table.to_csv(tmp_path / "test.csv", index=False)
    read = read_predictions(tmp_path / "test.csv")
    assert read.classes == ["healthy", "diseased"]
    assert read.truth[:, 1].tolist() == [0, 1, 1]
    assert read.probabilities[:, 1] == pytest.approx([0.1, 0.6, 0.8])
    assert read.seen.tolist() == [False, True, False]


def test_the_backbone_of_a_classifier_keeps_its_weights_and_learns():
    backbone = build_backbone("mobilenetv2", 32)
    classifier = build_classifier(backbone, "dense256", 2, multi_label=False)
    classifier.layers[3].trainable = False
    again = backbone_of(classifier)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 1))
    assert (again.predict(pixels, verbose=0) == backbone.predict(pixels, verbose=0)).all()
    assert all(layer.trainable for layer in again.layers)
    assert build_classifier(again, "linear", 14, multi_label=True).output_shape == (None, 14)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"transfer__sources": ["covid"]}, "unknown dataset of transfer 'covid' (allowed: pneumonia, tuberculosis)"),
        ({"transfer__sources": ["pneumonia"]}, "names the target 'pneumonia' itself"),
        ({"transfer__regime": "finetune"}, "no such finetune model is made (allowed: none)"),
        ({"transfer__weights": "imagenet"}, "no such train model is made (allowed: none)"),
    ],
)
def test_an_impossible_transfer_is_refused(tmp_path, change, told):
    folder = toy_project(tmp_path)
    change_settings(folder / "params.yaml", **(TWO | change))
    with pytest.raises(ChestTransferError) as error:
        read_settings(folder / "params.yaml")
    assert told in str(error.value)


def test_images_that_the_model_learnt_from_are_found_and_left_out(tmp_path):
    folder = toy_project(tmp_path)
    change_settings(folder / "params.yaml", **TWO)
    stages(folder, *((name, dataset) for dataset in TWO["datasets"] for name in ("download", "preprocess")))
    test = open_arrays(folder / "data/arrays/pneumonia/test.npz")
    learnt = open_arrays(folder / "data/arrays/tuberculosis/train.npz")
    images = np.concatenate([learnt.images[4:], test.images[:4]])
    columns = {name: getattr(learnt, name) for name in ("labels", "patients", "names", "classes")}
    write_arrays(folder / "new.npz", "images", "uint8", images.shape, [images], **columns)
    (folder / "new.npz").replace(folder / "data/arrays/tuberculosis/train.npz")
    told = stages(
        folder,
        ("pretrained", "cnn_strided", "none"),
        ("train", "tuberculosis", "cnn_strided", "none"),
        ("as_is", "pneumonia", "cnn_strided", "tuberculosis"),
    )
    assert f"4 of {len(test.labels)} test radiographs of pneumonia are among those" in told
    table = pd.read_csv(folder / "data/predictions/pneumonia/cnn_strided/as_is-tuberculosis/test.csv")
    assert table["seen"].tolist() == [1] * 4 + [0] * (len(test.labels) - 4)


def test_the_graph_transfers_from_one_dataset_to_the_next(tmp_path):
    folder = toy_repository(tmp_path, model="cnn_strided", **(TOY | TWO | {"train__epochs": 1, "probe__epochs": 1}))
    all_stages(folder)
    metrics = json.loads((folder / "metrics/pneumonia.json").read_text())
    assert set(metrics) == {"probe", "train", "as_is", "transfer"}
    for regime in ("as_is", "transfer"):
        scores = metrics[regime]["tuberculosis"]
        assert scores["overlap"] == 0
        assert scores["auc_with_overlap"] == scores["auc"]
    _, facts = load_model(folder / "models/pneumonia/cnn_strided/transfer-tuberculosis.keras")
    assert (facts["dataset"], facts["source"], facts["weights"]) == ("pneumonia", "tuberculosis", "none")
