"""Frozen features and the heads on them: what is stored, what a probe is, and that its backbone never runs again."""

import keras
import numpy as np
import pytest
from conftest import change_settings, refused, stage, stages, toy_project
from test_training import CONSTANT, toy_arrays

from chest_transfer.data.arrays import Features, open_arrays, open_features
from chest_transfer.data.predictions import read_predictions
from chest_transfer.errors import ChestTransferError
from chest_transfer.networks.backbones import build_backbone
from chest_transfer.networks.classifier import build_classifier, head_of, logits_network
from chest_transfer.networks.facts import ClassifierFacts
from chest_transfer.networks.heads import HEADS
from chest_transfer.networks.saving import load_model
from chest_transfer.settings import Augmentation, Embed, Probe
from chest_transfer.training.checkpoints import Checkpoints
from chest_transfer.training.determinism import make_deterministic
from chest_transfer.training.features import embed, feature_extractor
from chest_transfer.training.fitting import fit
from chest_transfer.training.probing import feature_moments, logits_from_features

ROTATED = Augmentation(flip=False, rotation=20, shift=0.1, zoom=0, contrast=0, degrade={}, degraded_share=0)
EMBED = Embed(batch_size=20, views=0, augmentation=ROTATED)
SETTINGS = Probe(
    epochs=8, patience=8, batch_size=16, learning_rate=1e-2, **CONSTANT, imbalance="class_weights", head="linear",
    standardize=True,
)  # fmt: skip
POOLED = [name for name, head in HEADS.items() if head.pooled]


@pytest.fixture(autouse=True)
def deterministic():
    make_deterministic(seed=1, threads=2)


def embedded(path, backbone, arrays=None, views: int = 0, seed: int = 1) -> Features:
    """Return the features of toy arrays, written to a file and opened."""
    embed(feature_extractor(backbone, fused_batch_norm=True), arrays or toy_arrays(), path, EMBED, views, seed)
    return open_features(path)


def fit_probe(backbone, train, val, settings, folder):
    """Return a classifier whose head was trained on features, and the history."""
    classifier = build_classifier(backbone, settings.head, 2, False, feature_moments(train))
    history = fit(
        head_of(classifier), train, val, settings, Checkpoints(folder / "training", {}, []),
        section="probe", learning_rate=settings.learning_rate, multi_label=False, seed=1,
    )  # fmt: skip
    return classifier, history


def probabilities_of(classifier, logits: np.ndarray) -> np.ndarray:
    return np.asarray(classifier.get_layer("probabilities")(logits))


def test_features_are_the_averages_of_the_feature_maps(tmp_path):
    backbone, arrays = build_backbone("cnn", 32), toy_arrays()
    features = embedded(tmp_path / "f.npz", backbone)
    maps = backbone.predict(arrays.inputs(np.arange(96)), verbose=0)
    assert features.features.shape == (1, 96, 64)
    assert features.features[0] == pytest.approx(maps.mean(axis=(1, 2)), abs=1e-5)
    assert (features.labels == arrays.labels).all()
    assert (features.names == arrays.names).all()


def test_views_are_augmented_and_the_first_is_the_radiograph_itself(tmp_path):
    backbone = build_backbone("cnn", 32)
    plain = embedded(tmp_path / "plain.npz", backbone).features
    views = embedded(tmp_path / "views.npz", backbone, views=2).features
    assert views.shape == (3, 96, 64)
    assert (views[0] == plain[0]).all()
    assert np.abs(views[1] - plain[0]).max() > 0.01
    assert np.abs(views[1] - views[2]).max() > 0.01
    again = embedded(tmp_path / "again.npz", build_backbone("cnn", 32), views=2)
    make_deterministic(1, 2)
    assert (embedded(tmp_path / "same.npz", backbone, views=2).features == views).all()
    assert again.features.shape == views.shape


