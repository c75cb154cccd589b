"""The training loop: a network trained on one split, stopped early on another, resumable after a kill."""

import math
import sys
from typing import TYPE_CHECKING

import keras
import pandas as pd

from chest_transfer.data.arrays import Arrays, Features
from chest_transfer.errors import ChestTransferError
from chest_transfer.training.augmentation import augmentation_layers
from chest_transfer.training.batch_norm import BatchNormStatistics
from chest_transfer.training.batches import Batches, sampling_probabilities
from chest_transfer.training.checkpoints import Checkpoints
from chest_transfer.training.determinism import reseed
from chest_transfer.training.frozen_part import Activations
from chest_transfer.training.fused_norm import fuse_batch_norms
from chest_transfer.training.live_curves import LiveCurves
from chest_transfer.training.losses import accuracy, cross_entropy, plain_cross_entropy
from chest_transfer.training.optimizers import Adam
from chest_transfer.training.schedules import epoch_learning_rate, warmup_factor
from chest_transfer.training.unfreezing import GradualUnfreezing

if TYPE_CHECKING:
    from chest_transfer.settings import Fit

# `loss` is what is minimized: weighted for rare classes, with the penalty of regularized layers. `cross_entropy` is
# neither, and comparable between runs.
HISTORY = ("epoch", "loss", "cross_entropy", "accuracy", "val_loss", "val_cross_entropy", "val_accuracy",
           "learning_rate")  # fmt: skip


def fit(
    network: keras.Model,
    train: Arrays | Features | Activations,
    val: Arrays | Features | Activations,
    settings: "Fit",
    checkpoints: Checkpoints,
    *,
    section: str,
    learning_rate: float,
    multi_label: bool,
    seed: int,
    fused_batch_norm: bool = False,
    unfreezing: GradualUnfreezing | None = None,
) -> pd.DataFrame:
    """Train a network in place; it ends with the weights of its best epoch, batch-norm statistics included.

    Args:
        network: Keras model from gray levels (N, H, W, 1) 0-255, features (N, C) or activations to logits (N, K).
        train: Arrays, Features or Activations to train on.
        val: Arrays, Features or Activations to stop early on.
        settings: Fit section of the settings, with `augmentation` where `train` are radiographs.
        checkpoints: Checkpoints, written after each epoch; a training found there is resumed.
        section: str, the name of the section of the settings, for error messages.
        learning_rate: float, Adam's, after warm-up.
        multi_label: bool, whether the K classes are independent.
        seed: int, of the order of batches, dropout and augmentation.
        fused_batch_norm: bool, whether batch norm uses TensorFlow's fused kernel.
        unfreezing: None to train all layers. With `GradualUnfreezing` the network is trained already: it counts as
            epoch 0, and its weights are restored if no epoch improves on them.

    Returns:
        Table with the columns `HISTORY`, a row for each epoch.

    Raises:
        ChestTransferError: the loss is not a number any more.
    """
    if fused_batch_norm:
        fuse_batch_norms(network)
    trainer = _trainer(network, train, settings, seed)
    probabilities = sampling_probabilities(train, settings.imbalance == "balanced_sampling")
    regularization, build_optimizer = settings.regularization, unfreezing.optimizer if unfreezing else Adam
    averaged_steps = regularization.averaged_epochs * math.ceil(len(train.labels) / settings.batch_size)
    loss = cross_entropy(train.targets, multi_label, settings.imbalance, probabilities, regularization.label_smoothing)
    trainer.compile(
        optimizer=build_optimizer(learning_rate, regularization.weight_decay, averaged_steps),
        loss=loss,
        metrics=[plain_cross_entropy(multi_label), accuracy(multi_label)],
    )
    history = checkpoints.restore(trainer)
    if last_epoch(history):
        print(f"resuming after epoch {last_epoch(history)}", flush=True)
    statistics = BatchNormStatistics(network, Batches(train, settings.batch_size, seed), len(train.labels))
    with LiveCurves(checkpoints.name) as live:
        callback = TrainingCallback(
            network, statistics, history, checkpoints, live, settings, section=section, learning_rate=learning_rate,
            seed=seed, unfreezing=unfreezing,
        )  # fmt: skip
        validation = Batches(val, settings.batch_size)
        if unfreezing and not len(history):
            trainer.optimizer.build(trainer.trainable_variables)
            callback.record_initial_weights(trainer, Batches(train, settings.batch_size), validation)
        if not callback.is_finished():
            first_epoch = last_epoch(callback.history)
            trainer.fit(
                Batches(
                    train, settings.batch_size, seed, first_epoch, probabilities, mixup=regularization.mixup,
                    augmentation=settings.augmentation if isinstance(train, Arrays) else None,
                ),
                validation_data=validation,
                epochs=settings.epochs,
                initial_epoch=first_epoch,
                callbacks=[callback],
                shuffle=False,
                verbose=1 if sys.stdout.isatty() else 2,
            )  # fmt: skip
    checkpoints.load_best(network)
    return callback.history


