"""Training: what is learned, early stopping, resuming and repeating to the byte, losses, warm-up, batch norm."""

import hashlib
import json
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
from conftest import ENVIRONMENT, ROOT, change_settings, commit, run, stage, stages, toy_project
from scipy.special import expit, log_softmax, softmax

from chest_transfer.data.arrays import UNKNOWN, Arrays, open_arrays
from chest_transfer.data.predictions import read_predictions
from chest_transfer.errors import ChestTransferError
from chest_transfer.networks.backbones import build_backbone
from chest_transfer.networks.classifier import build_classifier, logits_network
from chest_transfer.networks.facts import ClassifierFacts, StartingFacts
from chest_transfer.networks.saving import load_model, read_facts, save_model
from chest_transfer.settings import Augmentation, Cosine, Plateau, Regularization, Train
from chest_transfer.training import fused_norm
from chest_transfer.training.augmentation import augmentation_layers
from chest_transfer.training.batch_norm import BatchNormStatistics
from chest_transfer.training.batches import Batches, mix, sampling_probabilities
from chest_transfer.training.checkpoints import Checkpoints
from chest_transfer.training.determinism import make_deterministic
from chest_transfer.training.fit_check import OK, check_fit
from chest_transfer.training.fitting import TrainingCallback, fit
from chest_transfer.training.fused_norm import fold_batch_norms, fuse_batch_norms
from chest_transfer.training.live_curves import LiveCurves
from chest_transfer.training.losses import FOCAL_GAMMA, IMBALANCES, cross_entropy
from chest_transfer.training.optimizers import Adam
from chest_transfer.training.schedules import epoch_learning_rate, warmup_factor
from chest_transfer.yaml_files import read_yaml

CONSTANT = {
    "warmup": 0.0,
    "schedule": "constant",
    "plateau": Plateau(patience=2, factor=0.1, smallest_rate=0.01),
    "cosine": Cosine(smallest_rate=0.1),
    "regularization": Regularization(weight_decay=0, label_smoothing=0, mixup=0, averaged_epochs=0),
}
AVERAGED = Regularization(weight_decay=0, label_smoothing=0, mixup=0, averaged_epochs=2)
NO_AUGMENTATION = Augmentation(flip=False, rotation=0, shift=0, zoom=0, contrast=0, degrade={}, degraded_share=0)
SETTINGS = Train(
    epochs=6, patience=6, batch_size=16, learning_rate=1e-3, **CONSTANT, imbalance="class_weights",
    augmentation=NO_AUGMENTATION, weights=("none",),
)  # fmt: skip
STARTING_FACTS = StartingFacts(
    backbone="mobilenetv2", weights="none", weights_sha256=None, image_size=32, precision="float32", preprocessing="tf"
)


@pytest.fixture(autouse=True)
def deterministic():
    make_deterministic(seed=1, threads=2)


def toy_arrays(count: int = 96, size: int = 32, seed: int = 0) -> Arrays:
    """Return noise, with a bright square in half of the images: labels 0 and 1."""
    rng = np.random.default_rng(seed)
    images = rng.integers(60, 120, (count, size, size), dtype=np.uint8)
    labels = np.arange(count) % 2
    images[labels == 1, 8:20, 8:20] += 100
    names = np.array([f"n{i}" for i in range(count)])
    return Arrays(images, labels, names, names, np.array(["no", "yes"]))


def rows_of(arrays: Arrays, rows: np.ndarray) -> Arrays:
    return Arrays(arrays.images[rows], arrays.labels[rows], arrays.patients[rows], arrays.names[rows], arrays.classes)


def toy_classifier(backbone: str = "cnn_strided", classes: int = 2, multi_label: bool = False):
    return build_classifier(build_backbone(backbone, 32), "linear", classes, multi_label)


def fit_classifier(
    classifier, folder: Path, settings=SETTINGS, train=None, val=None, *, learning_rate=3e-2, multi_label=False,
    section="train", unfreezing=None,
):  # fmt: skip
    """Fit a classifier in place with checkpoints in a folder; return its history."""
    checkpoints = Checkpoints(folder / "training", {}, [])
    return fit(
        logits_network(classifier), train or toy_arrays(), val or toy_arrays(seed=1), settings, checkpoints,
        section=section, learning_rate=learning_rate, multi_label=multi_label, seed=1, fused_batch_norm=True,
        unfreezing=unfreezing,
    )  # fmt: skip


def test_a_network_learns_and_ends_with_its_best_epoch(tmp_path):
    classifier = toy_classifier()
    history = fit_classifier(classifier, tmp_path)
    assert list(history) == [
        "epoch", "loss", "cross_entropy", "accuracy", "val_loss", "val_cross_entropy", "val_accuracy", "learning_rate"
    ]  # fmt: skip
    assert history["val_accuracy"].max() > 0.95
    probabilities = classifier.predict(Batches(toy_arrays(seed=1), 16), verbose=0)
    loss = -np.log(probabilities[np.arange(96), toy_arrays(seed=1).labels]).mean()
    assert loss == pytest.approx(history["val_loss"].min(), abs=1e-3)


def test_training_stops_after_patience_epochs_without_a_lower_loss(tmp_path):
    val = toy_arrays(seed=1)
    wrong = Arrays(val.images, 1 - val.labels, val.patients, val.names, val.classes)
    settings = SETTINGS.model_copy(update={"epochs": 30, "patience": 2})
    history = fit_classifier(toy_classifier(), tmp_path, settings, val=wrong)
    assert len(history) == history["val_loss"].idxmin() + 3 < 30


def test_several_labels_are_learned_side_by_side(tmp_path):
    base = toy_arrays()
    labels = np.stack([base.labels, 1 - base.labels, np.ones(96, int)], axis=1).astype(np.uint8)
    arrays = Arrays(base.images, labels, base.patients, base.names, np.array(["a", "b", "c"]))
    classifier = toy_classifier(classes=3, multi_label=True)
    settings = SETTINGS.model_copy(update={"epochs": 20})
    history = fit_classifier(classifier, tmp_path, settings, arrays, arrays, multi_label=True)
    probabilities = classifier.predict(Batches(arrays, 16), verbose=0)
    is_right = (probabilities >= 0.5) == labels
    assert is_right.mean() > 0.95
    # The accuracy of the history is that of probabilities of 0.5 too, although it is computed from logits.
    assert is_right.mean() == pytest.approx(history["val_accuracy"][history["val_loss"].idxmin()], abs=1e-6)


