"""Fine-tuning: which layers train, when and how fast; frozen batch norm; never worse on validation than its start."""

import keras
import numpy as np
import pandas as pd
import pytest
from conftest import change_settings, refused, stage, stages, toy_project
from test_training import CONSTANT, NO_AUGMENTATION, fit_classifier, toy_arrays

from chest_transfer.data.arrays import Arrays
from chest_transfer.data.predictions import read_predictions
from chest_transfer.errors import ChestTransferError
from chest_transfer.networks.backbones import build_backbone
from chest_transfer.networks.classifier import build_classifier, logits_network
from chest_transfer.networks.facts import ClassifierFacts
from chest_transfer.networks.saving import load_model
from chest_transfer.settings import Finetune
from chest_transfer.training.checkpoints import Checkpoints
from chest_transfer.training.determinism import make_deterministic
from chest_transfer.training.fit_check import OK, check_fit
from chest_transfer.training.fitting import fit
from chest_transfer.training.frozen_part import activations_of, storable_frozen_part
from chest_transfer.training.losses import cross_entropy
from chest_transfer.training.unfreezing import GradualUnfreezing

SETTINGS = Finetune(
    weights=("none",), unfreeze="all", groups=1, unfreeze_every=0, layer_lr_decay=1, epochs=2, patience=9,
    batch_size=16, learning_rate=1e-3, **CONSTANT, imbalance="class_weights", augmentation=NO_AUGMENTATION,
)  # fmt: skip
NAMES = ("pneumonia", "cnn", "none", "1", "all")
NETWORK = "models/pneumonia/cnn/finetune-none-seed1-all.keras"
PREDICTIONS = "data/predictions/pneumonia/cnn/finetune-none-seed1-all"


@pytest.fixture(autouse=True)
def deterministic():
    make_deterministic(seed=1, threads=2)


def toy_classifier(backbone: str = "cnn"):
    return build_classifier(build_backbone(backbone, 32), "linear", 2, multi_label=False)


def weights_of(model) -> dict[str, np.ndarray]:
    return {weight.path: np.asarray(weight) for layer in model.layers for weight in layer.weights}


def finetune(classifier, folder, learning_rate: float = 1e-3, val: Arrays | None = None, **changes):
    """Fine-tune in place; return the history, and the largest change of each weight."""
    settings = SETTINGS.model_copy(update=changes)
    before = weights_of(classifier)
    history = fit_classifier(
        classifier, folder, settings, val=val, learning_rate=learning_rate, section="finetune",
        unfreezing=GradualUnfreezing(classifier, settings),
    )  # fmt: skip
    changes = {path: float(np.abs(weight - before[path]).max()) for path, weight in weights_of(classifier).items()}
    return history, changes


def train_one_batch(classifier, unfreezing: GradualUnfreezing) -> None:
    """Train on one batch in place, in epoch 0."""
    network, batch = logits_network(classifier), toy_arrays(16)
    loss = cross_entropy(batch.targets, multi_label=False, imbalance="none")
    network.compile(unfreezing.optimizer(1e-3), loss, run_eagerly=True)  # a graph takes longer to build than to run
    unfreezing.begin_epoch(0)
    network.train_on_batch(batch.inputs(np.arange(16)), batch.targets)


def changed_layers(changes: dict[str, float]) -> set[str]:
    return {path.split("/")[0] for path, distance in changes.items() if distance > 0}


@pytest.mark.parametrize(
    ("unfreeze", "trained"),
    [
        ("all", {"block1_conv", "block2_conv", "block3_conv", "block4_conv1", "block4_conv2", "logits"}),
        ("last 1", {"block4_conv2", "logits"}),
        ("last 4", {"block3_conv", "block4_conv1", "block4_conv2", "logits"}),
        ("all but last 2", {"block1_conv", "block2_conv", "block3_conv", "logits"}),
    ],
)
def test_the_layers_of_the_setting_train_and_no_others(tmp_path, unfreeze, trained):
    _, changes = finetune(toy_classifier(), tmp_path, unfreeze=unfreeze)
    assert changed_layers(changes) == trained


@pytest.mark.parametrize(("epochs", "groups"), [(1, 1), (2, 2), (3, 3)])
def test_groups_are_unfrozen_from_the_output_down(tmp_path, epochs, groups):
    _, changes = finetune(toy_classifier(), tmp_path, groups=3, unfreeze_every=1, epochs=epochs)
    names = ["block4_conv2", "block4_conv1", "block3_conv", "block2_conv", "block1_conv"][: 2 * groups]
    assert changed_layers(changes) == {*names, "logits"}