def test_a_head_gets_every_view_while_it_trains_and_only_the_first_afterwards(tmp_path):
    features = embedded(tmp_path / "f.npz", build_backbone("cnn", 32), views=3)
    rows = np.arange(96)
    inputs = features.inputs(rows, np.random.default_rng(1))
    of_view = [(inputs == features.features[view]).all(axis=1) for view in range(4)]
    assert np.sum(of_view, axis=0).min() >= 1
    assert min(view.sum() for view in of_view) > 10
    assert (features.inputs(rows) == features.features[0]).all()


@pytest.mark.parametrize("head", POOLED)
def test_a_head_trained_on_features_is_part_of_the_whole_model(tmp_path, head):
    backbone = build_backbone("cnn", 32)
    train, val = embedded(tmp_path / "t.npz", backbone), embedded(tmp_path / "v.npz", backbone, toy_arrays(seed=1))
    before, settings = backbone.get_weights(), SETTINGS.model_copy(update={"head": head})
    classifier, _ = fit_probe(backbone, train, val, settings, tmp_path)
    assert all((a == b).all() for a, b in zip(before, backbone.get_weights(), strict=True))
    logits = logits_from_features(classifier, toy_arrays(seed=1), val)
    whole = classifier.predict(toy_arrays(seed=1).inputs(np.arange(96)), verbose=0)
    assert probabilities_of(classifier, logits) == pytest.approx(whole, abs=1e-5)
    from_images = logits_network(classifier).predict(toy_arrays(seed=1).inputs(np.arange(96)), verbose=0)
    assert logits == pytest.approx(from_images, abs=1e-4)
    if head == "linear":
        assert (whole.argmax(axis=1) == toy_arrays(seed=1).labels).mean() > 0.9


def test_a_backbone_of_16_bits_can_be_probed(tmp_path):
    backbone = build_backbone("resnet50", 32, precision="mixed_bfloat16")
    train, val = embedded(tmp_path / "t.npz", backbone), embedded(tmp_path / "v.npz", backbone, toy_arrays(seed=1))
    classifier, history = fit_probe(backbone, train, val, SETTINGS, tmp_path)
    assert np.isfinite(history["val_loss"]).all()
    assert logits_from_features(classifier, toy_arrays(seed=1), val).dtype == np.float32


def test_standardized_features_are_of_the_same_order(tmp_path):
    features = embedded(tmp_path / "f.npz", build_backbone("cnn", 32))
    mean, variance = feature_moments(features)
    standardized = (features.features[0] - mean) / np.sqrt(variance)
    assert standardized.mean(axis=0) == pytest.approx(0, abs=1e-4)
    assert standardized.std(axis=0).max() == pytest.approx(1, abs=1e-4)
    assert variance.min() > 0


@pytest.mark.parametrize("factor", [1e-15, 1e-9, 1, 1e6])
def test_a_head_learns_as_much_from_features_however_small_they_are(factor):
    # Those of a random MobileNetV2 have a standard deviation of 3e-12.
    rng = np.random.default_rng(1)
    labels = np.arange(300) % 2
    values = (rng.normal(size=(1, 300, 8)) + labels[:, np.newaxis] * np.linspace(0, 1.5, 8)).astype(np.float32)
    names = np.array([str(row) for row in range(300)])
    features = Features(values * np.float32(factor), labels, names, names, np.array(["NORMAL", "PNEUMONIA"]))
    inputs = keras.Input((4, 4, 8))
    classifier = build_classifier(keras.Model(inputs, inputs), "linear", 2, False, feature_moments(features))
    standardized = classifier.get_layer("head_standardized")
    outputs = np.asarray(standardized(features.features[0]))
    assert outputs.mean(axis=0) == pytest.approx(np.zeros(8), abs=1e-4)
    assert outputs.std(axis=0) == pytest.approx(np.ones(8), abs=1e-3)


