"""Subsets of the training patients, each inside the next larger one, for learning curves."""

import numpy as np

from chest_transfer.data.arrays import Arrays, Features
from chest_transfer.data.splits import rarest_label
from chest_transfer.errors import ChestTransferError


def of_training_patients(train: Arrays | Features, patients: int | None, seed: int) -> Arrays | Features:
    """Return the radiographs of a number of the training patients.

    With one seed, the patients of a smaller number are among those of a larger one, and the same whatever is trained on
    them. Classes, and the datasets of a pool, have about the same shares as in the whole split, and each at least one
    patient.

    Args:
        train: Arrays or Features of the training split.
        patients: int; None for all.
        seed: int, which patients are drawn.

    Raises:
        ChestTransferError: the split has no more patients, or those drawn lack a class that it has.
    """
    if patients is None:
        return train
    names, patient_of = np.unique(train.patients, return_inverse=True)
    if patients >= len(names):
        raise ChestTransferError(
            f"`patients` names {patients}, and there are {len(names)} training patients in all; name fewer, or all: "
            "dvc exp run -S 'patients=[all]'"
        )
    drawn = _in_drawing_order(_strata(train, patient_of), seed)[:patients]
    subset = train.of_rows(np.flatnonzero(np.isin(patient_of, drawn)))
    absent = (train.targets == 1).any(axis=0) & ~(subset.targets == 1).any(axis=0)
    if absent.any():
        raise ChestTransferError(
            f"{patients} training patients are too few: of those that seed {seed} draws, none has "
            f"{train.classes[absent][0]}; name more in `patients`"
        )
    return subset


def _strata(train: Arrays | Features, patient_of: np.ndarray) -> np.ndarray:
    """Return the stratum (P,) of each patient: the rarest among those of the patient's radiographs.

    That of a radiograph is its class, for multi-label data its rarest finding, and in a pool its dataset, too.
    """
    of_image = rarest_label(train.labels) if train.multi_label else train.labels
    if train.sources is not None:
        of_image = np.unique(train.sources, return_inverse=True)[1] * (of_image.max() + 1) + of_image
    _, of_image, counts = np.unique(of_image, return_inverse=True, return_counts=True)
    frequent_first = np.argsort(-counts[of_image], kind="stable")
    strata = np.empty(patient_of.max() + 1, int)
    strata[patient_of[frequent_first]] = of_image[frequent_first]  # of several values, the last one stays
    return strata


def _in_drawing_order(strata: np.ndarray, seed: int) -> np.ndarray:
    """Return the patients (P,) in an order whose every beginning has about the shares of all strata.

    Those of each stratum come in random order, at equal distances from a random start between 0 and 1. The first of
    each stratum come before all others, so that few patients have a rare class, too.
    """
    rng = np.random.default_rng(seed)
    places = np.empty(len(strata))
    for stratum in np.unique(strata):
        members = rng.permutation(np.flatnonzero(strata == stratum))
        places[members] = (np.arange(len(members)) + rng.random()) / len(members)
        places[members[0]] = -len(members)
    return np.argsort(places, kind="stable")
