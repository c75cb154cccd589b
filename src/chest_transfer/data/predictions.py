"""Predictions as tables: one row a radiograph, with its name, patient, truth and probabilities."""

from pathlib import Path

import numpy as np
import pandas as pd

from chest_transfer.data.arrays import Arrays


def predictions_table(arrays: Arrays, probabilities: np.ndarray) -> pd.DataFrame:
    """The table of one model on one split.

    Args:
        arrays: the split.
        probabilities: (N, K) float32, 0-1.

    Returns:
        Columns `name`, `patient`, then `true:<class>` (0 or 1) and `p:<class>` for each class.
    """
    columns = {"name": arrays.names, "patient": arrays.patients}
    columns |= {f"true:{name}": arrays.targets[:, number].astype(int) for number, name in enumerate(arrays.classes)}
    columns |= {f"p:{name}": probabilities[:, number] for number, name in enumerate(arrays.classes)}
    return pd.DataFrame(columns)


def write_predictions(
    folder: Path, arrays: dict[str, Arrays], probabilities: dict[str, np.ndarray], history: pd.DataFrame
) -> None:
    """One model's tables: `<split>.csv` for each split, and how it was trained in `history.csv`."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, found in probabilities.items():
        predictions_table(arrays[split], found).to_csv(folder / f"{split}.csv", index=False)
    history.to_csv(folder / "history.csv", index=False)


def read_predictions(path: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Truth (N, K) int, probabilities (N, K) float64 and the class names of a table on disk."""
    table = pd.read_csv(path)
    classes = [column.removeprefix("p:") for column in table.columns if column.startswith("p:")]
    truth = table[[f"true:{name}" for name in classes]].to_numpy()
    return truth, table[[f"p:{name}" for name in classes]].to_numpy(np.float64), classes
