"""From one disease to the next: a model applied to another dataset as it is, trained on it, scored without overlap."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import change_settings, stages, toy_project
from scipy.special import expit, softmax

from chest_transfer.data.arrays import open_arrays, write_arrays
from chest_transfer.data.findings import NIH_FINDINGS
from chest_transfer.data.predictions import Predictions, read_predictions
from chest_transfer.errors import ChestTransferError
from chest_transfer.evaluation.health import as_health, health_logits, is_health
from chest_transfer.evaluation.operating_points import calibrated_log_odds, calibrated_probabilities
from chest_transfer.networks.backbones import build_backbone
from chest_transfer.networks.classifier import backbone_of, build_classifier
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import make_deterministic

TWO = {"datasets": ["pneumonia", "tuberculosis"], "transfer__sources": ["tuberculosis"], "transfer__weights": "none",
       "transfer__epochs": 1}  # fmt: skip


@pytest.fixture(autouse=True)
def deterministic():
    make_deterministic(seed=1, threads=2)


def health_probabilities(logits: np.ndarray, multi_label: bool) -> np.ndarray:
    return calibrated_probabilities(
        health_logits(logits, list(NIH_FINDINGS[: logits.shape[1]]), multi_label), 1.0, multi_label=False
    )


def test_classes_become_healthy_and_diseased():
    covid = np.log([[0.7, 0.1, 0.1, 0.1], [0.2, 0.5, 0.2, 0.1]])
    assert health_probabilities(covid, multi_label=False) == pytest.approx(np.array([[0.7, 0.3], [0.2, 0.8]]))
    p = np.array([[0.1, 0.3, 0.2], [0.9, 0.8, 0.1]])
    findings = np.log(p / (1 - p))
    assert health_probabilities(findings, multi_label=True) == pytest.approx(np.array([[0.7, 0.3], [0.1, 0.9]]))


@pytest.mark.parametrize("spread", [1, 10, 60])
@pytest.mark.parametrize("classes", [2, 4, 14])
def test_health_logits_give_the_probabilities_that_the_classes_have(classes, spread):
    logits = spread * np.random.default_rng(1).normal(size=(500, classes))
    exclusive = 1 - softmax(logits, axis=1)[:, 0]
    assert health_probabilities(logits, multi_label=False)[:, 1] == pytest.approx(exclusive, abs=1e-12)
    independent = expit(logits).max(axis=1)
    assert health_probabilities(logits, multi_label=True)[:, 1] == pytest.approx(independent, abs=1e-12)
    assert health_probabilities(logits, multi_label=False).sum(axis=1) == pytest.approx(1)


def test_health_logits_keep_an_order_that_probabilities_round_away():
    disease = np.linspace(50, 500, 30)  # probabilities of disease that are all rounded to 1
    findings = np.stack([disease, disease - 1, np.full(30, -3.0)], axis=1)
    assert (expit(findings).max(axis=1) == 1).all()
    for logits, multi_label in ((findings, True), (np.hstack([np.zeros((30, 1)), findings]), False)):
        log_odds = calibrated_log_odds(
            health_logits(logits, list(NIH_FINDINGS[: logits.shape[1]]), multi_label), 1.0, multi_label=False
        )
        assert (np.diff(log_odds[:, 1]) > 0).all()


def test_predictions_of_healthy_and_diseased_have_the_labels_of_the_target(tmp_path):
    names, findings = np.array(["a", "b", "c"]), np.array([[0, 0], [0, 1], [1, 1]])
    logits = np.log([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])
    seen = np.array([False, True, False])
    applied = Predictions(names, names, findings, logits, ["Mass", "Nodule"], ["Normal", "Tuberculosis"], seen)
    applied.table().to_csv(tmp_path / "test.csv", index=False)
    read = as_health(read_predictions(tmp_path / "test.csv"), multi_label_labels=True)
    assert not is_health(applied)
    assert is_health(read)
    assert read.classes == ["healthy", "diseased"]
    assert read.labels[:, 1].tolist() == [0, 1, 1]
    assert calibrated_probabilities(read.logits, 1.0, False)[:, 1] == pytest.approx([0.1, 0.6, 0.8])
    assert read.seen.tolist() == [False, True, False]


def test_the_backbone_of_a_classifier_keeps_its_weights_and_is_trainable():
    backbone = build_backbone("mobilenetv2", 32)
    classifier = build_classifier(backbone, "dense256", 2, multi_label=False)
    classifier.layers[3].trainable = False
    again = backbone_of(classifier)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 1))
    assert (again.predict(pixels, verbose=0) == backbone.predict(pixels, verbose=0)).all()
    assert all(layer.trainable for layer in again.layers)
    assert build_classifier(again, "linear", 14, multi_label=True).output_shape == (None, 14)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"transfer__sources": ["covid"]}, "unknown dataset of transfer 'covid' (allowed: pneumonia, tuberculosis)"),
        ({"transfer__sources": ["pneumonia"]}, "contains the target 'pneumonia' itself"),
        ({"transfer__regime": "finetune"}, "the experiment has no such finetune model (allowed: none)"),
        ({"transfer__weights": "imagenet"}, "the experiment has no such train model (allowed: none)"),
    ],
)
def test_an_impossible_transfer_is_an_error(tmp_path, change, message):
    folder = toy_project(tmp_path)
    change_settings(folder / "params.yaml", **(TWO | change))
    with pytest.raises(ChestTransferError) as error:
        read_settings(folder / "params.yaml")
    assert message in str(error.value)


def test_images_that_the_model_was_trained_on_are_found_and_left_out(tmp_path):
    folder = toy_project(tmp_path)
    change_settings(folder / "params.yaml", **TWO)
    stages(folder, *((name, dataset) for dataset in TWO["datasets"] for name in ("download", "preprocess")))
    test = open_arrays(folder / "data/arrays/pneumonia/test.npz")
    train = open_arrays(folder / "data/arrays/tuberculosis/train.npz")
    images = np.concatenate([train.images[4:], test.images[:4]])
    columns = {name: getattr(train, name) for name in ("labels", "patients", "names", "classes")}
    write_arrays(folder / "new.npz", "images", "uint8", images.shape, [images], **columns)
    (folder / "new.npz").replace(folder / "data/arrays/tuberculosis/train.npz")
    output = stages(
        folder,
        *(("profile", dataset) for dataset in TWO["datasets"]),
        ("pretrained", "cnn_strided", "none"),
        ("train", "tuberculosis", "cnn_strided", "none", "1", "all"),
        ("as_is", "pneumonia", "cnn_strided", "tuberculosis", "1"),
        ("adapted", "pneumonia", "cnn_strided", "tuberculosis", "1"),
    )
    count = len(test.labels)
    assert f"4 of {count} test radiographs of pneumonia are in tuberculosis's training or validation split" in output
    predictions = folder / "data/predictions/pneumonia/cnn_strided/as_is-tuberculosis-seed1-all"
    table = pd.read_csv(predictions / "test.csv")
    assert table["seen"].tolist() == [1] * 4 + [0] * (count - 4)
    assert list(table)[2:6] == ["label:NORMAL", "label:PNEUMONIA", "logit:Normal", "logit:Tuberculosis"]
    # Its calibration comes from the validation split of the dataset that it was trained on.
    source = folder / "data/predictions/tuberculosis/cnn_strided/train-none-seed1-all"
    assert (predictions / "val.csv").read_bytes() == (source / "val.csv").read_bytes()
    # There are too few to adapt to: the model is as it was, and that is said.
    adapted = folder / "data/predictions/pneumonia/cnn_strided/adapted-tuberculosis-seed1-all"
    assert " radiographs are too few" in output
    assert "are too few" in json.loads((adapted / "adaptation.json").read_text())["statistics"]
    pd.testing.assert_frame_equal(pd.read_csv(adapted / "test.csv"), table, atol=1e-5)
