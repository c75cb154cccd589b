"""The fitting loop: a classifier trained on one split, stopped by another, resumable after a kill."""

import math
import sys

import keras
import pandas as pd

from chest_transfer.data.arrays import Arrays, Features
from chest_transfer.errors import ChestTransferError
from chest_transfer.training.augmentation import augmentation_layers
from chest_transfer.training.batch_norm import BatchNormStatistics
from chest_transfer.training.batches import Batches
from chest_transfer.training.checkpoints import Checkpoints
from chest_transfer.training.determinism import reseed
from chest_transfer.training.fused_norm import fuse_batch_norms
from chest_transfer.training.losses import crossentropy
from chest_transfer.training.schedules import rate_of


def fit(
    classifier: keras.Model,
    train: Arrays | Features,
    val: Arrays | Features,
    settings,
    learning_rate: float,
    multi_label: bool,
    seed: int,
    checkpoints: Checkpoints,
    unfreezing=None,
) -> pd.DataFrame:
    """Train a classifier in place; it ends with the weights of its best epoch, batch-norm statistics included.

    Args:
        classifier: from grey pixels (N, H, W, 1) 0-255, or from features (N, c), to probabilities (N, K).
        train, val: the splits to learn from, and to stop by.
        settings: epochs, patience, batch_size, schedule, imbalance and, for radiographs, augmentation.
        learning_rate: Adam's first.
        multi_label: whether the K probabilities are independent.
        seed: of batch order and augmentation.
        checkpoints: where the state is kept after each epoch; a training found there goes on.
        unfreezing: None trains all layers alike. Else the `Unfreezing` of a classifier that knows something already: it
            counts as epoch 0, and is what comes back if no epoch is better.

    Returns:
        One row an epoch: epoch, loss, accuracy, val_loss, val_accuracy, learning_rate.

    Raises:
        ChestTransferError: the loss is no longer a number.
    """
    fuse_batch_norms(classifier)
    # Augmentation wraps the classifier only while it trains: the saved model has no trace of it.
    received = augmented = keras.Input(classifier.input_shape[1:])
    if isinstance(train, Arrays):
        for layer in augmentation_layers(settings.augmentation, seed):
            augmented = layer(augmented)
    trainer = keras.Model(received, classifier(augmented))
    accuracy = keras.metrics.BinaryAccuracy if multi_label else keras.metrics.CategoricalAccuracy
    trainer.compile(
        optimizer=unfreezing.optimizer(learning_rate) if unfreezing else keras.optimizers.Adam(learning_rate),
        loss=crossentropy(train.targets, multi_label, settings.imbalance),
        metrics=[accuracy("accuracy")],
    )
    history = checkpoints.restore(trainer)
    if epochs_of(history):
        print(f"resuming after epoch {epochs_of(history)}", flush=True)
    statistics = BatchNormStatistics(classifier, Batches(train, settings.batch_size, seed))
    keeper = _Keeper(classifier, statistics, history, checkpoints, settings, learning_rate, seed, unfreezing)
    validation = Batches(val, settings.batch_size)
    if unfreezing and not len(history):
        trainer.optimizer.build(trainer.trainable_variables)
        keeper.keep_start(trainer, Batches(train, settings.batch_size), validation)
    if not keeper.finished():
        trainer.fit(
            Batches(
                train, settings.batch_size, seed, epochs_of(keeper.history), settings.imbalance == "balanced_sampling"
            ),
            validation_data=validation,
            epochs=settings.epochs,
            initial_epoch=epochs_of(keeper.history),
            callbacks=[keeper],
            shuffle=False,
            verbose=1 if sys.stdout.isatty() else 2,
        )
    checkpoints.load_best(classifier)
    return keeper.history


def epochs_of(history: pd.DataFrame) -> int:
    """How many epochs a history tells of, the start not counted."""
    return int(history["epoch"].max()) if len(history) else 0


class _Keeper(keras.callbacks.Callback):
    """Keeps the history and the state of each epoch, sets the rate, and stops in time.

    All it does follows from the history, the seed and the epoch, so that a resumed training does the same.
    """

    def __init__(
        self, classifier, statistics, history, checkpoints: Checkpoints, settings, first_rate, seed, unfreezing
    ):
        super().__init__()
        self.history, self._statistics, self._seed = history, statistics, seed
        self._classifier, self._checkpoints, self._settings = classifier, checkpoints, settings
        self._first_rate, self._unfreezing = first_rate, unfreezing

    def finished(self) -> bool:
        if not len(self.history):
            return False
        waited = len(self.history) - 1 - int(self.history["val_loss"].idxmin())
        return waited >= self._settings.patience or epochs_of(self.history) >= self._settings.epochs

    def keep_start(self, trainer: keras.Model, train: Batches, val: Batches) -> None:
        """The classifier as it came, as epoch 0."""
        (loss, accuracy), (val_loss, val_accuracy) = (trainer.evaluate(split, verbose=0) for split in (train, val))
        row = {"epoch": 0, "loss": loss, "accuracy": accuracy, "val_loss": val_loss, "val_accuracy": val_accuracy}
        self.history = pd.DataFrame([row | {"learning_rate": 0.0}])
        self._checkpoints.save(trainer, self._classifier, self.history)

    def on_epoch_begin(self, epoch, logs=None):
        losses = list(self.history["val_loss"]) if epoch else []
        self._rate = rate_of(epoch, losses, self._first_rate, self._settings)
        self.model.optimizer.learning_rate = self._rate
        if self._unfreezing:
            self._unfreezing.begin(epoch)
        # Keras saves no random states with the weights: those of dropout and augmentation are set anew each epoch.
        reseed(self.model.variables, self._seed, epoch)

    def on_test_begin(self, logs=None):
        self._statistics.estimate()

    def on_epoch_end(self, epoch, logs=None):
        names = ("loss", "accuracy", "val_loss", "val_accuracy")
        row = {"epoch": epoch + 1} | {name: float(logs[name]) for name in names}
        row["learning_rate"] = self._rate
        if not math.isfinite(row["loss"] + row["val_loss"]):
            raise ChestTransferError(
                f"the loss is {row['loss']} after epoch {epoch + 1}; lower the rate: "
                f"dvc exp run -S train.learning_rate={self._settings.learning_rate / 10:.0e}"
            )
        self.history = pd.concat([self.history, pd.DataFrame([row])], ignore_index=True)
        self._checkpoints.save(self.model, self._classifier, self.history)
        self.model.stop_training = self.finished()
