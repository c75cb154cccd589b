"""Fine-tuning: which layers learn, when and how fast; frozen batch norm; never worse on validation than its start."""

import keras
import numpy as np
import pandas as pd
import pytest
from conftest import change_settings, refused, stage, stages, toy_project
from test_training import CONSTANT, NO_AUGMENTATION, blobs

from chest_transfer.errors import ChestTransferError
from chest_transfer.networks.backbones import build_backbone
from chest_transfer.networks.classifier import build_classifier
from chest_transfer.networks.saving import load_model
from chest_transfer.settings import Finetune
from chest_transfer.training.checkpoints import Checkpoints
from chest_transfer.training.determinism import pin
from chest_transfer.training.fitting import fit
from chest_transfer.training.unfreezing import Unfreezing

SETTINGS = Finetune(
    weights=("none",), unfreeze="all", groups=1, every=0, deeper=1, epochs=2, patience=9, batch_size=16,
    learning_rate=1e-3, **CONSTANT, imbalance="class_weights", augmentation=NO_AUGMENTATION,
)  # fmt: skip


@pytest.fixture(autouse=True)
def pinned():
    pin(seed=1, threads=2)


def classifier(backbone: str = "cnn"):
    return build_classifier(build_backbone(backbone, 32), "linear", 2, multi_label=False)


def weights_of(model) -> dict[str, np.ndarray]:
    return {weight.path: np.asarray(weight) for layer in model.layers for weight in layer.weights}


def tuned(model, folder, rate: float = 1e-3, **changes):
    """Fine-tune in place; the history, and by how much each weight moved."""
    settings = SETTINGS.model_copy(update=changes)
    before = weights_of(model)
    checkpoints = Checkpoints(folder / "training", {}, [])
    history = fit(model, blobs(), blobs(seed=1), settings, rate, False, 1, checkpoints, Unfreezing(model, settings))
    return history, {path: float(np.abs(weight - before[path]).max()) for path, weight in weights_of(model).items()}


def moved_layers(moved: dict[str, float]) -> set[str]:
    return {path.split("/")[0] for path, distance in moved.items() if distance > 0}


@pytest.mark.parametrize(
    ("unfreeze", "learning"),
    [
        ("all", {"block1_conv", "block2_conv", "block3_conv", "probabilities"}),
        ("last 2", {"block3_conv", "probabilities"}),
        ("last 4", {"block2_conv", "block3_conv", "probabilities"}),
        ("all but last 2", {"block1_conv", "block2_conv", "probabilities"}),
    ],
)
def test_the_layers_that_are_asked_for_learn_and_no_others(tmp_path, unfreeze, learning):
    _, moved = tuned(classifier(), tmp_path, unfreeze=unfreeze)
    assert moved_layers(moved) == learning


@pytest.mark.parametrize(("epochs", "learning"), [(1, 1), (2, 2), (3, 3)])
def test_groups_join_in_from_the_output_down(tmp_path, epochs, learning):
    _, moved = tuned(classifier(), tmp_path, groups=3, every=1, epochs=epochs)
    names = ["block3_conv", "block2_conv", "block1_conv"][:learning]
    assert moved_layers(moved) == {*names, "probabilities"}


def test_deeper_groups_learn_more_slowly(tmp_path):
    # Adam's first step is the rate itself, whatever the gradient.
    model, settings = classifier(), SETTINGS.model_copy(update={"groups": 3, "deeper": 0.1})
    unfreezing = Unfreezing(model, settings)
    model.compile(unfreezing.optimizer(1e-3), "categorical_crossentropy")
    unfreezing.begin(0)
    before = weights_of(model)
    model.train_on_batch(blobs(16).inputs(np.arange(16)), blobs(16).targets)
    steps = {path: np.abs(weight - before[path]).max() for path, weight in weights_of(model).items()}
    for name, step in (("probabilities", 1e-3), ("block3_conv", 1e-3), ("block2_conv", 1e-4), ("block1_conv", 1e-5)):
        assert steps[f"{name}/kernel"] == pytest.approx(step, rel=0.02), name


def test_batch_norm_stays_as_it_was():
    model = classifier("mobilenetv2")
    norms = {layer.name for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)}
    unfreezing = Unfreezing(model, SETTINGS.model_copy(update={"unfreeze": "last 30"}))
    model.compile(unfreezing.optimizer(1e-3), "categorical_crossentropy")
    unfreezing.begin(0)
    before = weights_of(model)
    model.train_on_batch(blobs(16).inputs(np.arange(16)), blobs(16).targets)
    moved = {path.split("/")[0] for path, weight in weights_of(model).items() if (weight != before[path]).any()}
    assert not moved & norms
    assert len(moved) > 3


def test_what_it_starts_from_is_epoch_0_and_comes_back_if_nothing_is_better(tmp_path):
    model = classifier()
    history, moved = tuned(model, tmp_path, rate=10.0)
    assert history["epoch"].tolist() == [0, 1, 2]
    assert history["val_loss"].idxmin() == 0
    assert moved_layers(moved) == set()


def test_it_goes_on_where_it_was_broken_off(tmp_path):
    whole, _ = tuned(classifier(), tmp_path / "whole", groups=3, every=1, epochs=4)
    pin(1, 2)
    start = classifier()
    same = start.get_weights()
    tuned(start, tmp_path / "broken", groups=3, every=1, epochs=2)
    again = classifier()
    again.set_weights(same)
    resumed, _ = tuned(again, tmp_path / "broken", groups=3, every=1, epochs=4)
    pd.testing.assert_frame_equal(resumed, whole, rtol=1e-6)


def test_a_backbone_without_such_layers_is_refused():
    with pytest.raises(ChestTransferError, match=r"no layer of cnn to unfreeze .* received 'last 1' .* of 8 layers"):
        Unfreezing(classifier(), SETTINGS.model_copy(update={"unfreeze": "last 1"}))


def test_the_stage_starts_from_the_probe_and_tells_its_settings(tmp_path):
    folder = toy_project(tmp_path)
    change_settings(folder / "params.yaml", finetune__weights=["none"], finetune__epochs=1)
    names = ("pneumonia", "cnn", "none")
    stages(folder, ("download", "pneumonia"), ("preprocess", "pneumonia"), ("pretrained", "cnn", "none"))
    assert "no model at 'models/pneumonia/cnn/probe-none.keras'; run: dvc repro" in refused(
        stage(folder, "finetune", *names, check=False)
    )
    stages(folder, *((name, *names) for name in ("embed", "probe", "finetune")))
    model, facts = load_model(folder / "models/pneumonia/cnn/finetune-none.keras")
    assert facts["regime"] == "finetune"
    assert set(facts["settings"]) >= {"probe", "finetune"}
    first = (folder / "models/pneumonia/cnn/finetune-none.keras").read_bytes()
    stage(folder, "finetune", *names)
    assert (folder / "models/pneumonia/cnn/finetune-none.keras").read_bytes() == first
    history = pd.read_csv(folder / "data/predictions/pneumonia/cnn/finetune-none/history.csv")
    assert history["epoch"].tolist() == [0, 1]
    assert model.count_params() > 0