def last_epoch(history: pd.DataFrame) -> int:
    """Return the number of the last epoch of a history, 0 if there is none."""
    return int(history["epoch"].max()) if len(history) else 0


class TrainingCallback(keras.callbacks.Callback):
    """Sets the learning rate, records the history, writes a checkpoint after each epoch, and stops early.

    Everything it does follows from the history, the seed and the epoch, so that a resumed training does the same.
    """

    def __init__(
        self,
        network: keras.Model,
        statistics: BatchNormStatistics,
        history: pd.DataFrame,
        checkpoints: Checkpoints,
        live: LiveCurves,
        settings: "Fit",
        *,
        section: str,
        learning_rate: float,
        seed: int,
        unfreezing: GradualUnfreezing | None,
    ):
        super().__init__()
        self._live = live
        for _, epoch in history.iterrows():
            live.log(epoch)
        self.history = history
        self._network, self._statistics, self._checkpoints = network, statistics, checkpoints
        self._settings, self._section, self._seed = settings, section, seed
        self._initial_rate, self._unfreezing = learning_rate, unfreezing

    def is_finished(self) -> bool:
        """Return whether the last epoch is reached, or `patience` epochs have passed without a lower loss."""
        if not len(self.history):
            return False
        epochs_waited = len(self.history) - 1 - int(self.history["val_loss"].idxmin())
        return epochs_waited >= self._settings.patience or last_epoch(self.history) >= self._settings.epochs

    def record_initial_weights(self, trainer: keras.Model, train: Batches, val: Batches) -> None:
        """Record the network as it is as epoch 0."""
        on_train, on_val = (trainer.evaluate(batches, verbose=0, return_dict=True) for batches in (train, val))
        self._append({"epoch": 0} | on_train | {f"val_{name}": value for name, value in on_val.items()}, rate=0.0)
        self._checkpoints.save(trainer, self._network, self.history)

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        val_losses = list(self.history["val_loss"]) if epoch else []
        self._rate = epoch_learning_rate(epoch, val_losses, self._initial_rate, self._settings)
        self.model.optimizer.learning_rate = self._rate
        if self._unfreezing:
            self._unfreezing.begin_epoch(epoch)
        if epoch:
            self.model.optimizer.swap_averages(self.model.trainable_variables)  # back, from the last validation
        # Keras saves no random states with the weights, so those of dropout and augmentation are set in each epoch.
        reseed(self.model.variables, self._seed, epoch)

    def on_train_batch_begin(self, batch, logs=None):
        if self._epoch <= self._settings.warmup:
            factor = warmup_factor(self._epoch, batch, self.params["steps"], self._settings.warmup)
            self.model.optimizer.learning_rate = self._rate * factor

    def on_test_begin(self, logs=None):
        # Until the next epoch, so that the averages are what is stored as the best weights, too.
        self.model.optimizer.swap_averages(self.model.trainable_variables)
        self._statistics.estimate()

    def on_epoch_end(self, epoch, logs=None):
        if not math.isfinite(logs["loss"] + logs["val_loss"]):
            raise ChestTransferError(
                f"the loss is {logs['loss']} after epoch {epoch + 1}; lower the learning rate: "
                f"dvc exp run -S {self._section}.learning_rate={self._settings.learning_rate / 10:.0e}"
            )
        self._append({"epoch": epoch + 1} | {name: float(value) for name, value in logs.items()}, self._rate)
        self._checkpoints.save(self.model, self._network, self.history)
        self.model.stop_training = self.is_finished()

    def _append(self, values: dict, rate: float) -> None:
        row = {name: (values | {"learning_rate": rate})[name] for name in HISTORY}
        self.history = pd.concat([self.history, pd.DataFrame([row])], ignore_index=True)
        self._live.log(row)


def _trainer(network: keras.Model, train: Arrays | Features | Activations, settings: "Fit", seed: int) -> keras.Model:
    """Return the network behind augmentation layers, which so leave no trace in the saved model."""
    if isinstance(train, Activations):
        inputs = [keras.Input(tensor.shape[1:], dtype=tensor.dtype) for tensor in network.inputs]
        return keras.Model(inputs, network(inputs))
    inputs = augmented = keras.Input(network.input_shape[1:])
    if isinstance(train, Arrays):
        for layer in augmentation_layers(settings.augmentation, seed):
            augmented = layer(augmented)
    return keras.Model(inputs, network(augmented))
