"""Frozen features and the heads on them: what is stored, what a probe is, and that its backbone never runs again."""

import keras
import numpy as np
import pytest
from conftest import change_settings, refused, stage, stages, toy_project
from test_training import CONSTANT, blobs

from chest_transfer.data.arrays import Features, open_features
from chest_transfer.errors import ChestTransferError
from chest_transfer.networks.backbones import build_backbone
from chest_transfer.networks.classifier import build_classifier, head_of
from chest_transfer.networks.heads import HEADS
from chest_transfer.networks.saving import load_model
from chest_transfer.settings import Augmentation, Probe
from chest_transfer.training.checkpoints import Checkpoints
from chest_transfer.training.determinism import pin
from chest_transfer.training.features import embed, embedder
from chest_transfer.training.fitting import fit
from chest_transfer.training.probing import predicted, scales_of

TURNED = Augmentation(flip=False, rotation=20, shift=0.1, zoom=0, contrast=0)
SETTINGS = Probe(
    epochs=8,
    patience=8,
    batch_size=16,
    learning_rate=1e-2,
    **CONSTANT,
    imbalance="class_weights",
    head="linear",
    standardize=True,
)
POOLED = [name for name, head in HEADS.items() if head.pooled]


@pytest.fixture(autouse=True)
def pinned():
    pin(seed=1, threads=2)


def embedded(path, backbone, arrays=None, views: int = 0, batch_size: int = 20, seed: int = 1):
    embed(embedder(backbone), arrays or blobs(), path, batch_size, views, TURNED, seed)
    return open_features(path)


def probed(backbone, train, val, settings, folder):
    """A classifier whose head was trained on features, and the history."""
    classifier = build_classifier(backbone, settings.head, 2, False, scales_of(train))
    checkpoints = Checkpoints(folder / "training", {}, [])
    return classifier, fit(head_of(classifier), train, val, settings, settings.learning_rate, False, 1, checkpoints)


def test_features_are_the_averages_of_the_feature_maps(tmp_path):
    backbone, arrays = build_backbone("cnn", 32), blobs()
    features = embedded(tmp_path / "f.npz", backbone)
    maps = backbone.predict(arrays.inputs(np.arange(96)), verbose=0)
    assert features.features.shape == (1, 96, 128)
    assert features.features[0] == pytest.approx(maps.mean(axis=(1, 2)), abs=1e-5)
    assert (features.labels == arrays.labels).all()
    assert (features.names == arrays.names).all()


def test_views_are_augmented_and_the_first_is_the_radiograph_itself(tmp_path):
    backbone = build_backbone("cnn", 32)
    plain = embedded(tmp_path / "plain.npz", backbone).features
    views = embedded(tmp_path / "views.npz", backbone, views=2).features
    assert views.shape == (3, 96, 128)
    assert (views[0] == plain[0]).all()
    assert np.abs(views[1] - plain[0]).max() > 0.01
    assert np.abs(views[1] - views[2]).max() > 0.01
    again = embedded(tmp_path / "again.npz", build_backbone("cnn", 32), views=2)
    pin(1, 2)
    assert (embedded(tmp_path / "same.npz", backbone, views=2).features == views).all()
    assert again.features.shape == views.shape


def test_a_head_gets_every_view_while_it_trains_and_the_first_one_after(tmp_path):
    features = embedded(tmp_path / "f.npz", build_backbone("cnn", 32), views=3)
    rows = np.arange(96)
    drawn = features.inputs(rows, np.random.default_rng(1))
    of_view = [(drawn == features.features[view]).all(axis=1) for view in range(4)]
    assert np.sum(of_view, axis=0).min() >= 1
    assert min(view.sum() for view in of_view) > 10
    assert (features.inputs(rows) == features.features[0]).all()


@pytest.mark.parametrize("head", POOLED)
def test_a_head_trained_on_features_is_part_of_the_whole_model(tmp_path, head):
    backbone = build_backbone("cnn", 32)
    train, val = embedded(tmp_path / "t.npz", backbone), embedded(tmp_path / "v.npz", backbone, blobs(seed=1))
    before, settings = backbone.get_weights(), SETTINGS.model_copy(update={"head": head})
    classifier, _ = probed(backbone, train, val, settings, tmp_path)
    assert all((a == b).all() for a, b in zip(before, backbone.get_weights(), strict=True))
    probabilities = predicted(classifier, blobs(seed=1), val)
    whole = classifier.predict(blobs(seed=1).inputs(np.arange(96)), verbose=0)
    assert probabilities == pytest.approx(whole, abs=1e-5)
    if head == "linear":
        assert (whole.argmax(axis=1) == blobs(seed=1).labels).mean() > 0.9


