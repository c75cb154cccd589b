"""Several devices in one machine: each batch is spread over them, and what is learnt is what one device learns."""

import json
import sys

import pytest
from conftest import ROOT, run

# In a process of its own: devices cannot be divided once TensorFlow has used them.
FITTED = """
import json, sys, tempfile
from pathlib import Path
import keras
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from chest_transfer.training.determinism import mirror, pin
pin(1, 2)
if sys.argv[1] == "two":
    mirror("CPU")
from chest_transfer.networks.backbones import build_backbone
from chest_transfer.networks.classifier import build_classifier
from chest_transfer.networks.saving import load_model, save_model
from chest_transfer.training.batches import Batches
from chest_transfer.training.checkpoints import Checkpoints
from chest_transfer.training.fitting import fit
from chest_transfer.training.unfreezing import Unfreezing
from test_finetune import SETTINGS as FINETUNE
from test_training import SETTINGS, blobs
with tempfile.TemporaryDirectory() as name:
    folder, split = Path(name), blobs(seed=1)
    backbone = build_backbone("cnn", 32)
    if "batch_norm" in sys.argv:
        normalized = keras.layers.BatchNormalization(momentum=0.999)(backbone.output)
        backbone = keras.Model(backbone.input, normalized, name="cnn")
    model = build_classifier(backbone, "linear", 2, False)
    asked = SETTINGS.model_copy(update={"epochs": 2, "batch_size": 20})
    history = fit(model, blobs(), split, asked, 1e-3, False, 1, Checkpoints(folder / "trained", {}, []))
    save_model(model, folder / "model.keras", {})
    model, _ = load_model(folder / "model.keras")
    if "finetune" in sys.argv:
        asked = FINETUNE.model_copy(update={"groups": 3, "every": 1})
        arguments = asked, 1e-4, False, 1, Checkpoints(folder / "tuned", {}, []), Unfreezing(model, asked)
        history = fit(model, blobs(), split, *arguments)
    probabilities = model.predict(Batches(split, 20), verbose=0)
    print(json.dumps({
        "replicas": tf.distribute.get_strategy().num_replicas_in_sync,
        "val_loss": history["val_loss"].tolist(), "probabilities": probabilities.tolist(),
    }))
"""


def fitted(devices: str, *more: str) -> dict:
    path = f"{ROOT / 'src'}:{ROOT / 'tests'}"
    done = run(ROOT, sys.executable, "-c", FITTED, devices, *more, PYTHONPATH=path)
    return json.loads(done.stdout.splitlines()[-1])


def test_two_devices_learn_what_one_learns():
    one, two = fitted("one", "finetune"), fitted("two", "finetune")
    assert (one["replicas"], two["replicas"]) == (1, 2)
    assert two["val_loss"] == pytest.approx(one["val_loss"], rel=1e-3)
    for row, same in zip(two["probabilities"], one["probabilities"], strict=True):
        assert row == pytest.approx(same, abs=1e-3)


def test_batch_norm_is_estimated_on_two_devices_too():
    # Chance is 0.69, and worse where its averages are not those of the training images.
    assert fitted("two", "batch_norm")["val_loss"][-1] < 0.6