class TestHistory:
    """`loss` is what is minimized, weighted and with penalties; `cross_entropy` is neither."""

    @staticmethod
    def imbalanced(seed: int) -> Arrays:
        arrays = toy_arrays(seed=seed)
        return rows_of(arrays, np.flatnonzero((arrays.labels == 0) | (np.arange(96) % 8 == 1)))

    @pytest.mark.parametrize("imbalance", IMBALANCES)
    def test_cross_entropy_is_unweighted_whatever_the_loss(self, tmp_path, imbalance):
        train, val = self.imbalanced(0), self.imbalanced(1)
        assert np.bincount(train.labels).tolist() == [48, 12]
        classifier, settings = toy_classifier(), SETTINGS.model_copy(update={"epochs": 1, "imbalance": imbalance})
        # Too slow to learn anything, so that both classes have losses of similar sizes.
        history = fit_classifier(classifier, tmp_path, settings, train, val, learning_rate=1e-5)
        logits = logits_network(classifier).predict(Batches(val, 16), verbose=0).astype(float)
        entropies = -log_softmax(logits, axis=1)[np.arange(60), val.labels]
        assert history["val_cross_entropy"][0] == pytest.approx(entropies.mean(), rel=1e-5)
        losses = {
            "class_weights": np.where(val.labels == 1, 60 / (2 * 12), 60 / (2 * 48)) * entropies,
            "focal": (1 - np.exp(-entropies)) ** 2 * entropies,
        }.get(imbalance, entropies)
        assert history["val_loss"][0] == pytest.approx(losses.mean(), rel=1e-5)
        is_weighted = imbalance in ("class_weights", "focal")
        for split in ("", "val_"):
            loss, plain = history[f"{split}loss"][0], history[f"{split}cross_entropy"][0]
            assert (abs(loss / plain - 1) > 0.01) == is_weighted

    def test_cross_entropy_of_several_labels_is_unweighted_too(self, tmp_path):
        base = toy_arrays()
        labels = np.stack([base.labels, np.arange(96) % 8 == 1], axis=1).astype(np.uint8)
        arrays = Arrays(base.images, labels, base.patients, base.names, np.array(["a", "b"]))
        classifier, settings = toy_classifier(multi_label=True), SETTINGS.model_copy(update={"epochs": 1})
        history = fit_classifier(classifier, tmp_path, settings, arrays, arrays, learning_rate=1e-5, multi_label=True)
        logits = logits_network(classifier).predict(Batches(arrays, 16), verbose=0).astype(float)
        entropies = np.logaddexp(0, logits) - labels * logits
        weights = np.where(labels == 1, 96 / (2 * labels.sum(axis=0)), 96 / (2 * (96 - labels.sum(axis=0))))
        assert history["val_cross_entropy"][0] == pytest.approx(entropies.mean(), rel=1e-5)
        assert history["val_loss"][0] == pytest.approx((weights * entropies).mean(), rel=1e-5)
        assert abs(history["val_loss"][0] / history["val_cross_entropy"][0] - 1) > 0.01

    def test_penalties_of_the_weights_are_part_of_the_loss_alone(self, tmp_path):
        classifier = build_classifier(build_backbone("cnn_strided", 32), "complex", 2, multi_label=False)
        settings = SETTINGS.model_copy(update={"epochs": 1, "imbalance": "none"})
        history = fit_classifier(classifier, tmp_path, settings, learning_rate=1e-5)
        penalty = float(sum(classifier.losses))
        assert penalty > 0.1
        difference = history["val_loss"][0] - history["val_cross_entropy"][0]
        assert difference == pytest.approx(penalty, rel=1e-3)


class TestBatchNorm:
    def test_statistics_are_those_of_all_batches_together(self):
        inputs = keras.Input((4, 4, 1))
        model = keras.Model(inputs, keras.layers.BatchNormalization()(inputs))
        arrays = toy_arrays(50, 4)
        BatchNormStatistics(model, Batches(arrays, 16), images=50).estimate()
        layer = model.layers[1]
        assert float(layer.moving_mean[0]) == pytest.approx(arrays.images.mean(), rel=1e-5)
        assert float(layer.moving_variance[0]) == pytest.approx(arrays.images.var(), rel=1e-4)
        assert layer.momentum == 0.99

    def test_the_estimate_is_of_a_part_of_a_large_training_set(self):
        inputs = keras.Input((4, 4, 1))
        model = keras.Model(inputs, keras.layers.BatchNormalization()(inputs))
        arrays = toy_arrays(400, 4)
        BatchNormStatistics(model, Batches(arrays, 16), images=400).estimate()
        assert float(model.layers[1].moving_mean[0]) == pytest.approx(arrays.images[:128].mean(), rel=1e-5)

    def test_mobilenetv2_from_random_weights_is_not_at_chance(self, tmp_path):
        classifier = toy_classifier("mobilenetv2")
        settings = SETTINGS.model_copy(update={"epochs": 4})
        history = fit_classifier(classifier, tmp_path, settings, learning_rate=1e-3)
        # Validation uses the same statistics as the saved model: it does not lag at chance behind training.
        assert history["val_accuracy"].max() > 0.9
        images, labels = toy_arrays(seed=1).inputs(np.arange(96)), toy_arrays(seed=1).labels
        probabilities = np.asarray(classifier(images))[:, 1]  # not as a graph, which takes longer to build than to run
        in_order = probabilities[labels == 1][:, None] > probabilities[labels == 0]
        assert in_order.mean() > 0.9