def test_deeper_groups_have_a_lower_learning_rate():
    # Adam's first step is the learning rate itself, whatever the gradient.
    classifier = toy_classifier()
    before = weights_of(classifier)
    settings = SETTINGS.model_copy(update={"groups": 3, "layer_lr_decay": 0.1})
    train_one_batch(classifier, GradualUnfreezing(classifier, settings))
    steps = {path: np.abs(weight - before[path]).max() for path, weight in weights_of(classifier).items()}
    for name, step in (("logits", 1e-3), ("block4_conv1", 1e-3), ("block2_conv", 1e-4), ("block1_conv", 1e-5)):
        assert steps[f"{name}/kernel"] == pytest.approx(step, rel=0.02), name


def test_batch_norm_stays_as_it_was():
    classifier = toy_classifier("mobilenetv2")
    before = weights_of(classifier)
    norms = {layer.name for layer in classifier.layers if isinstance(layer, keras.layers.BatchNormalization)}
    train_one_batch(classifier, GradualUnfreezing(classifier, SETTINGS.model_copy(update={"unfreeze": "last 30"})))
    changed = {path.split("/")[0] for path, weight in weights_of(classifier).items() if (weight != before[path]).any()}
    assert not changed & norms
    assert len(changed) > 3


def test_the_initial_weights_are_epoch_0_and_are_restored_if_no_epoch_improves_on_them(tmp_path):
    # What is learned makes predictions for the validation images worse, because their labels are the wrong way round.
    val = toy_arrays(seed=1)
    wrong = Arrays(val.images, 1 - val.labels, val.patients, val.names, val.classes)
    history, changes = finetune(toy_classifier(), tmp_path, learning_rate=1e-2, val=wrong)
    assert history["epoch"].tolist() == [0, 1, 2]
    assert history["val_loss"].idxmin() == 0
    assert changed_layers(changes) == set()


def residual_classifier():
    """A classifier whose last layers add what two others compute, as those of ResNets do."""
    backbone = build_backbone("cnn", 32)
    hidden = keras.layers.Conv2D(64, 1, activation="relu", name="block5_conv")(backbone.output)
    hidden = keras.layers.Conv2D(64, 1, name="block6_conv")(hidden)
    backbone = keras.Model(backbone.input, keras.layers.Add()([backbone.output, hidden]), name="cnn")
    return build_classifier(backbone, "dropout128", 2, multi_label=False)


def classifier_with_sums_that_are_no_layers():
    """A classifier that adds tensors as ConvNeXt does, below and above what is trained."""
    backbone = build_backbone("cnn", 32)
    hidden = backbone.output + keras.layers.Conv2D(64, 1, name="block5_conv")(backbone.output)
    hidden = hidden + keras.layers.Conv2D(64, 1, name="block6_conv")(hidden)
    hidden = keras.layers.Conv2D(64, 1, name="block7_conv")(hidden + 0.5)
    return build_classifier(keras.Model(backbone.input, hidden, name="cnn"), "dropout128", 2, multi_label=False)


@pytest.mark.parametrize(
    ("classifier_of", "tensors"),
    [(toy_classifier, 1), (residual_classifier, 2), (classifier_with_sums_that_are_no_layers, 1)],
)
def test_without_its_frozen_part_a_network_learns_the_same(tmp_path, classifier_of, tensors):
    settings = SETTINGS.model_copy(update={"unfreeze": "last 2", "unfreeze_every": 1})
    learned = {}
    for way in ("whole", "part"):
        make_deterministic(1, 2)
        classifier = classifier_of()
        unfreezing = GradualUnfreezing(classifier, settings)
        splits = {"train": toy_arrays(), "val": toy_arrays(seed=1)}
        network = logits_network(classifier)
        if way == "part":
            frozen, network = storable_frozen_part(network, splits, tmp_path)
            assert len(frozen.outputs) == tensors
            assert len(network.layers) < len(classifier.layers) - 2
            splits = {name: activations_of(frozen, part, tmp_path / name, 16) for name, part in splits.items()}
        history = fit(
            network, splits["train"], splits["val"], settings, Checkpoints(tmp_path / way, {}, []), section="finetune",
            learning_rate=1e-3, multi_label=False, seed=1, fused_batch_norm=True, unfreezing=unfreezing,
        )  # fmt: skip
        learned[way] = history, weights_of(classifier)
    for path, weight in learned["whole"][1].items():
        assert learned["part"][1][path] == pytest.approx(weight, abs=1e-5), path
    pd.testing.assert_frame_equal(learned["part"][0], learned["whole"][0], atol=1e-5)


