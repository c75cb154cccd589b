"""What training did to a network, block by block: how far weights moved, what changed, and what it depends on.

- moved: the distance of a block's weights from those that training started from, relative to these (relative l2).
- similarity: linear CKA of a block's outputs before and after training (`similarity`), on a fixed set of test images.
- reset: the test AUC with one block's weights set back to what they were before training (re-initialization of Zhang,
  Bengio & Singer 2019, arXiv 1902.01996): a block that training did not need can be reset without loss.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from chest_transfer.data.arrays import Arrays
from chest_transfer.data.selection import order_by_name_hash
from chest_transfer.evaluation.calibrated_predictions import uncalibrated_predictions
from chest_transfer.evaluation.comparisons import CONTROL
from chest_transfer.evaluation.intervals import (
    PatientCounts,
    cluster_bootstrap_weights,
    confidence_interval,
    rounded,
)
from chest_transfer.evaluation.metrics import score_area
from chest_transfer.evaluation.similarity import MOST_COMPARED, cka, linear_kernel
from chest_transfer.model_names import ModelName
from chest_transfer.networks.blocks import block_outputs, blocks_of
from chest_transfer.networks.classifier import backbone_of, logits_network
from chest_transfer.networks.facts import ClassifierFacts
from chest_transfer.networks.saving import load_model
from chest_transfer.networks.starting_points import load_starting_point
from chest_transfer.training.batches import Batches

MOST_SCORED = 1000  # test radiographs for the AUC with a block reset
PLACES = 8  # a side, that a block's outputs are averaged to: enough to tell positions apart
BATCH = 32
COLUMNS = ("model", "block", "moved", "similarity", "auc", "auc_low", "auc_high")
PAIR_COLUMNS = ("model", "block", "similarity")


@dataclass(frozen=True)
class Representations:
    """A trained network seen block by block.

    Args:
        name: ModelName.
        moved: (B,) array, of each block.
        similarity: (B,) array.
        area_changes: (B, 1 + R) array, the test AUC with the block reset minus that without, and its value in each
            resample of patients.
        patients: PatientCounts behind the AUC.
        kernels: list of B (N, N) arrays, `linear_kernel` of the outputs of each block.
    """

    name: ModelName
    moved: np.ndarray
    similarity: np.ndarray
    area_changes: np.ndarray
    patients: PatientCounts
    kernels: list[np.ndarray]


def representations_of(name: ModelName, test: Arrays, rounds: int, seed: int) -> Representations:
    """Look into a network whose backbone was trained.

    Args:
        name: ModelName.
        test: Arrays of the test split.
        rounds: int, resamples of the bootstrap over patients, for the interval of the AUC's change.
        seed: int, of the resamples.

    Raises:
        ChestTransferError: the network, or what it started from, is missing.
    """
    network, _ = load_model(name.network, ClassifierFacts)
    start, _ = load_starting_point(name.backbone, name.start, name.seed)
    blocks = blocks_of(start)
    compared, scored = _some(test, MOST_COMPARED), _some(test, MOST_SCORED)
    before, after = (_kernels(backbone, compared) for backbone in (start, backbone_of(network)))
    weights = cluster_bootstrap_weights(scored.patients, rounds, seed)
    logits = logits_network(network)  # traced once for all blocks
    area, patients = _areas(logits, scored, weights)
    changes = []
    for block in blocks:
        trained = [network.get_layer(layer.name).get_weights() for layer in block]
        for layer in block:
            network.get_layer(layer.name).set_weights(layer.get_weights())  # averages of batch norm, too
        changes.append(_areas(logits, scored, weights)[0] - area)
        for layer, values in zip(block, trained, strict=True):
            network.get_layer(layer.name).set_weights(values)
    return Representations(
        name,
        moved=np.array([_distance(network, block) for block in blocks]),
        similarity=np.array([cka(*pair) for pair in zip(before, after, strict=True)]),
        area_changes=np.array(changes),
        patients=patients,
        kernels=after,
    )


def block_records(fits: list[Representations]) -> dict[str, dict]:
    """Return the mean over seeds of each measure as JSON: by regime, start and number of the block.

    The interval of the AUC's change is over patients, for these very networks.
    """
    records: dict[str, dict] = {}
    for row in _by_model(fits).values():
        blocks = {str(number): _record(row, number) for number in range(1, 1 + len(row[0].moved))}
        records.setdefault(row[0].name.regime, {})[row[0].name.start] = blocks
    return records


def _by_model(fits: list[Representations]) -> dict[str, list[Representations]]:
    rows: dict[str, list[Representations]] = {}
    for fit in fits:
        rows.setdefault(fit.name.key, []).append(fit)
    return rows


def _record(fits: list[Representations], number: int) -> dict[str, float | None]:
    values = {name: np.mean([getattr(fit, name)[number - 1] for fit in fits]) for name in ("moved", "similarity")}
    change, *resampled = np.mean([fit.area_changes[number - 1] for fit in fits], axis=0)
    low, high = confidence_interval(np.array(resampled)) if fits[0].patients.are_enough else (np.nan, np.nan)
    values |= {"auc": change, "auc_low": low, "auc_high": high}
    return {name: rounded(float(value)) for name, value in values.items()}


def block_table(records: dict[str, dict]) -> pd.DataFrame:
    """Return `block_records` as a table with the columns `COLUMNS`."""
    rows = [
        {"model": f"{regime}-{start}", "block": int(number)} | record
        for regime, starts in records.items()
        for start, blocks in starts.items()
        for number, record in blocks.items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def compare_networks(fits: list[Representations]) -> pd.DataFrame:
    """Return how similar trained networks of a regime are: each start to the control, and seeds of a start.

    Returns:
        Table with the columns `PAIR_COLUMNS`, the mean over pairs of seeds for each block.
    """
    rows = []
    for one, other in combinations(fits, 2):
        starts = sorted({one.name.start, other.name.start}, key=lambda start: start != CONTROL)
        is_other_start = len(starts) == 2 and one.name.seed == other.name.seed and CONTROL in starts
        if one.name.regime == other.name.regime and (is_other_start or len(starts) == 1):
            who = f"{starts[-1]} and {CONTROL}" if len(starts) == 2 else f"{starts[0]}, two seeds"
            pairs = enumerate(zip(one.kernels, other.kernels, strict=True), start=1)
            rows += [(f"{one.name.regime}: {who}", block, cka(*pair)) for block, pair in pairs]
    means = pd.DataFrame(rows, columns=list(PAIR_COLUMNS)).groupby(["model", "block"], sort=False).mean()
    return means.round(6).reset_index()


def _some(test: Arrays, most: int) -> Arrays:
    """Return labelled test radiographs, at most so many, chosen by the hash of their names."""
    rows = np.flatnonzero((test.targets != -1).any(axis=1))
    return test.of_rows(np.sort(rows[order_by_name_hash(test.names[rows])][:most]))


def _kernels(backbone, arrays: Arrays) -> list[np.ndarray]:
    """Return `linear_kernel` of the outputs of each block, averaged to at most `PLACES` x `PLACES` places."""
    import keras

    averaged = [
        keras.layers.AveragePooling2D(-(-output.shape[1] // PLACES), padding="same", dtype="float32")(output)
        for output in block_outputs(backbone)
    ]
    kernels = []
    for output in averaged:  # one at a time: those of all together may not fit into memory
        features = keras.Model(backbone.input, output).predict(Batches(arrays, BATCH), verbose=0)
        kernels.append(linear_kernel(features.reshape(len(features), -1)))
    return kernels


def _areas(network, arrays: Arrays, weights: np.ndarray) -> tuple[np.ndarray, PatientCounts]:
    """Return the area under the ROC curve and its value in each resample, (1 + R,), and the patients behind it."""
    logits = network.predict(Batches(arrays, BATCH), verbose=0)
    labels, classes = arrays.targets.astype(int), [str(name) for name in arrays.classes]
    predictions = uncalibrated_predictions(labels, logits, classes, arrays.multi_label, arrays.patients)
    area, resampled = score_area(predictions, weights)
    return np.array([area, *resampled]), predictions.patient_counts(predictions.averaged_classes)


def _distance(network, block: list) -> float:
    """Return the distance of a block's trainable weights from those of its start, relative to the length of these."""
    moved = length = 0.0
    for layer in block:
        trained = {variable.path.rsplit("/", 1)[-1]: variable for variable in network.get_layer(layer.name).weights}
        for variable in layer.trainable_variables:
            values = np.asarray(variable, np.float64)
            after = np.asarray(trained[variable.path.rsplit("/", 1)[-1]], np.float64)
            moved, length = moved + ((after - values) ** 2).sum(), length + (values**2).sum()
    return float(np.sqrt(moved / length)) if length else float("nan")
