"""Exports: each form is opened again and answers as the model does, with its facts beside it."""

import json

import numpy as np
import pytest

from chest_transfer.errors import ChestTransferError
from chest_transfer.networks.backbones import build_backbone
from chest_transfer.networks.classifier import build_classifier
from chest_transfer.serving import exporting
from chest_transfer.serving.exporting import FORMS, export, pictures_like
from chest_transfer.training.determinism import pin

FACTS = {"classes": ["healthy", "ill"], "temperature": 1.5}
# Warnings of other packages while they convert.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def network():
    pin(seed=1, threads=2)
    return build_classifier(build_backbone("mobilenetv2", 48, alpha=0.35), "dense256", 2, multi_label=False)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (6, 48, 48), dtype=np.uint8)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_answers_as_the_model_does(network, images, form, tmp_path):
    for package in {"tflite": ["ai_edge_litert"], "onnx": ["tf2onnx", "onnxruntime"]}.get(form.split("-")[0], []):
        pytest.importorskip(package)
    made = export(network, FACTS, form, tmp_path / "model", images, images)
    assert made.farthest <= exporting.FARTHEST.get(form, 0.1)
    facts = [json.loads((tmp_path / "model.facts.json").read_text())]
    if made.path.is_dir():
        facts.append(json.loads((made.path / "facts.json").read_text()))
    assert facts == [FACTS] * len(facts)


def test_an_export_that_answers_otherwise_is_not_written(network, images, tmp_path, monkeypatch):
    write, _ = FORMS["h5"]
    monkeypatch.setitem(FORMS, "h5", (write, lambda path: lambda inputs: np.zeros((len(inputs), 2))))
    with pytest.raises(ChestTransferError, match=r"away from the model .*nothing was written"):
        export(network, FACTS, "h5", tmp_path / "model.h5", images, images)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_form_is_told(network, images, tmp_path):
    with pytest.raises(ChestTransferError, match=r"unknown form 'pt' .*h5, savedmodel"):
        export(network, FACTS, "pt", tmp_path / "model.pt", images, images)


def test_without_a_datasets_arrays_simulated_radiographs_are_compared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(exporting, "MOST", 8)
    images, examples, said = pictures_like("pneumonia", 32)
    assert images.shape[1:] == examples.shape[1:] == (32, 32)
    assert min(len(images), len(examples)) >= 6
    assert said == "simulated radiographs"
