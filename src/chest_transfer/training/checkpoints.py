"""A training's state after each epoch, so that a killed training goes on from the last one with the same result."""

import hashlib
import json
import shutil
from pathlib import Path

import keras
import pandas as pd


class Checkpoints:
    """Epochs of one training in one folder: `epoch-0007/{state,best}.weights.h5` and `history.csv`.

    An epoch's folder is written aside and renamed, so a kill at any moment leaves a whole one.
    """

    def __init__(self, training: Path, settings: dict, inputs: list[Path]):
        """Open the checkpoints of one training.

        Any change of settings, inputs or the package's code makes another training: its folder is a new one, and those
        of earlier variants are removed, since they can never be resumed.

        Args:
            training: the folder of this training's variants.
            settings: all that it depends on, as JSON.
            inputs: the files that it depends on.
        """
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        for path in [*inputs, *sorted(Path(__file__).parents[1].rglob("*.py"))]:
            with path.open("rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
        self._folder = training / digest.hexdigest()[:16]
        for other in training.glob("*"):
            if other != self._folder:
                shutil.rmtree(other)

    def save(self, trainer: keras.Model, classifier: keras.Model, history: pd.DataFrame) -> None:
        """Keep the state after the history's last epoch; the best weights are those of the lowest `val_loss`."""
        aside = self._folder / "writing.partial"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        trainer.save_weights(aside / "state.weights.h5")  # with the optimizer's
        earlier = self._last()
        if history["val_loss"].idxmin() == history.index[-1]:
            classifier.save_weights(aside / "best.weights.h5")
        else:
            shutil.copyfile(earlier / "best.weights.h5", aside / "best.weights.h5")
        history.to_csv(aside / "history.csv", index=False)
        aside.rename(self._folder / f"epoch-{len(history):05d}")
        if earlier:
            shutil.rmtree(earlier)

    def restore(self, trainer: keras.Model) -> pd.DataFrame:
        """Bring the trainer to the last epoch kept; the history so far, empty where there is none."""
        last = self._last()
        if last is None:
            return pd.DataFrame()
        trainer.optimizer.build(trainer.trainable_variables)
        trainer.load_weights(last / "state.weights.h5")
        return pd.read_csv(last / "history.csv")

    def load_best(self, classifier: keras.Model) -> None:
        classifier.load_weights(self._last() / "best.weights.h5")

    def remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _last(self) -> Path | None:
        return max(self._folder.glob("epoch-?????"), default=None)