def test_without_frozen_layers_and_without_space_on_the_disk_the_whole_network_runs(tmp_path, monkeypatch, capsys):
    classifier, splits = toy_classifier(), {"train": toy_arrays(), "val": toy_arrays(seed=1)}
    assert storable_frozen_part(logits_network(classifier), splits, tmp_path) is None
    GradualUnfreezing(classifier, SETTINGS.model_copy(update={"unfreeze": "last 2"}))
    assert capsys.readouterr().out == ""
    monkeypatch.setattr("chest_transfer.training.frozen_part.LARGEST_SHARE", 0.0)
    assert storable_frozen_part(logits_network(classifier), splits, tmp_path) is None
    assert capsys.readouterr().out.startswith("the frozen layers run in every epoch: to store what they compute takes ")


def test_an_interrupted_finetuning_resumes_to_the_same_history(tmp_path):
    settings = {"groups": 3, "unfreeze_every": 1, "warmup": 2.5}
    uninterrupted, _ = finetune(toy_classifier(), tmp_path / "uninterrupted", **settings, epochs=4)
    make_deterministic(1, 2)
    start = toy_classifier()
    initial_weights = start.get_weights()
    finetune(start, tmp_path / "interrupted", **settings, epochs=2)
    again = toy_classifier()
    again.set_weights(initial_weights)
    resumed, _ = finetune(again, tmp_path / "interrupted", **settings, epochs=4)
    pd.testing.assert_frame_equal(resumed, uninterrupted, rtol=1e-6)


def test_a_backbone_without_such_layers_is_refused():
    with pytest.raises(ChestTransferError, match=r"no layer of cnn_strided to unfreeze .* 'last 1' .* of 6 layers"):
        GradualUnfreezing(toy_classifier("cnn_strided"), SETTINGS.model_copy(update={"unfreeze": "last 1"}))


def test_the_stage_needs_the_probe(project):
    change_settings(project / "params.yaml", finetune__weights=["none"])
    message = refused(stage(project, "finetune", *NAMES, check=False))
    assert "no model at 'models/pneumonia/cnn/probe-none-seed1-all.keras'; run: dvc repro" in message


@pytest.fixture(scope="module")
def finetuned(tmp_path_factory):
    folder = toy_project(tmp_path_factory.mktemp("finetuned"))
    change_settings(folder / "params.yaml", finetune__weights=["none"], finetune__epochs=1)
    steps = [("download", "pneumonia"), ("preprocess", "pneumonia"), ("pretrained", "cnn", "none")]
    stages(folder, *steps, ("embed", *NAMES[:4]), ("probe", *NAMES), ("finetune", *NAMES))
    return folder


def test_the_stage_starts_from_the_probe_and_records_its_settings(finetuned):
    model, facts = load_model(finetuned / NETWORK, ClassifierFacts)
    assert facts.regime == "finetune"
    assert set(facts.settings) >= {"probe", "finetune"}
    first = (finetuned / NETWORK).read_bytes()
    stage(finetuned, "finetune", *NAMES)
    assert (finetuned / NETWORK).read_bytes() == first
    history = pd.read_csv(finetuned / PREDICTIONS / "history.csv")
    assert history["epoch"].tolist() == [0, 1]
    assert model.count_params() > 0


def test_a_fit_that_improves_nothing_is_reported(finetuned):
    change_settings(finetuned / "params.yaml", finetune__learning_rate=1)
    printed = stage(finetuned, "finetune", *NAMES).stdout
    val = read_predictions(finetuned / PREDICTIONS / "val.csv")
    history = pd.read_csv(finetuned / PREDICTIONS / "history.csv")
    assert history["val_loss"].idxmin() == 0
    verdict = check_fit(val.labels, val.logits, history, multi_label=False)
    assert verdict != OK
    assert f"CAUTION: the fit of pneumonia/cnn/finetune-none-seed1-all failed: {verdict}\n" in printed
