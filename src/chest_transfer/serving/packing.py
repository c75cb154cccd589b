"""Packing: a network with its calibration, thresholds and out-of-distribution score as one file that needs no other."""

from pathlib import Path

from chest_transfer.data.arrays import read_npz
from chest_transfer.data.predictions import read_predictions
from chest_transfer.evaluation.operating_points import fit_calibration
from chest_transfer.evaluation.out_of_distribution import OutOfDistribution
from chest_transfer.networks.facts import ClassifierFacts, PackedFacts
from chest_transfer.networks.saving import read_array, read_facts, repack_model

PREFIX = "out_of_distribution_"  # of its arrays in the file


def pack(network: Path, validation_predictions: Path, out_of_distribution: Path, target: Path) -> None:
    """Write a model's file with everything that is needed to use it, complete or not at all; no TensorFlow.

    Args:
        network: Path of the network's `.keras` file.
        validation_predictions: Path of its raw predictions for the validation split.
        out_of_distribution: Path of the out-of-distribution score of its dataset.
        target: Path of the file to write.

    Raises:
        ChestTransferError: one of the files is missing or damaged.
    """
    facts = read_facts(network, ClassifierFacts)
    val = read_predictions(validation_predictions)
    calibration = fit_calibration(val.labels, val.logits, facts.multi_label)
    packed = PackedFacts(
        **facts.model_dump(),
        temperature=calibration.temperature,
        thresholds={point: thresholds.tolist() for point, thresholds in calibration.thresholds.items()},
    )
    arrays = {PREFIX + name: array for name, array in read_npz(out_of_distribution).items()}
    repack_model(network, target, packed, arrays)


def read_out_of_distribution(path: Path) -> OutOfDistribution:
    """Read the out-of-distribution score in a packed model's file.

    Raises:
        ChestTransferError: the file is not a packed model.
    """
    names = OutOfDistribution.__dataclass_fields__
    return OutOfDistribution(**{name: read_array(path, PREFIX + name) for name in names})
