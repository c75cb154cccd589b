"""Packing: a model with its calibration, thresholds and out-of-distribution score as one file that needs no other."""

import tempfile
from dataclasses import fields
from pathlib import Path

from chest_transfer.data.arrays import read_npz
from chest_transfer.data.predictions import Predictions, read_predictions
from chest_transfer.evaluation.averaging import mean_predictions
from chest_transfer.evaluation.class_shares import validation_scores
from chest_transfer.evaluation.conformal import ERROR_RATES, fit_cutoffs
from chest_transfer.evaluation.operating_points import calibrated_probabilities, fit_calibration
from chest_transfer.evaluation.out_of_distribution import OutOfDistribution
from chest_transfer.networks.facts import ClassifierFacts, PackedFacts
from chest_transfer.networks.saving import (
    LUNGS,
    has_array,
    load_model,
    read_array,
    read_arrays,
    read_facts,
    repack_model,
    save_model,
    with_prefix,
)

PREFIX = "out_of_distribution_"  # of its arrays in the file


def pack(networks: list[Path], validation_predictions: list[Path], out_of_distribution: Path, target: Path) -> None:
    """Write a model's file with everything that is needed to use it, complete or not at all.

    Several networks become an ensemble; only for these, TensorFlow is needed.

    Args:
        networks: list of Path, the network's `.keras` file, or those of the members of an ensemble.
        validation_predictions: list of Path, the raw predictions of each for the validation split.
        out_of_distribution: Path of the out-of-distribution score of its dataset.
        target: Path of the file to write.

    Raises:
        ChestTransferError: one of the files is missing or damaged.
    """
    arrays = with_prefix(PREFIX, read_npz(out_of_distribution))
    val = [read_predictions(path) for path in validation_predictions]
    facts = [read_facts(network, ClassifierFacts) for network in networks]
    if len(networks) == 1:
        repack_model(networks[0], target, _packed_facts(facts[0], val[0]), arrays)
        return
    from chest_transfer.networks.ensembles import build_ensemble

    packed = _packed_facts(facts[0], mean_predictions(val), ensemble_seeds=[of_member.seed for of_member in facts])
    ensemble = build_ensemble([load_model(network, ClassifierFacts)[0] for network in networks])
    with tempfile.TemporaryDirectory() as folder:
        save_model(ensemble, Path(folder, "ensemble.keras"), packed, read_arrays(networks[0], LUNGS))
        repack_model(Path(folder, "ensemble.keras"), target, packed, arrays)


def _packed_facts(facts: ClassifierFacts, val: Predictions, **others) -> PackedFacts:
    calibration = fit_calibration(val.labels, val.logits, facts.multi_label)
    thresholds = {point: thresholds.tolist() for point, thresholds in calibration.thresholds.items()}
    probabilities = calibrated_probabilities(val.logits, calibration.temperature, facts.multi_label)
    cutoffs = {
        f"{rate:g}": fit_cutoffs(val.labels, probabilities, facts.multi_label, rate).tolist() for rate in ERROR_RATES
    }
    calibrated = {"temperature": calibration.temperature, "thresholds": thresholds, "cutoffs": cutoffs}
    calibrated |= {"validation": validation_scores(val, calibration.temperature)}
    return PackedFacts(**facts.model_dump(), **calibrated, **others)


def read_out_of_distribution(path: Path) -> OutOfDistribution:
    """Read the out-of-distribution score in a packed model's file.

    Raises:
        ChestTransferError: the file is not a packed model.
    """
    needed = [field.name for field in fields(OutOfDistribution) if field.default is not None]
    optional = [field.name for field in fields(OutOfDistribution) if field.default is None]
    present = [name for name in optional if has_array(path, PREFIX + name)]
    return OutOfDistribution(**{name: read_array(path, PREFIX + name) for name in (*needed, *present)})
