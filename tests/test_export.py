"""Exports: each form is opened again and answers as the model does, with its facts beside it."""

import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from chest_transfer.errors import ChestTransferError
from chest_transfer.networks.backbones import build_backbone
from chest_transfer.networks.classifier import build_classifier
from chest_transfer.serving import exporting, parity
from chest_transfer.serving.exporting import FORMS, export
from chest_transfer.serving.parity import Sample, area_change, sample_like
from chest_transfer.training.determinism import pin

FACTS = {"classes": ["healthy", "ill"], "temperature": 1.5, "multi_label": False}
# Warnings of other packages while they convert.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def network():
    pin(seed=1, threads=2)
    return build_classifier(build_backbone("mobilenetv2", 48, alpha=0.35), "dense256", 2, multi_label=False)


@pytest.fixture(scope="module")
def sample() -> Sample:
    images = np.random.default_rng(1).integers(0, 256, (6, 48, 48), dtype=np.uint8)
    return Sample(images, images, "noise", np.eye(2)[[0, 1, 0, 1, 0, 1]], np.array(list("aabbcd")))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_answers_as_the_model_does(network, sample, form, tmp_path):
    for package in {"tflite": ["ai_edge_litert"], "onnx": ["tf2onnx", "onnxruntime"]}.get(form.split("-")[0], []):
        pytest.importorskip(package)
    made = export(network, FACTS, form, tmp_path / "model", sample)
    assert made.farthest <= exporting.FARTHEST.get(form, 0.1)
    change, low, high = made.area
    assert low <= change <= high
    assert change == 0 or form.startswith("tflite-")
    facts = [json.loads((tmp_path / "model.facts.json").read_text())]
    if made.path.is_dir():
        facts.append(json.loads((made.path / "facts.json").read_text()))
    assert facts == [FACTS] * len(facts)


def test_an_export_that_answers_otherwise_is_not_written(network, sample, tmp_path, monkeypatch):
    write, _ = FORMS["h5"]
    monkeypatch.setitem(FORMS, "h5", (write, lambda path: lambda inputs: np.zeros((len(inputs), 2))))
    with pytest.raises(ChestTransferError, match=r"away from the model .*nothing was written"):
        export(network, FACTS, "h5", tmp_path / "model.h5", sample)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_form_is_told(network, sample, tmp_path):
    with pytest.raises(ChestTransferError, match=r"unknown form 'pt' .*h5, savedmodel"):
        export(network, FACTS, "pt", tmp_path / "model.pt", sample)


def test_without_a_datasets_arrays_simulated_radiographs_are_compared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(parity, "EXAMPLES", 8)
    sample = sample_like("pneumonia", 32)
    assert sample.images.shape[1:] == sample.examples.shape[1:] == (32, 32)
    assert min(len(sample.images), len(sample.examples)) >= 6
    assert sample.said.endswith("simulated radiographs")
    assert area_change(sample, FACTS, np.zeros((8, 2)), np.zeros((8, 2))) is None


def test_what_an_export_loses_is_told_with_an_interval():
    truth, chance = np.arange(200) % 2, np.random.default_rng(3)
    good = np.clip(truth * 0.4 + chance.uniform(0, 0.6, 200), 0.01, 0.99)
    worse = np.clip(good + chance.normal(0, 0.3, 200), 0.01, 0.99)
    told = Sample(np.zeros((200, 2, 2), np.uint8), None, "", np.eye(2)[truth], np.arange(200).astype(str))
    both = [np.stack([1 - ill, ill], axis=1) for ill in (good, worse)]
    change, low, high = area_change(told, FACTS, *both)
    assert low < change < high < 0
    assert change == pytest.approx(roc_auc_score(truth, worse) - roc_auc_score(truth, good))
    assert area_change(told, FACTS, both[0], both[0]) == (0, 0, 0)
