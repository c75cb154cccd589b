"""Checkpoints after each epoch, from which a training that was killed goes on to the same result."""

import hashlib
import json
import shutil
from pathlib import Path

import keras
import pandas as pd

from chest_transfer.source_code import stage_fingerprint

PROJECT = Path(__file__).parents[3]
CHECKPOINTS = Path(".training")


class Checkpoints:
    """Checkpoints of one training in one folder: `epoch-00007/{state,best}.weights.h5` and `history.csv`.

    The folder of an epoch is written aside and renamed, so a kill at any moment leaves a complete one.
    """

    def __init__(self, training: Path, settings: dict, inputs: list[Path]):
        """Open the checkpoints of one training.

        A change of settings, inputs or of the code that trains makes another training with a folder of its own. The
        folders of earlier ones are removed, because they can never be resumed.

        Args:
            training: Path of the folder of this training and of its earlier variants.
            settings: dict of all settings that the training depends on, JSON.
            inputs: list of Path, the files that it depends on.
        """
        key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        key.update(
            stage_fingerprint(Path(__file__).relative_to(PROJECT).with_name("train_and_save.py"), PROJECT).encode()
        )
        for path in inputs:
            with path.open("rb") as content:
                key.update(hashlib.file_digest(content, "sha256").digest())
        self._training, self._folder = training, training / key.hexdigest()[:16]
        for other in training.glob("*"):
            if other != self._folder:
                shutil.rmtree(other)

    @property
    def name(self) -> str:
        """Of the training: the path of its folder below the one of all checkpoints."""
        return self._training.as_posix().removeprefix(f"{CHECKPOINTS}/")

    def save(self, trainer: keras.Model, network: keras.Model, history: pd.DataFrame) -> None:
        """Keep the state after the last epoch of the history, and the weights of the epoch of lowest `val_loss`."""
        aside = self._folder / "writing.partial"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        trainer.save_weights(aside / "state.weights.h5")  # with the optimizer's
        previous = self._last()
        if history["val_loss"].idxmin() == history.index[-1]:
            network.save_weights(aside / "best.weights.h5")
        else:
            shutil.copyfile(previous / "best.weights.h5", aside / "best.weights.h5")
        history.to_csv(aside / "history.csv", index=False)
        aside.rename(self._folder / f"epoch-{len(history):05d}")
        if previous:
            shutil.rmtree(previous)

    def restore(self, trainer: keras.Model) -> pd.DataFrame:
        """Set the trainer to the last checkpoint and return the history so far, empty if there is no checkpoint."""
        last = self._last()
        if last is None:
            return pd.DataFrame()
        trainer.optimizer.build(trainer.trainable_variables)
        trainer.load_weights(last / "state.weights.h5")
        return pd.read_csv(last / "history.csv")

    def load_best(self, network: keras.Model) -> None:
        """Set the network to the weights of its best epoch."""
        network.load_weights(self._last() / "best.weights.h5")

    def remove(self) -> None:
        """Remove the folder of the training, with all that was stored for it, once the model is saved."""
        shutil.rmtree(self._training, ignore_errors=True)

    def _last(self) -> Path | None:
        return max(self._folder.glob("epoch-?????"), default=None)
