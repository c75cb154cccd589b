"""A network's predictions for degraded test radiographs, and what they are worth beside those for unchanged ones."""

from pathlib import Path

import numpy as np
from tqdm import tqdm

from chest_transfer.data.arrays import Arrays, read_npz, write_npz
from chest_transfer.data.degradations import DEGRADATIONS, degrade
from chest_transfer.data.selection import order_by_name_hash
from chest_transfer.evaluation.intervals import rounded
from chest_transfer.evaluation.stress import SCORES, WeightedScores, stress_record

NAMES, UNCHANGED = "names", "unchanged"
SEED = 1  # of what a strength leaves open, such as a direction: the same for all models and strengths


def rows_to_degrade(test: Arrays, most: int) -> np.ndarray:
    """Return (n,) int64, in order: all radiographs of as many patients as fit into a number, chosen by hash.

    Args:
        test: Arrays of the test split.
        most: int, radiographs.
    """
    patients, patient_of, counts = np.unique(test.patients, return_inverse=True, return_counts=True)
    ordered = order_by_name_hash(patients)
    chosen = ordered[: max(1, np.searchsorted(np.cumsum(counts[ordered]), most, side="right"))]
    return np.flatnonzero(np.isin(patient_of, chosen))


def write_degraded_predictions(network, test: Arrays, batch_size: int, path: Path) -> None:
    """Write a network's logits for radiographs as they are, and with each degradation at each level.

    Members of the npz file: `names` (N,); `unchanged` (N, K) float32; and by degradation (L, N, K) float32.

    Args:
        network: Keras model from gray levels (N, H, W, 1) 0-255 to logits (N, K).
        test: Arrays of N radiographs.
        batch_size: int.
        path: Path of the file.
    """

    def predict(name: str | None, strength: float = 0.0) -> np.ndarray:
        logits = []
        for start in range(0, len(test.names), batch_size):
            rows = np.arange(start, min(start + batch_size, len(test.names)))
            images, others = (test.inputs(which)[..., 0] for which in (rows, (rows + 1) % len(test.names)))
            if name:
                images = degrade(images, others, name, strength, np.random.default_rng([SEED, start]))
            logits.append(network.predict_on_batch(images[..., np.newaxis].astype(np.float32)))
        return np.concatenate(logits)

    members = {NAMES: test.names, UNCHANGED: predict(None)}
    for name, degradation in tqdm(DEGRADATIONS.items(), "degrade", leave=False, unit=" degradations", disable=None):
        members[name] = np.stack([predict(name, strength) for strength in degradation.levels])
    write_npz(path, members)


def read_degraded_predictions(path: Path) -> dict[str, np.ndarray]:
    """Read what `write_degraded_predictions` wrote; the names, then logits (N, K), by `unchanged`, `blur_1` ..."""
    members = read_npz(path)
    levels = {
        f"{name}_{level}": logits
        for name in DEGRADATIONS
        for level, logits in enumerate(members[name].astype(np.float64), start=1)
    }
    return {NAMES: members[NAMES], UNCHANGED: members[UNCHANGED].astype(np.float64)} | levels


def degraded_record(scores: dict[str, list[WeightedScores]]) -> dict:
    """Return the scores with each degradation at each level, their mean area, and which one has the lowest.

    Args:
        scores: dict of lists of WeightedScores, of each seed: by `unchanged`, `blur_1` ...
    """
    records = {name: stress_record(of_seeds, scores[UNCHANGED]) for name, of_seeds in scores.items()}
    unchanged = records.pop(UNCHANGED)
    areas = {name: record["auc"] for name, record in records.items() if record["auc"] is not None}
    worst = min(areas, key=areas.get, default=None)
    return {
        "unchanged": {name: unchanged[name] for name in SCORES},
        "mean_auc": rounded(float(np.mean(list(areas.values())))) if areas else None,
        "worst": worst,
        "worst_auc": areas.get(worst),
        "by_degradation": records,
    }