class TestFusedBatchNorm:
    @staticmethod
    def normalized(images, fused: bool, training: bool, trainable: bool = True):
        """Return outputs, weights and gradient of a batch norm whose weights are not the initial ones."""
        keras.utils.set_random_seed(1)
        layer = keras.layers.BatchNormalization(momentum=0.9)
        model = keras.Sequential([keras.Input(images.shape[1:]), layer])
        layer.set_weights([np.array(values, np.float32) for values in ([1, 2, 3], [0, 1, -1], [4, 2, 0], [1, 4, 9])])
        layer.trainable = trainable
        if fused:
            assert fuse_batch_norms(model)
        with tf.GradientTape() as tape:
            inputs = tf.constant(images)
            tape.watch(inputs)
            outputs = model(inputs, training=training)
            loss = tf.reduce_sum(outputs**3)
        weights = [*layer.get_weights(), tape.gradient(loss, inputs)]
        return [np.asarray(outputs), *map(np.asarray, weights)]

    @pytest.mark.parametrize("shape", [(8, 5, 5, 3), (2, 1, 1, 3), (1, 1, 1, 3)])
    @pytest.mark.parametrize(("training", "trainable"), [(True, True), (True, False), (False, True)])
    def test_it_computes_and_learns_the_same_as_keras_layer(self, shape, training, trainable):
        images = np.random.default_rng(0).normal(3, 2, shape).astype(np.float32)
        fused, keras_own = (self.normalized(images, fused, training, trainable) for fused in (True, False))
        for ours, expected in zip(fused, keras_own, strict=True):
            assert ours == pytest.approx(expected, rel=1e-3, abs=1e-2)

    def test_a_kernel_that_differs_from_keras_layer_is_not_used(self, monkeypatch, capsys):
        monkeypatch.setattr(fused_norm, "_fused_equals_keras", lambda: False)
        layer = keras.layers.BatchNormalization()
        model = keras.Sequential([keras.Input((4, 4, 3)), layer])
        assert not fuse_batch_norms(model)
        assert "call" not in vars(layer)
        assert "the fused kernel differs from Keras' batch norm here and is not used" in capsys.readouterr().out

    def test_the_comparison_with_keras_layer_notices_a_difference(self, monkeypatch):
        kernel = fused_norm._fused_kernel

        def biased(*arguments, **options):
            outputs, mean, variance = kernel(*arguments, **options)
            return outputs * 1.01, mean, variance

        assert fused_norm._fused_equals_keras.__wrapped__()
        monkeypatch.setattr(fused_norm, "_fused_kernel", biased)
        assert not fused_norm._fused_equals_keras.__wrapped__()

    @pytest.mark.parametrize(
        ("name", "fused"),
        [
            ("resnet50", True), ("inceptionv3", True), ("xception", True), ("densenet201", True), ("mobilenetv2", True),
            ("mobilenetv2", False),
        ],
    )  # fmt: skip
    def test_a_folded_network_computes_the_same_and_leaves_the_original_as_it_was(self, name, fused):
        model = build_backbone(name, 75)
        rng = np.random.default_rng(0)
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                values = [rng.uniform(0.5, 1.5, weight.shape) for weight in layer.weights]
                layer.set_weights([np.asarray(value, np.float32) for value in values])
        weights, images = model.get_weights(), rng.integers(0, 256, (2, 75, 75, 1)).astype(np.float32)
        expected = np.asarray(model(images))  # not as a graph, which takes longer to build than to run
        folded = np.asarray(fold_batch_norms(model, fused)(images))
        assert folded == pytest.approx(expected, rel=1e-3, abs=1e-3 * float(np.abs(expected).max()))
        assert all((a == b).all() for a, b in zip(model.get_weights(), weights, strict=True))

    def test_a_convolution_with_an_activation_or_another_reader_is_not_folded(self):
        inputs = keras.Input((8, 8, 1))
        active = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
        shared = keras.layers.Conv2D(4, 3)(inputs)
        norms = [keras.layers.BatchNormalization()(maps) for maps in (active, shared)]
        model = keras.Model(inputs, keras.layers.Concatenate()([*norms, shared]))
        rng = np.random.default_rng(0)
        for layer in model.layers[-3:-1]:
            layer.set_weights([rng.uniform(0.5, 1.5, 4).astype(np.float32) for _ in range(4)])
        images = rng.normal(size=(2, 8, 8, 1)).astype(np.float32)
        folded = fold_batch_norms(model, fused=True).predict_on_batch(images)
        assert folded == pytest.approx(model.predict_on_batch(images), abs=1e-5)

    def test_a_saved_model_has_the_ordinary_layer(self, tmp_path):
        model = toy_classifier("mobilenetv2")
        fuse_batch_norms(model)
        save_model(model, tmp_path / "model.keras", STARTING_FACTS)
        loaded, images = keras.saving.load_model(tmp_path / "model.keras"), toy_arrays(8).inputs(np.arange(8))
        assert loaded.predict(images, verbose=0) == pytest.approx(model.predict(images, verbose=0), abs=1e-5)
        norms = [layer for layer in loaded.layers if isinstance(layer, keras.layers.BatchNormalization)]
        assert norms
        assert not any("call" in vars(layer) for layer in norms)


class TestAugmentation:
    LAYERS = Augmentation(flip=True, rotation=20, shift=0.1, zoom=0.2, contrast=0.3, degrade={}, degraded_share=0)

    def test_it_changes_images_while_training_and_not_at_inference(self):
        images = toy_arrays(8).images[..., None].astype(np.float32)
        for layer in augmentation_layers(self.LAYERS, seed=1):
            assert np.abs(np.asarray(layer(images, training=True)) - images).max() > 5
            assert (np.asarray(layer(images, training=False)) == images).all()
            assert np.asarray(layer(images, training=True)).max() <= 255.001

    def test_zero_leaves_a_layer_out(self):
        assert augmentation_layers(NO_AUGMENTATION, 1) == []
        assert len(augmentation_layers(self.LAYERS, 1)) == 5

    def test_degraded_radiographs_are_a_share_of_each_batch_and_come_back_with_the_seed(self):
        arrays = toy_arrays(64)
        degraded = NO_AUGMENTATION.model_copy(update={"degrade": {"noise": 20.0, "blur": 0.05}, "degraded_share": 0.5})
        batches = [
            Batches(arrays, 64, seed=1, augmentation=augmentation)[0] for augmentation in (degraded, degraded, None)
        ]
        (images, targets), (again, _), (unchanged, their_targets) = batches
        np.testing.assert_array_equal(images, again)
        np.testing.assert_array_equal(targets, their_targets)
        assert 0.3 < (images != unchanged).any(axis=(1, 2, 3)).mean() < 0.7

    def test_the_saved_model_has_no_trace_of_it(self, tmp_path):
        classifier = toy_classifier()
        settings = SETTINGS.model_copy(update={"epochs": 1, "augmentation": self.LAYERS})
        fit_classifier(classifier, tmp_path, settings)
        assert not any("random" in layer.name for layer in classifier.layers)


