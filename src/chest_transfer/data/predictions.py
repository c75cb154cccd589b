"""Raw predictions of a model as tables: one row a radiograph, with its name, patient, labels and logits.

Logits, not probabilities: where a model is certain, probabilities round to 0 and 1, and the order of images is lost.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from chest_transfer.data.arrays import UNKNOWN
from chest_transfer.errors import ChestTransferError

LABEL = "label:"  # what the columns of labels start with
LOGIT, LOG_ODDS = "logit:", "log_odds:"  # and those of logits: of exclusive classes, of independent ones


@dataclass(frozen=True)
class Predictions:
    """What a model predicts for the radiographs of one split.

    Args:
        names: (N,) str array.
        patients: (N,) str array.
        labels: (N, K) int array of 0, 1, and -1 for unknown; the classes of the dataset.
        logits: (N, L) float64 array, the classes of the model: before the softmax, or the sigmoids for multi-label.
        label_classes: list of K str.
        classes: list of L str; other than `label_classes` only where a model is applied to another dataset.
        seen: (N,) bool array, radiographs that are among those that the model was trained on.
        multi_label: bool, whether the classes of the model are independent.
    """

    names: np.ndarray
    patients: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    label_classes: list[str]
    classes: list[str]
    seen: np.ndarray
    multi_label: bool = False

    @property
    def is_labelled(self) -> np.ndarray:
        """(N,) bool array: the label of at least one class is known."""
        return (self.labels != UNKNOWN).any(axis=1)

    def table(self) -> pd.DataFrame:
        """Return columns name, patient, `label:<class>`, logits, and `seen` where a radiograph was.

        Logits of exclusive classes are `logit:<class>`, those of independent ones `log_odds:<class>`.
        """
        columns = {"name": self.names, "patient": self.patients}
        columns |= {LABEL + name: self.labels[:, k] for k, name in enumerate(self.label_classes)}
        prefix = LOG_ODDS if self.multi_label else LOGIT
        columns |= {prefix + name: self.logits[:, k].astype(np.float32) for k, name in enumerate(self.classes)}
        if self.seen.any():
            columns["seen"] = self.seen.astype(int)
        return pd.DataFrame(columns)


def predictions_of(
    arrays, logits: np.ndarray, classes: list[str], multi_label: bool, seen: np.ndarray | None = None
) -> Predictions:
    """Return the predictions for the radiographs of a split.

    Args:
        arrays: Arrays of the split.
        logits: (N, L) array.
        classes: list of L str, the model's classes.
        multi_label: bool, whether these are independent.
        seen: (N,) bool array, or None where the model was trained on none of them.
    """
    return Predictions(
        names=arrays.names,
        patients=arrays.patients,
        labels=arrays.targets.astype(int),
        logits=np.asarray(logits, np.float64),
        label_classes=[str(name) for name in arrays.classes],
        classes=classes,
        seen=np.zeros(len(arrays.names), bool) if seen is None else seen,
        multi_label=multi_label,
    )


def read_predictions(path: Path) -> Predictions:
    """Read a table of predictions.

    Raises:
        ChestTransferError: there is none.
    """
    try:
        table = pd.read_csv(path, dtype={"name": str, "patient": str}, keep_default_na=False)
    except FileNotFoundError:
        raise ChestTransferError(f"no predictions at '{path}'; run: dvc repro") from None
    multi_label = any(column.startswith(LOG_ODDS) for column in table.columns)
    prefix = LOG_ODDS if multi_label else LOGIT
    label_classes, classes = (
        [column.removeprefix(kind) for column in table.columns if column.startswith(kind)] for kind in (LABEL, prefix)
    )
    return Predictions(
        names=table["name"].to_numpy(str),
        patients=table["patient"].to_numpy(str),
        labels=table[[LABEL + name for name in label_classes]].to_numpy(int),
        logits=table[[prefix + name for name in classes]].to_numpy(np.float64),
        label_classes=label_classes,
        classes=classes,
        seen=table["seen"].to_numpy(bool) if "seen" in table else np.zeros(len(table), bool),
        multi_label=multi_label,
    )
