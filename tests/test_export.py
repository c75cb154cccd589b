"""Exports: each form is opened again and gives the model's probabilities, with its facts beside it."""

import json

import keras
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from chest_transfer.errors import ChestTransferError
from chest_transfer.networks.backbones import build_backbone
from chest_transfer.networks.classifier import build_classifier
from chest_transfer.networks.facts import PackedFacts
from chest_transfer.serving import exporting, parity
from chest_transfer.serving.exporting import FORMS, export
from chest_transfer.serving.parity import Sample, area_change, sample_like
from chest_transfer.training.determinism import make_deterministic

FACTS = PackedFacts(
    backbone="mobilenetv2", weights="none", weights_sha256=None, image_size=48, precision="float32",
    preprocessing="minus_one_to_one", dataset="pneumonia", regime="train", classes=["healthy", "ill"],
    multi_label=False, fit="squeeze", region="whole", settings={}, seed=1, patients=None, temperature=1.5,
    thresholds={"youden": [0.5, 0.5]}, validation=[],
    cutoffs={"0.1": [[0.0, 0.4], [0.0, 0.3]]},
)  # fmt: skip
# Packages that convert models warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def network():
    """The first blocks of a MobileNetV2: layers of all its kinds, which take a quarter of the time to convert."""
    make_deterministic(seed=1, threads=2)
    whole = build_backbone("mobilenetv2", 48, alpha=0.35)
    backbone = keras.Model(whole.input, whole.get_layer("block_3_project_BN").output, name=whole.name)
    assert {type(layer) for layer in backbone.layers} == {type(layer) for layer in whole.layers}
    return build_classifier(backbone, "dense256", 2, multi_label=False)


@pytest.fixture(scope="module")
def sample() -> Sample:
    images = np.random.default_rng(1).integers(0, 256, (6, 48, 48), dtype=np.uint8)
    return Sample(images, images, "noise", np.eye(2)[[0, 1, 0, 1, 0, 1]], np.array(list("aabbcd")))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_probabilities_of_the_model(network, sample, form, tmp_path):
    for package in {"tflite": ["ai_edge_litert"], "onnx": ["tf2onnx", "onnxruntime"]}.get(form.split("-")[0], []):
        pytest.importorskip(package)
    exported = export(network, FACTS, form, tmp_path / "model", sample)
    assert exported.largest_difference <= exporting.TOLERANCE.get(form, 0.1)
    change, low, high = exported.area_change
    assert low <= change <= high
    assert change == 0 or form.startswith("tflite-")
    written = [json.loads((tmp_path / "model.facts.json").read_text())]
    if exported.path.is_dir():
        written.append(json.loads((exported.path / "facts.json").read_text()))
    assert written == [FACTS.model_dump()] * len(written)


def test_a_form_that_cannot_hold_a_backbone_is_refused(network, sample, tmp_path):
    facts = FACTS.model_copy(update={"backbone": "convnext_tiny"})
    with pytest.raises(ChestTransferError, match=r"cannot be exported as onnx \(allowed: savedmodel, tflite, "):
        export(network, facts, "onnx", tmp_path / "model.onnx", sample)


def test_an_export_with_other_probabilities_is_not_written(network, sample, tmp_path, monkeypatch):
    write, _ = FORMS["h5"]
    monkeypatch.setitem(FORMS, "h5", (write, lambda path: lambda inputs: np.zeros((len(inputs), 2))))
    with pytest.raises(ChestTransferError, match=r"differs from the model by up to .*nothing was written"):
        export(network, FACTS, "h5", tmp_path / "model.h5", sample)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_form_is_refused(network, sample, tmp_path):
    with pytest.raises(ChestTransferError, match=r"unknown form 'pt' .*h5, savedmodel"):
        export(network, FACTS, "pt", tmp_path / "model.pt", sample)


def test_without_a_datasets_arrays_simulated_radiographs_are_compared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(parity, "MOST_EXAMPLES", 8)
    sample = sample_like(FACTS.model_copy(update={"dataset": "pneumonia", "image_size": 32}))
    assert sample.images.shape[1:] == sample.examples.shape[1:] == (32, 32)
    assert min(len(sample.images), len(sample.examples)) >= 6
    assert sample.description.endswith("simulated radiographs")
    assert area_change(sample, FACTS, np.zeros((8, 2)), np.zeros((8, 2))) is None


def test_the_change_of_the_area_has_an_interval():
    labels, rng = np.arange(200) % 2, np.random.default_rng(3)
    good = np.clip(labels * 0.4 + rng.uniform(0, 0.6, 200), 0.01, 0.99)
    worse = np.clip(good + rng.normal(0, 0.3, 200), 0.01, 0.99)
    sample = Sample(np.zeros((200, 2, 2), np.uint8), None, "", np.eye(2)[labels], np.arange(200).astype(str))
    model, exported = [np.stack([1 - disease, disease], axis=1) for disease in (good, worse)]
    change, low, high = area_change(sample, FACTS, model, exported)
    assert low < change < high < 0
    assert change == pytest.approx(roc_auc_score(labels, worse) - roc_auc_score(labels, good))
    assert area_change(sample, FACTS, model, model) == (0, 0, 0)
