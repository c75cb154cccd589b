"""Training: what is learnt, how it stops, that it resumes and repeats to the byte, and batch-norm statistics."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from conftest import ENVIRONMENT, ROOT, change_settings, stage, toy_project

from chest_transfer.data.arrays import Arrays
from chest_transfer.errors import ChestTransferError
from chest_transfer.networks.backbones import build_backbone
from chest_transfer.networks.classifier import build_classifier
from chest_transfer.networks.saving import load_model, read_facts, save_model
from chest_transfer.settings import Augmentation, Cosine, Plateau, Train
from chest_transfer.training.augmentation import augmentation_layers
from chest_transfer.training.batch_norm import BatchNormStatistics
from chest_transfer.training.batches import Batches
from chest_transfer.training.checkpoints import Checkpoints
from chest_transfer.training.determinism import pin
from chest_transfer.training.fitting import fit
from chest_transfer.training.fused_norm import folded, fuse_batch_norms
from chest_transfer.training.losses import crossentropy
from chest_transfer.training.schedules import rate_of

CONSTANT = {
    "schedule": "constant",
    "plateau": Plateau(patience=2, factor=0.1, smallest_rate=0.01),
    "cosine": Cosine(warmup=2, smallest_rate=0.1),
}
NO_AUGMENTATION = Augmentation(flip=False, rotation=0, shift=0, zoom=0, contrast=0)
SETTINGS = Train(
    epochs=6, patience=6, batch_size=16, learning_rate=1e-3, **CONSTANT, imbalance="class_weights",
    augmentation=NO_AUGMENTATION, weights=("none",),
)  # fmt: skip


@pytest.fixture(autouse=True)
def pinned():
    pin(seed=1, threads=2)


def blobs(n: int = 96, size: int = 32, seed: int = 0) -> Arrays:
    """Noise, with a bright square in half of the images: labels 0 and 1."""
    random = np.random.default_rng(seed)
    images = random.integers(60, 120, (n, size, size), dtype=np.uint8)
    labels = np.arange(n) % 2
    images[labels == 1, 8:20, 8:20] += 100
    names = np.array([f"n{i}" for i in range(n)])
    return Arrays(images, labels, names, names, np.array(["no", "yes"]))


def classifier(backbone: str = "cnn_strided", classes: int = 2, multi_label: bool = False):
    return build_classifier(build_backbone(backbone, 32), "linear", classes, multi_label)


def trained(model, tmp_path, settings=SETTINGS, train=None, val=None, multi_label=False):
    checkpoints = Checkpoints(tmp_path / "training", {}, [])
    return fit(model, train or blobs(), val or blobs(seed=1), settings, 3e-2, multi_label, 1, checkpoints)


def test_a_network_learns_and_ends_with_its_best_epoch(tmp_path):
    model = classifier()
    history = trained(model, tmp_path)
    assert list(history) == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"]
    assert history["val_accuracy"].max() > 0.95
    p = model.predict(Batches(blobs(seed=1), 16), verbose=0)
    loss = -np.log(p[np.arange(96), blobs(seed=1).labels]).mean()
    assert loss == pytest.approx(history["val_loss"].min(), abs=1e-3)


def test_training_stops_after_patience_epochs_without_a_lower_loss(tmp_path):
    val = blobs(seed=1)
    wrong = Arrays(val.images, 1 - val.labels, val.patients, val.names, val.classes)
    history = trained(classifier(), tmp_path, SETTINGS.model_copy(update={"epochs": 30, "patience": 2}), val=wrong)
    assert len(history) == history["val_loss"].idxmin() + 3 < 30


def test_several_labels_are_learnt_side_by_side(tmp_path):
    base = blobs()
    labels = np.stack([base.labels, 1 - base.labels, np.ones(96, int)], axis=1).astype(np.uint8)
    arrays = Arrays(base.images, labels, base.patients, base.names, np.array(["a", "b", "c"]))
    model = classifier(classes=3, multi_label=True)
    trained(model, tmp_path, SETTINGS.model_copy(update={"epochs": 20}), arrays, arrays, multi_label=True)
    p = model.predict(Batches(arrays, 16), verbose=0)
    assert ((p >= 0.5) == labels).mean() > 0.95


class TestBatchNorm:
    def test_statistics_are_those_of_all_batches_together(self):
        inputs = keras.Input((4, 4, 1))
        model = keras.Model(inputs, keras.layers.BatchNormalization()(inputs))
        arrays = blobs(50, 4)
        BatchNormStatistics(model, Batches(arrays, 16)).estimate()
        layer = model.layers[1]
        assert float(layer.moving_mean[0]) == pytest.approx(arrays.images.mean(), rel=1e-5)
        assert float(layer.moving_variance[0]) == pytest.approx(arrays.images.var(), rel=1e-4)
        assert layer.momentum == 0.99

    def test_mobilenetv2_from_random_weights_is_not_at_chance(self, tmp_path):
        model = classifier("mobilenetv2")
        settings = SETTINGS.model_copy(update={"epochs": 4})
        checkpoints = Checkpoints(tmp_path / "training", {}, [])
        history = fit(model, blobs(), blobs(seed=1), settings, 1e-3, False, 1, checkpoints)
        # Validation sees the same statistics as the saved model: it does not lag at chance behind training.
        assert history["val_accuracy"].max() > 0.9
        p = model.predict(Batches(blobs(seed=1), 16), verbose=0)[:, 1]
        ranks = p[blobs(seed=1).labels == 1][:, None] > p[blobs(seed=1).labels == 0]
        assert ranks.mean() > 0.9


class TestFusedBatchNorm:
    @staticmethod
    def normalized(images, fused: bool, training: bool, trainable: bool = True):
        """Outputs, averages and the gradient of a batch norm that has learnt something already."""
        keras.utils.set_random_seed(1)
        layer = keras.layers.BatchNormalization(momentum=0.9)
        model = keras.Sequential([keras.Input(images.shape[1:]), layer])
        layer.set_weights([np.array(values, np.float32) for values in ([1, 2, 3], [0, 1, -1], [4, 2, 0], [1, 4, 9])])
        layer.trainable = trainable
        if fused:
            fuse_batch_norms(model)
        with tf.GradientTape() as tape:
            received = tf.constant(images)
            tape.watch(received)
            outputs = model(received, training=training)
            loss = tf.reduce_sum(outputs**3)
        weights = [*layer.get_weights(), tape.gradient(loss, received)]
        return [np.asarray(outputs), *map(np.asarray, weights)]

    @pytest.mark.parametrize("shape", [(8, 5, 5, 3), (2, 1, 1, 3), (1, 1, 1, 3)])
    @pytest.mark.parametrize(("training", "trainable"), [(True, True), (True, False), (False, True)])
    def test_it_is_the_ordinary_one_and_learns_the_same(self, shape, training, trainable):
        images = np.random.default_rng(0).normal(3, 2, shape).astype(np.float32)
        ours, ordinary = (self.normalized(images, fused, training, trainable) for fused in (True, False))
        for mine, same in zip(ours, ordinary, strict=True):
            assert mine == pytest.approx(same, rel=1e-3, abs=1e-2)

    @pytest.mark.parametrize("name", ["resnet50", "inceptionv3", "xception", "densenet201", "mobilenetv2"])
    def test_a_folded_network_answers_the_same_and_leaves_the_other_as_it_was(self, name):
        model = build_backbone(name, 75)
        chance = np.random.default_rng(0)
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                values = [chance.uniform(0.5, 1.5, weight.shape) for weight in layer.weights]
                layer.set_weights([np.asarray(value, np.float32) for value in values])
        weights, images = model.get_weights(), chance.integers(0, 256, (2, 75, 75, 1)).astype(np.float32)
        before, quick = model.predict_on_batch(images), folded(model).predict_on_batch(images)
        assert quick == pytest.approx(before, rel=1e-3, abs=1e-3 * float(np.abs(before).max()))
        assert all((a == b).all() for a, b in zip(model.get_weights(), weights, strict=True))

    def test_a_convolution_with_an_activation_or_another_reader_is_not_folded(self):
        received = keras.Input((8, 8, 1))
        active = keras.layers.Conv2D(4, 3, activation="relu")(received)
        shared = keras.layers.Conv2D(4, 3)(received)
        norms = [keras.layers.BatchNormalization()(maps) for maps in (active, shared)]
        model = keras.Model(received, keras.layers.Concatenate()([*norms, shared]))
        chance = np.random.default_rng(0)
        for layer in model.layers[-3:-1]:
            layer.set_weights([chance.uniform(0.5, 1.5, 4).astype(np.float32) for _ in range(4)])
        images = chance.normal(size=(2, 8, 8, 1)).astype(np.float32)
        assert folded(model).predict_on_batch(images) == pytest.approx(model.predict_on_batch(images), abs=1e-5)

    def test_a_saved_model_has_the_ordinary_layer(self, tmp_path):
        model = classifier("mobilenetv2")
        fuse_batch_norms(model)
        save_model(model, tmp_path / "model.keras", {})
        again, images = keras.saving.load_model(tmp_path / "model.keras"), blobs(8).inputs(np.arange(8))
        assert again.predict(images, verbose=0) == pytest.approx(model.predict(images, verbose=0), abs=1e-5)


class TestAugmentation:
    LAYERS = Augmentation(flip=True, rotation=20, shift=0.1, zoom=0.2, contrast=0.3)

    def test_it_changes_images_while_training_and_not_at_inference(self):
        images = blobs(8).images[..., None].astype(np.float32)
        for layer in augmentation_layers(self.LAYERS, seed=1):
            assert np.abs(np.asarray(layer(images, training=True)) - images).max() > 5
            assert (np.asarray(layer(images, training=False)) == images).all()
            assert np.asarray(layer(images, training=True)).max() <= 255.001

    def test_zero_leaves_a_layer_out(self):
        assert augmentation_layers(NO_AUGMENTATION, 1) == []
        assert len(augmentation_layers(self.LAYERS, 1)) == 5

    def test_the_saved_model_has_no_trace_of_it(self, tmp_path):
        model = classifier()
        trained(model, tmp_path, SETTINGS.model_copy(update={"epochs": 1, "augmentation": self.LAYERS}))
        assert not any("random" in layer.name for layer in model.layers)


class TestLoss:
    def test_unweighted_it_is_keras_own(self):
        truth = np.eye(3, dtype=np.float32)[[0, 1, 2, 2]]
        p = np.random.default_rng(0).dirichlet(np.ones(3), 4).astype(np.float32)
        ours = crossentropy(truth, multi_label=False, imbalance="none")(truth, p)
        assert np.asarray(ours) == pytest.approx(np.asarray(keras.losses.categorical_crossentropy(truth, p)), rel=1e-5)
        ours = crossentropy(truth, multi_label=True, imbalance="none")(truth, p)
        assert np.asarray(ours) == pytest.approx(np.asarray(keras.losses.binary_crossentropy(truth, p)), rel=1e-5)

    def test_weights_are_scikit_learns_balanced(self):
        from sklearn.utils.class_weight import compute_class_weight

        labels = np.array([0] * 8 + [1] * 2 + [2] * 5)
        truth, p = np.eye(3, dtype=np.float32)[labels], np.full((15, 3), 1 / 3, np.float32)
        loss = np.asarray(crossentropy(truth, multi_label=False, imbalance="class_weights")(truth, p)) / np.log(3)
        balanced = compute_class_weight("balanced", classes=np.arange(3), y=labels)
        assert loss == pytest.approx(balanced[labels], rel=1e-4)

    def test_focal_loss_counts_what_is_right_already_for_less(self):
        truth = np.eye(2, dtype=np.float32)[[1, 1]]
        p = np.array([[0.1, 0.9], [0.7, 0.3]], np.float32)
        focal = crossentropy(truth, multi_label=False, imbalance="focal")(truth, p)
        assert np.asarray(focal) == pytest.approx([-0.01 * np.log(0.9), -0.49 * np.log(0.3)], rel=1e-4)
        ours = crossentropy(truth, multi_label=True, imbalance="focal")(truth, p)
        kerass = keras.losses.BinaryFocalCrossentropy(gamma=2, reduction=None)(truth, p)
        assert np.asarray(ours) == pytest.approx(np.asarray(kerass), rel=1e-4)

    def test_a_class_without_images_weighs_nothing(self):
        truth = np.eye(3, dtype=np.float32)[[0, 0, 1]]
        assert np.isfinite(np.asarray(crossentropy(truth, False, "class_weights")(truth, np.full((3, 3), 1 / 3)))).all()
        assert np.isfinite(np.asarray(crossentropy(truth, True, "class_weights")(truth, np.full((3, 3), 1 / 3)))).all()


@pytest.mark.parametrize(
    ("losses", "rate"),
    [
        ([], 1.0),
        ([5, 4, 3], 1.0),
        ([5, 6, 6], 0.1),
        ([5, 6, 6, 6, 6], 0.01),
        ([5, 6, 4, 6, 6], 0.1),
        ([5] + [6] * 9, 0.01),
    ],
)
def test_the_rate_falls_after_a_plateau_and_never_below_the_smallest(losses, rate):
    settings = SETTINGS.model_copy(update={"schedule": "plateau"})
    assert rate_of(len(losses), losses, 1.0, settings) == pytest.approx(rate)
    assert rate_of(len(losses), losses, 1.0, SETTINGS) == 1.0


def test_a_cosine_warms_up_and_ends_at_the_smallest_rate():
    settings = SETTINGS.model_copy(update={"schedule": "cosine", "epochs": 7})
    rates = [rate_of(epoch, [], 1.0, settings) for epoch in range(7)]
    assert rates == pytest.approx([1 / 3, 2 / 3, 1.0, 0.868, 0.55, 0.232, 0.1], abs=1e-3)


class TestBatches:
    def test_every_image_comes_once_an_epoch_in_an_order_of_seed_and_epoch(self):
        def order(seed, epoch):
            batches = Batches(blobs(), 20, seed, epoch)
            return np.concatenate([batches[i][0][:, 0, 0, 0] for i in range(len(batches))]).tolist()

        assert len(Batches(blobs(), 20)) == 5
        assert sorted(order(1, 0)) == sorted(order(None, 0)) == sorted(order(1, 1))
        assert order(1, 0) == order(1, 0) != order(1, 1) != order(2, 1)

    def test_a_later_epoch_is_reached_by_either_way(self):
        batches = Batches(blobs(), 20, seed=1)
        batches.on_epoch_end()
        assert (batches[0][0] == Batches(blobs(), 20, seed=1, epoch=1)[0][0]).all()

    def test_balanced_sampling_shows_each_class_alike_often(self):
        base = blobs(200)
        rare = Arrays(base.images, (np.arange(200) < 20).astype(int), base.patients, base.names, base.classes)
        several = np.zeros((200, 3), np.uint8)
        several[:100, 0] = several[:10, 1] = 1
        for labels, kinds in ((rare.labels, 2), (several, 3)):
            arrays = Arrays(
                base.images, labels, base.patients, base.names, np.array(["a", "b", "c"][: labels.ndim + 1])
            )
            drawn = np.concatenate(
                [
                    batches[i][1]
                    for epoch in range(20)
                    for batches in [Batches(arrays, 50, 1, epoch, True)]
                    for i in range(4)
                ]
            )
            _, counts = np.unique(drawn, axis=0, return_counts=True)
            assert len(counts) == kinds
            assert counts / len(drawn) == pytest.approx([1 / kinds] * kinds, abs=0.03)


@pytest.fixture(scope="module")
def prepared_once(tmp_path_factory) -> Path:
    """A project up to its starting weights; this backbone's head has dropout, another source of chance."""
    folder = toy_project(tmp_path_factory.mktemp("prepared"))
    change_settings(folder / "params.yaml", train__epochs=5)
    stage(folder, "download", "pneumonia")
    stage(folder, "preprocess", "pneumonia")
    stage(folder, "pretrained", "cnn_strided", "none")
    return folder