class TestRegularization:
    def test_mixup_mixes_images_and_labels_by_the_same_shares(self):
        # Each image is as bright as it is ill.
        targets = np.eye(2, dtype=np.float32)[np.arange(32) % 2]
        images = np.round(200 * targets[:, 1])[:, None, None, None] * np.ones((1, 8, 8, 1))
        mixed, of_mixed = mix(images.astype(np.uint8), targets, 0.4, np.random.default_rng(1))
        np.testing.assert_allclose(mixed[:, 0, 0, 0], 200 * of_mixed[:, 1], atol=0.01)
        np.testing.assert_allclose(of_mixed.sum(axis=1), 1, rtol=1e-6)
        assert (of_mixed[:, 1] > 0.05).mean() < 1
        assert ((of_mixed[:, 1] > 0.05) & (of_mixed[:, 1] < 0.95)).any()

    def test_a_label_that_is_unknown_of_one_of_two_is_unknown_of_their_mixture(self):
        targets = np.array([[1, UNKNOWN], [0, 1]], np.float32)
        for seed in range(5):
            _, mixed = mix(np.zeros((2, 4, 4, 1), np.uint8), targets, 1.0, np.random.default_rng(seed))
            assert mixed[0, 1] == UNKNOWN
            assert (mixed[:, 0] >= 0).all()

    def test_label_smoothing_is_that_of_keras(self):
        targets, logits = np.eye(3, dtype=np.float32), np.array([[2, 0, 1], [0, 3, 0], [1, 1, 0]], np.float32)
        ours = cross_entropy(targets, multi_label=False, imbalance="none", smoothing=0.1)(targets, logits)
        keras_own = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1, reduction=None)
        np.testing.assert_allclose(ours, keras_own(targets, logits), rtol=1e-5)

    @pytest.mark.parametrize("name", ["kernel", "bias"])
    def test_weight_decay_shrinks_kernels_alone_and_without_it_adam_is_that_of_keras(self, name):
        shape = (2, 2) if name == "kernel" else (2,)
        values = {}
        for key, optimizer in {
            "keras": keras.optimizers.Adam(0.01), "ours": Adam(0.01), "decayed": Adam(0.01, weight_decay=0.5)
        }.items():  # fmt: skip
            variable = keras.Variable(np.full(shape, 3.0, np.float32))
            optimizer.build([variable])
            optimizer.apply([np.full(shape, 0.2, np.float32)], [variable])
            values[key] = np.asarray(variable)
        np.testing.assert_array_equal(values["ours"], values["keras"])
        lost = 3.0 * 0.01 * 0.5 if name == "kernel" else 0.0
        np.testing.assert_allclose(values["keras"] - values["decayed"], lost, atol=1e-6)

    def test_weights_and_their_average_are_exchanged(self):
        variable, optimizer, values = keras.Variable(0.0), Adam(0.1, averaged_steps=4), []
        optimizer.build([variable])
        for _ in range(5):
            optimizer.apply([np.float32(-1)], [variable])
            values.append(float(variable.value))
        average = np.mean(values[:4])  # until four steps are made, their plain mean
        average += (values[4] - average) / 4
        optimizer.swap_averages([variable])
        assert float(variable.value) == pytest.approx(average)
        optimizer.swap_averages([variable])
        assert float(variable.value) == values[-1]

    def test_the_best_weights_are_averages_and_training_goes_on_from_the_last_ones(self, tmp_path):
        def fitted(regularization: Regularization) -> tuple[pd.DataFrame, np.ndarray]:
            make_deterministic(1, 2)
            settings = SETTINGS.model_copy(update={"epochs": 3, "regularization": regularization})
            classifier = toy_classifier()
            history = fit_classifier(classifier, tmp_path / str(regularization.averaged_epochs), settings)
            return history, classifier.get_layer("logits").get_weights()[0]

        plain, weights = fitted(CONSTANT["regularization"])
        averaged, mean_weights = fitted(AVERAGED)
        assert averaged["loss"].tolist() == pytest.approx(plain["loss"].tolist(), rel=1e-6)
        assert averaged["val_loss"].iloc[-1] != pytest.approx(plain["val_loss"].iloc[-1], rel=1e-3)
        assert 0 < np.abs(mean_weights - weights).max() < 0.1


def exclusive_targets(count: int, classes: int, rng) -> np.ndarray:
    """Return one-hot (count, classes) targets of which each class is half as frequent as the one before."""
    frequencies = 0.5 ** np.arange(classes)
    return np.eye(classes, dtype=np.float32)[rng.choice(classes, count, p=frequencies / frequencies.sum())]


