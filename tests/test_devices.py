"""Several devices in one machine: each batch is spread over them, with the same result as on one device."""

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
from chest_transfer.training.determinism import distribute_over_devices, make_deterministic
make_deterministic(1, 2)
if sys.argv[1] == "two":
    distribute_over_devices("CPU")
from chest_transfer.networks.backbones import build_backbone
from chest_transfer.networks.classifier import build_classifier
from chest_transfer.networks.facts import StartingFacts
from chest_transfer.networks.saving import load_model, save_model
from chest_transfer.training.batches import Batches
from chest_transfer.training.unfreezing import GradualUnfreezing
from test_finetune import SETTINGS as FINETUNE
from test_training import SETTINGS, STARTING_FACTS, fit_classifier, toy_arrays
with tempfile.TemporaryDirectory() as name:
    folder, val = Path(name), toy_arrays(seed=1)
    backbone = build_backbone("cnn", 32)
    if "batch_norm" in sys.argv:
        normalized = keras.layers.BatchNormalization(momentum=0.999)(backbone.output)
        backbone = keras.Model(backbone.input, normalized, name="cnn")
    classifier = build_classifier(backbone, "linear", 2, False)
    settings = SETTINGS.model_copy(update={"epochs": 2, "batch_size": 20})
    history = fit_classifier(classifier, folder / "trained", settings, learning_rate=1e-3)
    save_model(classifier, folder / "model.keras", STARTING_FACTS)
    classifier, _ = load_model(folder / "model.keras", StartingFacts)
    if "finetune" in sys.argv:
        settings = FINETUNE.model_copy(update={"groups": 3, "unfreeze_every": 1})
        unfreezing = GradualUnfreezing(classifier, settings)
        history = fit_classifier(
            classifier, folder / "finetuned", settings, learning_rate=1e-4, section="finetune", unfreezing=unfreezing
        )
    probabilities = classifier.predict(Batches(val, 20), verbose=0)
    print(json.dumps({
        "replicas": tf.distribute.get_strategy().num_replicas_in_sync,
        "val_loss": history["val_loss"].tolist(), "probabilities": probabilities.tolist(),
    }))
"""


def results(devices: str, *variants: str) -> dict:
    """Return what a training on one or two devices prints."""
    path = f"{ROOT / 'src'}:{ROOT / 'tests'}"
    done = run(ROOT, sys.executable, "-c", FITTED, devices, *variants, PYTHONPATH=path)
    return json.loads(done.stdout.splitlines()[-1])


def test_two_devices_learn_what_one_learns():
    one, two = results("one", "finetune"), results("two", "finetune")
    assert (one["replicas"], two["replicas"]) == (1, 2)
    assert two["val_loss"] == pytest.approx(one["val_loss"], rel=1e-3)
    for probabilities, expected in zip(two["probabilities"], one["probabilities"], strict=True):
        assert probabilities == pytest.approx(expected, abs=1e-3)


def test_batch_norm_is_estimated_on_two_devices_too():
    # Chance is 0.69, and worse where its averages are not those of the training images.
    assert results("two", "batch_norm")["val_loss"][-1] < 0.6
