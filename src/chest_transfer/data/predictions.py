"""Predictions as tables: one row a radiograph, with its name, patient, truth and probabilities."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from chest_transfer.data.arrays import Arrays
from chest_transfer.errors import ChestTransferError


def predictions_table(arrays: Arrays, probabilities: np.ndarray) -> pd.DataFrame:
    """The table of one model on one split.

    Args:
        arrays: the split.
        probabilities: (N, K) float32, 0-1.

    Returns:
        Columns `name`, `patient`, then `true:<class>` (0 or 1) and `p:<class>` for each class.
    """
    return table_of(arrays.names, arrays.patients, arrays.targets, probabilities, list(arrays.classes))


def table_of(names, patients, truth: np.ndarray, probabilities: np.ndarray, classes: list[str]) -> pd.DataFrame:
    """The table of any truth (N, K) and probabilities (N, K); columns as of `predictions_table`."""
    columns = {"name": names, "patient": patients}
    columns |= {f"true:{name}": truth[:, number].astype(int) for number, name in enumerate(classes)}
    columns |= {f"p:{name}": probabilities[:, number] for number, name in enumerate(classes)}
    return pd.DataFrame(columns)


def write_predictions(
    folder: Path, arrays: dict[str, Arrays], probabilities: dict[str, np.ndarray], history: pd.DataFrame
) -> None:
    """One model's tables: `<split>.csv` for each split, and how it was trained in `history.csv`."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, found in probabilities.items():
        predictions_table(arrays[split], found).to_csv(folder / f"{split}.csv", index=False)
    history.to_csv(folder / "history.csv", index=False)


@dataclass(frozen=True)
class Predictions:
    """A table of predictions.

    Args:
        truth: (N, K) int, 0 or 1.
        probabilities: (N, K) float64, as the model gives them.
        classes: K names.
        names, patients: (N,) str.
        seen: (N,) bool, images that the model learnt from; none where the table does not say.
    """

    truth: np.ndarray
    probabilities: np.ndarray
    classes: list[str]
    names: np.ndarray
    patients: np.ndarray
    seen: np.ndarray


def read_predictions(path: Path) -> Predictions:
    """A table of predictions on disk.

    Raises:
        ChestTransferError: there is none.
    """
    try:
        table = pd.read_csv(path, dtype={"name": str, "patient": str}, keep_default_na=False)
    except FileNotFoundError:
        raise ChestTransferError(f"no predictions at '{path}'; run: dvc repro") from None
    classes = [column.removeprefix("p:") for column in table.columns if column.startswith("p:")]
    return Predictions(
        truth=table[[f"true:{name}" for name in classes]].to_numpy(int),
        probabilities=table[[f"p:{name}" for name in classes]].to_numpy(np.float64),
        classes=classes,
        names=table["name"].to_numpy(str),
        patients=table["patient"].to_numpy(str),
        seen=table["seen"].to_numpy(bool) if "seen" in table else np.zeros(len(table), bool),
    )