@pytest.fixture
def prepared(prepared_once, tmp_path) -> Path:
    return shutil.copytree(prepared_once, tmp_path / "project")


MODEL = "models/pneumonia/cnn_strided/train-none.keras"
HISTORY = "data/predictions/pneumonia/cnn_strided/train-none/history.csv"


def test_a_killed_training_resumes_and_gives_the_same_bytes_as_one_that_was_not(prepared):
    stage(prepared, "train", "pneumonia", "cnn_strided", "none")
    whole = (prepared / MODEL).read_bytes()
    history = (prepared / HISTORY).read_bytes()
    (prepared / MODEL).unlink()
    assert not list((prepared / ".training").rglob("epoch-*"))

    words = [sys.executable, "-m", "stages.train", "pneumonia", "cnn_strided", "none"]
    process = subprocess.Popen(
        words, cwd=prepared, env={**ENVIRONMENT, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL
    )
    for _ in range(600):
        if list((prepared / ".training").rglob("epoch-0000[23]")):
            break
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (prepared / MODEL).exists()

    done = stage(prepared, "train", "pneumonia", "cnn_strided", "none")
    assert "resuming after epoch" in done.stdout
    assert (prepared / HISTORY).read_bytes() == history
    assert (prepared / MODEL).read_bytes() == whole
    assert len(pd.read_csv(prepared / HISTORY)) == 5


def test_checkpoints_of_other_settings_are_not_resumed(tmp_path):
    first = Checkpoints(tmp_path, {"epochs": 1}, [])
    model = classifier()
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    first.save(model, model, pd.DataFrame({"val_loss": [1.0]}))
    assert len(Checkpoints(tmp_path, {"epochs": 1}, []).restore(model)) == 1
    assert len(Checkpoints(tmp_path, {"epochs": 2}, []).restore(model)) == 0
    assert len(Checkpoints(tmp_path, {"epochs": 1}, []).restore(model)) == 0


def test_the_file_alone_tells_all_about_the_model(prepared, tmp_path):
    change_settings(prepared / "params.yaml", train__epochs=1)
    stage(prepared, "train", "pneumonia", "cnn_strided", "none")
    alone = tmp_path / "alone.keras"
    alone.write_bytes((prepared / MODEL).read_bytes())
    facts = read_facts(alone)
    assert facts["classes"] == ["NORMAL", "PNEUMONIA"]
    assert (facts["dataset"], facts["backbone"], facts["weights"]) == ("pneumonia", "cnn_strided", "none")
    assert facts["image_size"] == 32
    assert facts["settings"]["train"]["epochs"] == 1
    model, _ = load_model(alone)
    probabilities = model.predict(blobs().images[..., None], verbose=0)
    assert probabilities.dtype == np.float32
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_a_loss_that_is_no_number_is_one_line_with_the_remedy(tmp_path):
    checkpoints = Checkpoints(tmp_path / "training", {}, [])
    with pytest.raises(ChestTransferError, match=r"the loss is (nan|inf) after epoch 1; .* train.learning_rate=1e-04$"):
        fit(classifier(), blobs(), blobs(seed=1), SETTINGS, 1e38, False, 1, checkpoints)
