"""Models in Python: calibrated predictions as a table, the same as those of `chest-transfer predict`."""

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from chest_transfer.serving.image_files import find_images
from chest_transfer.serving.models import model_file
from chest_transfer.serving.predictor import Predictor


class Model:
    """A trained model: its network, calibration, thresholds, and the score that says what it should not be asked.

    Args:
        name: str, a packed file such as `pneumonia.keras`, or as `chest-transfer predict` takes it: `pneumonia` is the
            dataset's best model on validation, `pneumonia/train-phantom` another one of the experiment in this folder.
        revision: str, of Git, to take it from; None for this folder. What is not here is pulled from the DVC remote.
        operating_point: str, how thresholds were chosen on validation: youden, sensitivity 0.9 or sensitivity 0.95.
        error_rate: float, 0.05, 0.1 or 0.2: how often the true class of a radiograph may be missing among `possible`.

    Raises:
        ChestTransferError: there is no such model, operating point or error rate, or the file could run code.
    """

    def __init__(
        self,
        name: str | Path,
        revision: str | None = None,
        operating_point: str = "youden",
        error_rate: float = 0.1,
    ):
        self._predictor = Predictor(model_file(str(name), revision), operating_point, error_rate)

    @property
    def classes(self) -> list[str]:
        """The classes; of two, the second is the disease."""
        return list(self._predictor.classes)

    @property
    def threshold(self) -> float | dict[str, float] | None:
        """The probability from which the disease, or each finding, is predicted; None for the most probable class."""
        return self._predictor.threshold

    @property
    def facts(self) -> dict:
        """What the model was trained on and how, as in its file."""
        return self._predictor.facts.model_dump()

    def predict(self, paths: str | Path | Sequence[str | Path]) -> pd.DataFrame:
        """Predict for radiographs.

        Args:
            paths: one or several files, folders, zip archives or patterns of PNG, JPEG, DICOM and other images.

        Returns:
            A row for each radiograph, in order: `name`; `answer`, a sentence; `predicted`, the classes at the threshold
            with `|` between several; a column with the calibrated probability (0-1) of each class; `possible`, the
            classes that the error rate leaves; `is_undecided`, whether it leaves none or several; `cautions`; and
            `error`, empty unless the file could not be read (probabilities are then missing).

        Raises:
            ChestTransferError: there are no radiographs at these paths.
        """
        names = [paths] if isinstance(paths, str | Path) else paths
        pictures = find_images([str(name) for name in names])
        # A program of the user's: its random numbers and its threads are left as they are.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
        rows = [
            {
                "name": prediction.name,
                "answer": prediction.answer,
                "predicted": "|".join(prediction.labels),
                **{name: (prediction.probabilities or {}).get(name) for name in self.classes},
                "possible": "|".join(prediction.possible),
                "is_undecided": prediction.is_undecided,
                "cautions": "; ".join(prediction.cautions),
                "error": prediction.error,
            }
            for prediction in self._predictor.predict(pictures)
        ]
        return pd.DataFrame(rows)