def test_a_backbone_of_16_bits_can_be_probed(tmp_path):
    backbone = build_backbone("resnet50", 32, precision="mixed_bfloat16")
    train, val = embedded(tmp_path / "t.npz", backbone), embedded(tmp_path / "v.npz", backbone, blobs(seed=1))
    classifier, history = probed(backbone, train, val, SETTINGS, tmp_path)
    assert np.isfinite(history["val_loss"]).all()
    assert predicted(classifier, blobs(seed=1), val).dtype == np.float32


def test_scales_leave_no_feature_out_of_proportion(tmp_path):
    features = embedded(tmp_path / "f.npz", build_backbone("cnn", 32))
    mean, variance = scales_of(features)
    standardized = (features.features[0] - mean) / np.sqrt(variance)
    assert standardized.mean(axis=0) == pytest.approx(0, abs=1e-4)
    assert standardized.std(axis=0).max() == pytest.approx(1, abs=1e-4)
    assert variance.min() > 0


@pytest.mark.parametrize("factor", [1e-15, 1e-9, 1, 1e6])
def test_a_head_learns_as_much_from_features_however_small_they_are(factor):
    # A random MobileNetV2's have a deviation of 3e-12.
    chance = np.random.default_rng(1)
    labels = np.arange(300) % 2
    values = (chance.normal(size=(1, 300, 8)) + labels[:, np.newaxis] * np.linspace(0, 1.5, 8)).astype(np.float32)
    names = np.array([str(row) for row in range(300)])
    features = Features(values * np.float32(factor), labels, names, names, np.array(["healthy", "ill"]))
    inputs = keras.Input((4, 4, 8))
    classifier = build_classifier(keras.Model(inputs, inputs), "linear", 2, False, scales_of(features))
    standardized = classifier.get_layer("head_standardized")
    seen = np.asarray(standardized(features.features[0]))
    assert seen.mean(axis=0) == pytest.approx(np.zeros(8), abs=1e-4)
    assert seen.std(axis=0) == pytest.approx(np.ones(8), abs=1e-3)


def test_features_of_another_backbone_are_refused(tmp_path):
    features = embedded(tmp_path / "f.npz", build_backbone("cnn", 32))
    other = build_classifier(build_backbone("cnn", 32), "linear", 2, multi_label=False)
    other.get_layer("probabilities").set_weights([np.random.default_rng(0).normal(size=(128, 2)), np.zeros(2)])
    with pytest.raises(ChestTransferError, match=r"off the model's own .* dvc repro -f embed"):
        predicted(other, blobs(), features)


def test_a_complex_heads_penalty_is_part_of_the_loss():
    classifier = build_classifier(build_backbone("cnn", 32), "complex", 2, multi_label=False)
    assert len(classifier.losses) == 5
    assert [layer.rate for layer in classifier.layers if isinstance(layer, keras.layers.Dropout)] == [
        0.25, 0.5, 0.3, 0.5, 0.5, 0.5
    ]  # fmt: skip


@pytest.fixture(scope="module")
def embedded_project(tmp_path_factory):
    folder = toy_project(tmp_path_factory.mktemp("embedded"))
    change_settings(folder / "params.yaml", embed__views=1)
    stages(
        folder,
        ("download", "pneumonia"),
        ("preprocess", "pneumonia"),
        ("pretrained", "mobilenetv2", "none"),
        ("embed", "pneumonia", "mobilenetv2", "none"),
        ("probe", "pneumonia", "mobilenetv2", "none"),
    )
    return folder


OUTPUTS = (
    "data/features/pneumonia/mobilenetv2/none/train.npz",
    "models/pneumonia/mobilenetv2/probe-none.keras",
    "data/predictions/pneumonia/mobilenetv2/probe-none/test.csv",
)


def test_the_stages_give_the_same_bytes_again(embedded_project):
    first = [(embedded_project / name).read_bytes() for name in OUTPUTS]
    for name in ("embed", "probe"):
        stage(embedded_project, name, "pneumonia", "mobilenetv2", "none")
    assert [(embedded_project / name).read_bytes() for name in OUTPUTS] == first


def test_a_saved_probe_is_a_whole_model_with_its_facts(embedded_project):
    model, facts = load_model(embedded_project / OUTPUTS[1])
    assert (facts["regime"], facts["dataset"], facts["backbone"]) == ("probe", "pneumonia", "mobilenetv2")
    assert facts["settings"]["probe"]["head"] == "dense256"
    assert model.input_shape == (None, 32, 32, 1)
    assert model.output_shape == (None, 2)


def test_a_head_that_keeps_whole_feature_maps_cannot_be_probed(embedded_project):
    change_settings(embedded_project / "params.yaml", probe__head="dense64")
    told = refused(stage(embedded_project, "probe", "pneumonia", "mobilenetv2", "none", check=False))
    assert "(allowed: linear, dense256, dense1024, dropout128, complex)" in told