def test_features_that_do_not_vary_are_not_amplified():
    values = np.full((1, 20, 3), 7, np.float32)
    names = np.array([str(row) for row in range(20)])
    features = Features(values, np.arange(20) % 2, names, names, np.array(["NORMAL", "PNEUMONIA"]))
    mean, variance = feature_moments(features)
    assert mean.tolist() == [7, 7, 7]
    assert variance.tolist() == [1, 1, 1]
    values[0, :, 0] = np.arange(20)  # one that varies sets the smallest variance of the others
    _, variance = feature_moments(features)
    assert variance[0] == pytest.approx(np.arange(20).var())
    assert variance[1:] == pytest.approx(1e-3 * variance[0] / 3)


def test_features_of_another_backbone_are_refused(tmp_path):
    features = embedded(tmp_path / "f.npz", build_backbone("cnn", 32))
    other = build_classifier(build_backbone("cnn", 32), "linear", 2, multi_label=False)
    other.get_layer("logits").set_weights([np.random.default_rng(0).normal(size=(64, 2)), np.zeros(2)])
    with pytest.raises(ChestTransferError, match=r"from the model's own .* dvc repro -f embed"):
        logits_from_features(other, toy_arrays(), features)


def test_the_penalty_of_a_complex_head_is_part_of_the_loss():
    classifier = build_classifier(build_backbone("cnn", 32), "complex", 2, multi_label=False)
    assert len(classifier.losses) == 5
    assert [layer.rate for layer in classifier.layers if isinstance(layer, keras.layers.Dropout)] == [
        0.25, 0.5, 0.3, 0.5, 0.5, 0.5
    ]  # fmt: skip


EMBED_STAGE, PROBE_STAGE = ("embed", "pneumonia", "cnn", "none", "1"), ("probe", "pneumonia", "cnn", "none", "1", "all")


@pytest.fixture(scope="module")
def embedded_project(tmp_path_factory):
    folder = toy_project(tmp_path_factory.mktemp("embedded"))
    change_settings(folder / "params.yaml", embed__views=1)
    stages(
        folder,
        ("download", "pneumonia"),
        ("preprocess", "pneumonia"),
        ("pretrained", "cnn", "none"),
        EMBED_STAGE,
        PROBE_STAGE,
    )
    return folder


OUTPUTS = (
    "data/random_features/pneumonia/cnn/none-seed1/train.npz",
    "models/pneumonia/cnn/probe-none-seed1-all.keras",
    "data/predictions/pneumonia/cnn/probe-none-seed1-all/test.csv",
)


def test_the_stages_give_the_same_bytes_again(embedded_project):
    first = [(embedded_project / name).read_bytes() for name in OUTPUTS]
    stages(embedded_project, EMBED_STAGE, PROBE_STAGE)
    assert [(embedded_project / name).read_bytes() for name in OUTPUTS] == first


def test_a_saved_probe_is_a_whole_model_with_its_facts(embedded_project):
    model, facts = load_model(embedded_project / OUTPUTS[1], ClassifierFacts)
    assert (facts.regime, facts.dataset, facts.backbone) == ("probe", "pneumonia", "cnn")
    assert facts.settings["probe"]["head"] == "dense256"
    assert model.input_shape == (None, 32, 32, 1)
    assert model.output_shape == (None, 2)
    # Its predictions were computed from stored features; the whole network predicts the same from the radiographs.
    test = open_arrays(embedded_project / "data/arrays/pneumonia/test.npz")
    logits = read_predictions(embedded_project / OUTPUTS[2]).logits
    whole = model.predict(test.inputs(np.arange(len(test.labels))), verbose=0)
    assert probabilities_of(model, logits) == pytest.approx(whole, abs=2e-3)


def test_a_head_that_keeps_whole_feature_maps_cannot_be_probed(embedded_project):
    change_settings(embedded_project / "params.yaml", probe__head="dense64")
    message = refused(stage(embedded_project, *PROBE_STAGE, check=False))
    assert "(allowed: linear, dense256, dense1024, dropout128, complex)" in message
