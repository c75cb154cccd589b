"""What could tell classes apart beside disease, for each radiograph: an npz file of a dataset's shortcuts.

Members are `<split>.names` (N,) text and, for each shortcut, `<split>.<shortcut>.log_odds` (N, K) float32; where a
shortcut has few inputs also `<split>.<shortcut>.inputs` (N, D) float32.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chest_transfer.data.arrays import read_npz, write_npz
from chest_transfer.errors import ChestTransferError

# Shortcuts that show no disease, or of it only that it blurs the lung.
WITHOUT_DISEASE = ("border", "sharpness", "noise", "field_of_view", "file", "color_mode", "source")


@dataclass(frozen=True)
class Covariates:
    """One shortcut of the N radiographs of a split.

    Args:
        log_odds: (N, K) array, of each class, by a model that was fitted to the training split.
        inputs: (N, D) array of what this model sees; None where that is much.
    """

    log_odds: np.ndarray
    inputs: np.ndarray | None

    def of_class(self, k: int) -> np.ndarray:
        """Return (N, D) what is balanced between a class and the rest: its log odds, then inputs if they are few."""
        of_model = self.log_odds[:, [k]]
        return of_model if self.inputs is None else np.hstack([of_model, self.inputs])

    def of_images(self, rows: np.ndarray) -> "Covariates":
        """Return the shortcut of some of the radiographs, chosen by (N,) bool."""
        return Covariates(self.log_odds[rows], None if self.inputs is None else self.inputs[rows])


def write_covariates(path: Path, names: dict[str, np.ndarray], covariates: dict[str, dict[str, Covariates]]) -> None:
    """Write the shortcuts of the radiographs of some splits.

    Args:
        path: Path of the npz file.
        names: dict of (N,) str arrays, the names of the radiographs, by split.
        covariates: dict by split of dicts of Covariates by shortcut.
    """
    members = {f"{split}.names": of_split for split, of_split in names.items()}
    for split, of_split in covariates.items():
        for shortcut, values in of_split.items():
            members[f"{split}.{shortcut}.log_odds"] = values.log_odds.astype(np.float32)
            if values.inputs is not None:
                members[f"{split}.{shortcut}.inputs"] = values.inputs.astype(np.float32)
    write_npz(path, members)


def read_covariates(path: Path, names: dict[str, np.ndarray]) -> dict[str, dict[str, Covariates]]:
    """Read the shortcuts of the radiographs of some splits.

    Args:
        path: Path of the npz file.
        names: dict of (N,) str arrays, the names that the rows should have, by split.

    Returns:
        dict by split of dicts of Covariates by shortcut.

    Raises:
        ChestTransferError: the file is missing, or of other radiographs.
    """
    members, covariates = read_npz(path), {}
    for split, of_split in names.items():
        if not np.array_equal(members.get(f"{split}.names"), of_split):
            raise ChestTransferError(f"'{path}' is not of these {split} radiographs; run: dvc repro")
        shortcuts = [key.split(".")[1] for key in members if key.startswith(f"{split}.") and key.endswith(".log_odds")]
        covariates[split] = {
            name: Covariates(members[f"{split}.{name}.log_odds"], members.get(f"{split}.{name}.inputs"))
            for name in shortcuts
        }
    return covariates