class TestLoss:
    """Losses from logits; the range of -60 to 60 is that in which float32 probabilities round to 0 and 1."""

    LARGEST = 60.0
    KINDS = ("binary", "several", "multi_label")
    THIRD = 700  # of the images

    @classmethod
    def data(cls, kind: str) -> tuple[np.ndarray, np.ndarray]:
        """Return targets (N, K) with classes of different frequencies, and logits (N, K) of the whole range."""
        rng = np.random.default_rng(1)
        classes = {"binary": 2, "several": 4, "multi_label": 3}[kind]
        shape = (cls.THIRD, classes)
        logits = np.concatenate([
            rng.uniform(-cls.LARGEST, cls.LARGEST, shape), rng.uniform(-3, 3, shape),
            cls.LARGEST * rng.choice([-1, 1], shape),
        ])  # fmt: skip
        if kind == "multi_label":
            targets = (rng.random(logits.shape) < [0.5, 0.2, 0.05]).astype(np.float32)
        else:
            targets = exclusive_targets(len(logits), classes, rng)
        return targets, logits.astype(np.float32)

    @staticmethod
    def value_and_gradient(loss, targets, logits) -> tuple[np.ndarray, np.ndarray]:
        """Return the loss of each image (N,), and its gradient with respect to its logits (N, K)."""
        inputs = tf.constant(logits)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            values = tf.convert_to_tensor(loss(tf.constant(targets), inputs))
            total = tf.reduce_sum(values)
        return np.asarray(values), np.asarray(tape.gradient(total, inputs))

    @staticmethod
    def keras_loss(targets: np.ndarray, multi_label: bool, imbalance: str):
        """Return Keras' own loss from logits with scikit-learn's balanced weights."""
        from sklearn.utils.class_weight import compute_sample_weight

        if imbalance != "class_weights":
            name = "binary_crossentropy" if multi_label else "categorical_crossentropy"
            return lambda targets, logits: getattr(keras.losses, name)(targets, logits, from_logits=True)
        if multi_label:
            columns = [compute_sample_weight("balanced", column) for column in targets.T]
            weights = np.stack(columns, axis=1).astype(np.float32)
            return lambda targets, logits: keras.ops.mean(
                weights * keras.ops.binary_crossentropy(targets, logits, from_logits=True), axis=-1
            )
        weights = compute_sample_weight("balanced", targets.argmax(axis=1)).astype(np.float32)
        keras_own = keras.losses.CategoricalCrossentropy(from_logits=True, reduction=None)
        return lambda targets, logits: keras_own(targets, logits, sample_weight=weights)

    @staticmethod
    def focal_reference(targets, logits, multi_label: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return value and gradient of the focal loss in float64, from its formula (arXiv 1708.02002)."""
        logits, targets = logits.astype(np.float64), targets.astype(np.float64)
        if multi_label:
            entropies = np.logaddexp(0, logits) - targets * logits
            slopes = expit(logits) - targets  # of the cross-entropy
        else:
            entropies = -(targets * log_softmax(logits, axis=1)).sum(axis=1, keepdims=True)
            slopes = softmax(logits, axis=1) - targets
        right, wrong = np.exp(-entropies), -np.expm1(-entropies)  # p and 1 - p of the true class
        values = wrong**FOCAL_GAMMA * entropies
        gradient = (wrong**FOCAL_GAMMA + FOCAL_GAMMA * entropies * wrong ** (FOCAL_GAMMA - 1) * right) * slopes
        return (values.mean(axis=1), gradient / targets.shape[1]) if multi_label else (values[:, 0], gradient)

    @staticmethod
    def assert_agree(ours, expected):
        for mine, other in zip(ours, expected, strict=True):
            assert np.isfinite(mine).all()
            assert (np.abs(mine - other) / np.maximum(1, np.abs(other))).max() < 1e-6

    @pytest.mark.parametrize("imbalance", ["none", "class_weights", "balanced_sampling"])
    @pytest.mark.parametrize("kind", KINDS)
    def test_value_and_gradient_are_those_of_keras_own_losses(self, kind, imbalance):
        targets, logits = self.data(kind)
        multi_label = kind == "multi_label"
        ours = cross_entropy(targets, multi_label, imbalance)
        keras_own = self.keras_loss(targets, multi_label, imbalance)
        self.assert_agree(
            self.value_and_gradient(ours, targets, logits), self.value_and_gradient(keras_own, targets, logits)
        )

    # Keras' own focal losses clip probabilities to 1e-7 ... 1 - 1e-7, also when they are given logits: beyond a logit
    # of 16 they have no gradient, so they are no reference over this range.
    @pytest.mark.parametrize("kind", KINDS)
    def test_value_and_gradient_of_focal_loss_are_those_of_its_formula(self, kind):
        targets, logits = self.data(kind)
        multi_label = kind == "multi_label"
        ours = self.value_and_gradient(cross_entropy(targets, multi_label, "focal"), targets, logits)
        self.assert_agree(ours, self.focal_reference(targets, logits, multi_label))

    @pytest.mark.parametrize("error", [16.0, 17.0, 20.0, 30.0, 45.0, 60.0])
    @pytest.mark.parametrize("imbalance", IMBALANCES)
    @pytest.mark.parametrize("kind", KINDS)
    def test_a_confidently_wrong_prediction_has_a_gradient(self, kind, imbalance, error):
        multi_label = kind == "multi_label"
        classes = {"binary": 2, "several": 4, "multi_label": 3}[kind]
        targets = np.eye(classes, dtype=np.float32)
        # Each image has one finding, for which the logit is too low; for multi-label data the others are too high.
        logits = np.float32(error) * (1 - targets) - (np.float32(error) * targets if multi_label else 0)
        loss = cross_entropy(targets, multi_label, imbalance)
        values, gradient = self.value_and_gradient(loss, targets, logits)
        # Weights are 1 for exclusive classes here, and at least 3/4 for multi-label data, whose loss is a mean of 3.
        # The gradient of the other exclusive classes is shared among at most 3 of them.
        assert (values >= 0.75 * error).all()
        assert (np.sign(gradient) == np.where(targets == 1, -1, 1)).all()
        assert np.abs(gradient).min() > 0.24

    def test_class_weights_are_scikit_learns_balanced(self):
        from sklearn.utils.class_weight import compute_class_weight

        labels = np.array([0] * 8 + [1] * 2 + [2] * 5)
        targets, logits = np.eye(3, dtype=np.float32)[labels], np.zeros((15, 3), np.float32)
        loss = np.asarray(cross_entropy(targets, multi_label=False, imbalance="class_weights")(targets, logits))
        balanced = compute_class_weight("balanced", classes=np.arange(3), y=labels)
        assert loss / np.log(3) == pytest.approx(balanced[labels], rel=1e-4)

    def test_focal_loss_gives_images_that_are_right_already_less_weight(self):
        targets = np.eye(2, dtype=np.float32)[[1, 1]]
        probabilities = np.array([[0.1, 0.9], [0.7, 0.3]], np.float32)
        focal = cross_entropy(targets, multi_label=False, imbalance="focal")(targets, np.log(probabilities))
        assert np.asarray(focal) == pytest.approx([-0.01 * np.log(0.9), -0.49 * np.log(0.3)], rel=1e-4)
        log_odds = np.log(probabilities / (1 - probabilities))
        ours = cross_entropy(targets, multi_label=True, imbalance="focal")(targets, log_odds)
        keras_own = keras.losses.BinaryFocalCrossentropy(gamma=2, reduction=None)(targets, probabilities)
        assert np.asarray(ours) == pytest.approx(np.asarray(keras_own), rel=1e-4)

    @pytest.mark.parametrize("multi_label", [False, True])
    def test_a_class_without_images_has_no_weight(self, multi_label):
        targets, logits = np.eye(3, dtype=np.float32)[[0, 0, 1]], np.zeros((3, 3), np.float32)
        loss = cross_entropy(targets, multi_label, "class_weights")
        assert np.isfinite(np.asarray(loss(targets, logits))).all()
        # An image of the class that was not among the training images: for exclusive classes it has no weight at all;
        # for multi-label data the absence of all three counts, of which the last is always absent and weighs 1/2.
        unseen = np.asarray(loss(np.eye(3, dtype=np.float32)[[2]], logits[:1]))
        weights = [3 / 2, 3 / 4, 0] if multi_label else [0]
        assert unseen[0] == pytest.approx(np.mean(weights) * np.log(2), rel=1e-5)


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
def test_the_learning_rate_falls_after_a_plateau_and_never_below_the_smallest(losses, rate):
    settings = SETTINGS.model_copy(update={"schedule": "plateau"})
    assert epoch_learning_rate(len(losses), losses, 1.0, settings) == pytest.approx(rate)
    assert epoch_learning_rate(len(losses), losses, 1.0, SETTINGS) == 1.0


def test_a_cosine_falls_from_the_first_epoch_to_the_smallest_rate_at_the_last():
    settings = SETTINGS.model_copy(update={"schedule": "cosine", "epochs": 7})
    rates = [epoch_learning_rate(epoch, [], 1.0, settings) for epoch in range(7)]
    assert rates == pytest.approx([1.0, 0.940, 0.775, 0.55, 0.325, 0.160, 0.1], abs=1e-3)


class TestWarmup:
    STEPS = 6  # of an epoch: 96 images in batches of 16

    @pytest.mark.parametrize("warmup", [0, 0.5, 1, 2.5, 3])
    @pytest.mark.parametrize("steps", [1, 5, 10])
    def test_the_factor_rises_in_a_straight_line_to_1_and_stays_there(self, warmup, steps):
        factors = np.array([warmup_factor(epoch, step, steps, warmup) for epoch in range(5) for step in range(steps)])
        rising = int(np.ceil(warmup * steps))
        assert (factors[:rising] < 1).all()
        assert (factors[rising:] == 1).all()
        # The factor before the first step would be 0, and the line reaches 1 one step after the warm-up.
        slope = 1 / (warmup * steps + 1)
        assert np.diff(factors[:rising], prepend=0) == pytest.approx(np.full(rising, slope))

    @pytest.mark.parametrize(
        ("schedule", "warmup"), [("constant", 0), ("constant", 1.5), ("cosine", 0.5), ("cosine", 1.5)]
    )
    def test_a_fit_multiplies_the_learning_rate_of_each_step(self, tmp_path, monkeypatch, schedule, warmup):
        rates, settings = [], SETTINGS.model_copy(update={"epochs": 3, "schedule": schedule, "warmup": warmup})
        monkeypatch.setattr(
            TrainingCallback,
            "on_train_batch_end",
            lambda callback, batch, logs=None: rates.append(float(callback.model.optimizer.learning_rate)),
        )
        history = fit_classifier(toy_classifier(), tmp_path, settings, learning_rate=1.0)
        of_epochs = [epoch_learning_rate(epoch, [], 1.0, settings) for epoch in range(3)]
        expected = [
            of_epochs[epoch] * warmup_factor(epoch, step, self.STEPS, warmup)
            for epoch in range(3)
            for step in range(self.STEPS)
        ]
        assert rates == pytest.approx(expected, rel=1e-6)
        assert history["learning_rate"].tolist() == pytest.approx(of_epochs)  # that after warm-up

    def test_a_fit_starts_with_small_steps(self, tmp_path):
        # Adam's first step is the learning rate itself, whatever the gradient.
        moved = {}
        for warmup in (0, 9):
            keras.utils.set_random_seed(1)
            classifier = toy_classifier()
            before = classifier.get_layer("logits").get_weights()[0]
            settings = SETTINGS.model_copy(update={"epochs": 1, "batch_size": 96, "warmup": warmup})
            fit_classifier(classifier, tmp_path / str(warmup), settings, learning_rate=1e-3)
            moved[warmup] = np.abs(classifier.get_layer("logits").get_weights()[0] - before).max()
        assert moved[0] == pytest.approx(1e-3, rel=0.01)
        assert moved[9] == pytest.approx(1e-4, rel=0.01)

    @pytest.mark.parametrize(
        "changes", [{"warmup": 2.5}, {"regularization": AVERAGED}], ids=["in the middle of warm-up", "with averages"]
    )
    def test_resuming_gives_the_same_history(self, changes, tmp_path, capsys):
        def history_of(folder: str, epochs: int) -> pd.DataFrame:
            make_deterministic(1, 2)
            settings = SETTINGS.model_copy(update={"epochs": epochs} | changes)
            return fit_classifier(toy_classifier(), tmp_path / folder, settings)

        uninterrupted = history_of("uninterrupted", 4)
        history_of("interrupted", 2)
        assert "resuming" not in capsys.readouterr().out
        resumed = history_of("interrupted", 4)
        assert "resuming after epoch 2" in capsys.readouterr().out
        pd.testing.assert_frame_equal(resumed, uninterrupted, rtol=1e-12)


class TestFitCheck:
    """Whether a fit failed, told from its predictions for the validation split and from its history."""

    CONSTANT = "the predictions are constant"
    GUESSING = "the validation loss is not clearly below that of the class frequencies"
    RESTORED = "no epoch improved on the initial weights, which were restored"
    IMAGES = 4000
    PREVALENCES = (0.05, 0.3)  # of the two findings of multi-label data; the first is that of binary data

    @classmethod
    def labels_and_logits(cls, multi_label: bool, kind: str) -> tuple[np.ndarray, np.ndarray]:
        """Return labels (N, 2), and logits (N, 2) of a model of some kind; rare findings, as in a screening."""
        rng = np.random.default_rng(1)
        prevalences = np.array(cls.PREVALENCES if multi_label else cls.PREVALENCES[:1])
        labels = (rng.random((cls.IMAGES, len(prevalences))) < prevalences).astype(int)
        # An image of a finding has evidence of mean 1, another of mean -1, both with a standard deviation of 1: twice
        # the evidence is the logarithm of the likelihood ratio, and so the log odds if both were equally frequent.
        evidence = rng.normal(2 * labels - 1, 1)
        prior = np.log(prevalences / (1 - prevalences))
        log_odds = {
            "good": 2 * evidence + prior,
            "class-weighted": 2 * evidence,
            "class frequencies": np.broadcast_to(prior, labels.shape),
            "one class": np.broadcast_to(prior - 30.0, labels.shape),
            "hardly varying": prior + 1e-3 * evidence,
            "noise": prior + rng.normal(size=labels.shape),
            "next to nothing": prior + 0.05 * evidence + rng.normal(0, 0.3, labels.shape),
            "balanced noise": rng.normal(size=labels.shape),
            "wrong way round": prior - 2 * evidence,
            "certain and wrong": np.where(labels == 1, -60.0, 60.0),
            "certain and right": np.where(labels == 1, 60.0, -60.0),
        }[kind]
        if multi_label:
            return labels, log_odds
        return np.hstack([1 - labels, labels]), np.hstack([np.zeros_like(log_odds), log_odds])

    @staticmethod
    def history(first_epoch: int, val_losses: list[float]) -> pd.DataFrame:
        return pd.DataFrame({"epoch": first_epoch + np.arange(len(val_losses)), "val_loss": val_losses})

    @pytest.mark.parametrize("multi_label", [False, True], ids=["binary", "multi-label"])
    @pytest.mark.parametrize(
        ("kind", "first_epoch", "val_losses", "expected"),
        [
            ("good", 1, [0.5, 0.4, 0.45], OK),
            ("good", 1, [0.4, 0.5, 0.6], OK),  # the first epoch is the best: nothing was restored
            ("good", 0, [0.5, 0.4, 0.45], OK),
            ("good", 0, [0.4, 0.5, 0.6], RESTORED),
            ("good", 0, [0.4], RESTORED),
            ("class-weighted", 1, [0.5, 0.4], OK),
            ("class-weighted", 0, [0.4, 0.5], RESTORED),
            ("certain and right", 1, [0.5, 0.0], OK),
            ("class frequencies", 1, [0.5, 0.4], CONSTANT),
            ("class frequencies", 0, [0.4, 0.5], CONSTANT),
            ("one class", 1, [0.5, 0.4], CONSTANT),
            ("hardly varying", 1, [0.5, 0.4], CONSTANT),
            ("noise", 1, [0.5, 0.4], GUESSING),
            ("noise", 0, [0.4, 0.5], GUESSING),
            ("next to nothing", 1, [0.5, 0.4], GUESSING),
            ("balanced noise", 1, [0.5, 0.4], GUESSING),
            ("wrong way round", 1, [0.5, 0.4], GUESSING),
            ("certain and wrong", 1, [0.5, 0.4], GUESSING),
        ],
    )
    def test_a_table_of_fits(self, multi_label, kind, first_epoch, val_losses, expected):
        labels, logits = self.labels_and_logits(multi_label, kind)
        assert check_fit(labels, logits, self.history(first_epoch, val_losses), multi_label) == expected

    def test_class_weighted_predictions_are_worse_than_the_class_frequencies_on_images_as_they_are(self):
        # What makes the case of the table a case: without balancing, the model would count as guessing.
        labels, logits = self.labels_and_logits(False, "class-weighted")
        entropy = -log_softmax(logits, axis=1)[labels == 1].mean()
        frequencies = labels.mean(axis=0)
        assert entropy > -(frequencies * np.log(frequencies)).sum()


class TestBatches:
    def test_every_image_comes_once_an_epoch_in_an_order_of_seed_and_epoch(self):
        def order(seed, epoch):
            batches = Batches(toy_arrays(), 20, seed, epoch)
            return np.concatenate([batches[i][0][:, 0, 0, 0] for i in range(len(batches))]).tolist()

        assert len(Batches(toy_arrays(), 20)) == 5
        assert sorted(order(1, 0)) == sorted(order(None, 0)) == sorted(order(1, 1))
        assert order(1, 0) == order(1, 0) != order(1, 1) != order(2, 1)

    def test_a_later_epoch_has_the_same_order_whether_reached_or_started_from(self):
        batches = Batches(toy_arrays(), 20, seed=1)
        batches.on_epoch_end()
        assert (batches[0][0] == Batches(toy_arrays(), 20, seed=1, epoch=1)[0][0]).all()

    def test_balanced_sampling_makes_every_class_equally_frequent(self):
        base = toy_arrays(200)
        exclusive = (np.arange(200) < 20).astype(int)
        several = np.zeros((200, 3), np.uint8)
        several[:100, 0] = several[:10, 1] = 1
        for labels, strata in ((exclusive, 2), (several, 3)):
            classes = np.array(["a", "b", "c"][: labels.ndim + 1])
            arrays = Arrays(base.images, labels, base.patients, base.names, classes)
            targets = []
            for epoch in range(20):
                probabilities = sampling_probabilities(arrays, balance_classes=True)
                batches = Batches(arrays, 50, seed=1, epoch=epoch, probabilities=probabilities)
                targets += [batches[i][1] for i in range(4)]
            _, counts = np.unique(np.concatenate(targets), axis=0, return_counts=True)
            assert len(counts) == strata
            assert counts / counts.sum() == pytest.approx([1 / strata] * strata, abs=0.03)


def test_checkpoints_of_other_settings_are_not_resumed(tmp_path):
    first = Checkpoints(tmp_path, {"epochs": 1}, [])
    model = toy_classifier()
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    first.save(model, model, pd.DataFrame({"val_loss": [1.0]}))
    assert len(Checkpoints(tmp_path, {"epochs": 1}, []).restore(model)) == 1
    assert len(Checkpoints(tmp_path, {"epochs": 2}, []).restore(model)) == 0
    assert len(Checkpoints(tmp_path, {"epochs": 1}, []).restore(model)) == 0


def test_curves_are_drawn_while_a_network_is_trained_and_removed_afterwards(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(tmp_path, "git", "init", "-q")
    run(tmp_path, "dvc", "init", "-q")
    commit(tmp_path, "DVC")
    with monkeypatch.context() as patch:
        patch.setattr(LiveCurves, "remove", lambda self: None)  # as if it were still running
        history = fit_classifier(toy_classifier(), Path(".training/pneumonia/cnn/train-none"), SETTINGS)
    [folder] = Path("live").iterdir()
    curve = pd.read_csv(folder / "plots/metrics/validation/cross_entropy.tsv", sep="\t")["cross_entropy"]
    assert curve.tolist() == pytest.approx(history["val_cross_entropy"].tolist())
    assert read_yaml(folder / "dvc.yaml")["plots"] == [{"plots/metrics": {"x": "step"}}]
    with LiveCurves(folder.name) as live:
        live.log(history.iloc[0])
    assert not Path("live").exists()


def test_a_folder_that_is_no_repository_of_dvc_stays_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(tmp_path, "git", "init", "-q")
    fit_classifier(toy_classifier(), Path(".training/pneumonia/cnn/train-none"), SETTINGS)
    assert not (tmp_path / ".dvc").exists()
    assert not (tmp_path / "live").exists()


@pytest.mark.parametrize("section", ["train", "finetune", "probe"])
def test_a_loss_that_is_not_a_number_is_one_line_with_the_setting_to_lower(tmp_path, section):
    message = rf"^the loss is (nan|inf) after epoch 1; .*: dvc exp run -S {section}\.learning_rate=1e-04$"
    with pytest.raises(ChestTransferError, match=message):
        fit_classifier(toy_classifier(), tmp_path, learning_rate=1e38, section=section)


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory) -> Path:
    """A project with one trained network; this backbone's head has dropout, another source of randomness."""
    folder = toy_project(tmp_path_factory.mktemp("trained"))
    change_settings(folder / "params.yaml", train__epochs=5)
    words = "download pneumonia", "preprocess pneumonia", "pretrained cnn_strided none"
    stages(folder, *(command.split() for command in words), TRAIN)
    return folder


@pytest.fixture
def trained(trained_once, tmp_path) -> Path:
    """A copy of it, to change."""
    return shutil.copytree(trained_once, tmp_path / "project")


TRAIN = ("train", "pneumonia", "cnn_strided", "none", "1", "all")
MODEL = "models/pneumonia/cnn_strided/train-none-seed1-all.keras"
PREDICTIONS = "data/predictions/pneumonia/cnn_strided/train-none-seed1-all"
HISTORY = f"{PREDICTIONS}/history.csv"


def test_a_killed_training_resumes_and_gives_the_same_bytes_as_one_that_was_not(trained):
    written = [MODEL, *(f"{PREDICTIONS}/{name}" for name in ("val.csv", "test.csv", "history.csv", "facts.json"))]
    uninterrupted = {name: (trained / name).read_bytes() for name in written}
    (trained / MODEL).unlink()
    shutil.rmtree(trained / PREDICTIONS)
    assert not list((trained / ".training").rglob("epoch-*"))

    words = [sys.executable, "-m", f"stages.{TRAIN[0]}", *TRAIN[1:]]
    process = subprocess.Popen(
        words, cwd=trained, env={**ENVIRONMENT, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL
    )
    for _ in range(600):
        if list((trained / ".training").rglob("epoch-0000[23]")):
            break
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (trained / MODEL).exists()

    done = stage(trained, *TRAIN)
    assert "resuming after epoch" in done.stdout
    assert {name: (trained / name).read_bytes() for name in written} == uninterrupted
    assert len(pd.read_csv(trained / HISTORY)) == 5


def test_the_file_alone_has_all_facts_about_the_model(trained, tmp_path):
    alone = tmp_path / "alone.keras"
    alone.write_bytes((trained / MODEL).read_bytes())
    facts = read_facts(alone, ClassifierFacts)
    assert facts.classes == ["NORMAL", "PNEUMONIA"]
    assert (facts.dataset, facts.backbone, facts.weights) == ("pneumonia", "cnn_strided", "none")
    assert (facts.regime, facts.start, facts.multi_label, facts.fit) == ("train", "none", False, "squeeze")
    assert facts.image_size == 32
    assert facts.settings["train"]["epochs"] == 5
    model, _ = load_model(alone, ClassifierFacts)
    probabilities = model.predict(toy_arrays().images[..., None], verbose=0)
    assert probabilities.dtype == np.float32
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
    # The predictions name the network that they come from, and are its logits.
    beside_predictions = json.loads((trained / PREDICTIONS / "facts.json").read_text())
    digest = hashlib.sha256(alone.read_bytes()).hexdigest()
    assert beside_predictions == {"sha256": digest} | facts.model_dump()
    test = open_arrays(trained / "data/arrays/pneumonia/test.npz")
    predictions = read_predictions(trained / PREDICTIONS / "test.csv")
    assert (predictions.names == test.names).all()
    assert (predictions.labels == test.targets).all()
    logits = logits_network(model).predict(Batches(test, 32), verbose=0)
    assert predictions.logits == pytest.approx(logits, abs=1e-4)


def test_a_rerun_never_writes_through_a_hard_link(trained, tmp_path):
    # As DVC links its cache into the workspace with `dvc config cache.type hardlink`.
    written = [trained / MODEL, *sorted((trained / PREDICTIONS).iterdir())]
    assert [path.name for path in written[1:]] == ["facts.json", "history.csv", "test.csv", "val.csv"]
    linked, contents = {}, {}
    for path in written:
        linked[path], contents[path] = tmp_path / f"cached-{path.name}", path.read_bytes()
        linked[path].hardlink_to(path)
        assert path.samefile(linked[path])
    change_settings(trained / "params.yaml", train__learning_rate=2e-3, train__epochs=1)
    stage(trained, *TRAIN)
    for path in written:
        assert path.read_bytes() != contents[path], path
        assert linked[path].read_bytes() == contents[path], path
        assert path.stat().st_nlink == linked[path].stat().st_nlink == 1
