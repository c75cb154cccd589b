"""Splits by patient: a patient, and every exact copy of an image, lies in one split only."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold

from chest_transfer.errors import ChestTransferError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """Where each image goes, and what was found on the way.

    Args:
        of: (N,) str; `train`, `val`, `test`, or `` for an image left out of all three.
        groups: (N,) int; the patient group, with exact duplicates merged into one.
        duplicates: images that are an exact copy of an earlier one.
        leaked: training images left out since their group also lies in the official test split.
    """

    of: np.ndarray
    groups: np.ndarray
    duplicates: int
    leaked: int


def split_by_patient(
    patients: np.ndarray,
    digests: np.ndarray,
    strata: np.ndarray,
    official: np.ndarray,
    *,
    test_share: float,
    validation_share: float,
    seed: int,
) -> Split:
    """Cut images into train, val and test by patient group, stratified.

    An official test split is kept whole; a group that lies on both sides of it loses its training images. The images
    come in the order of their names, so the order of the archive plays no part.

    Args:
        patients: (N,) str, the patient-group key.
        digests: (N,) str, a hash of each image file.
        strata: (N,) int, the class whose share is kept alike (for multi-label: the rarest finding).
        official: (N,) str, `train`, `test` or ``, the archive's own split.
        test_share: of the groups, where there is no official test split.
        validation_share: of the groups that are left.
        seed: another seed, another cut.

    Raises:
        ChestTransferError: too few patients for a cut.
    """
    groups = _merged_groups(patients, digests)
    of = np.array(["train"] * len(groups), dtype="U5")
    leaked = 0
    if (official == "test").any():
        of[official == "test"] = "test"
        leaking = (official != "test") & np.isin(groups, groups[official == "test"])
        of[leaking] = ""
        leaked = int(leaking.sum())
    else:
        _cut(of, "test", groups, strata, test_share, seed)
    _cut(of, "val", groups, strata, validation_share, seed)
    return Split(of, groups, len(digests) - len(set(digests)), leaked)


def rarest_label(labels: np.ndarray) -> np.ndarray:
    """The stratum of a multi-label image: its rarest finding, 0 for none.

    Args:
        labels: (N, K) 0 or 1.

    Returns:
        (N,) int, 0 to K.
    """
    rarest_first = np.argsort(-labels.sum(axis=0), kind="stable")[::-1]
    return np.where(labels.any(axis=1), rarest_first[labels[:, rarest_first].argmax(axis=1)] + 1, 0)


def _merged_groups(patients: np.ndarray, digests: np.ndarray) -> np.ndarray:
    """Patients and files as a graph: images that share either, in any chain, are one group."""
    _, patient = np.unique(patients, return_inverse=True)
    _, digest = np.unique(digests, return_inverse=True)
    size = patient.max() + 1 + digest.max() + 1
    edges = coo_array((np.ones(len(patient)), (patient, patient.max() + 1 + digest)), shape=(size, size))
    _, component = connected_components(edges, directed=False)
    return component[patient]


def _cut(of: np.ndarray, name: str, groups: np.ndarray, strata: np.ndarray, share: float, seed: int) -> None:
    """Move about `share` of the groups in `train` to the split `name`."""
    pool = np.flatnonzero(of == "train")
    folds = max(2, round(1 / share))
    if len(np.unique(groups[pool])) < 2 * folds:
        raise ChestTransferError(
            f"{len(np.unique(groups[pool]))} patient groups are too few to cut {share:.0%} for {name}; "
            "use more images or a larger share"
        )
    # Classes rarer than the number of folds cannot be in every fold; scikit-learn warns of them, so they are pooled.
    values, counts = np.unique(strata[pool], return_counts=True)
    stratum = np.where(np.isin(strata[pool], values[counts < folds]), -1, strata[pool])
    values, counts = np.unique(stratum, return_counts=True)
    stratum = np.where(stratum == -1, values[counts.argmax()], stratum) if counts.min() < folds else stratum
    cutter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    _, chosen = next(cutter.split(pool, stratum, groups[pool]))
    of[pool[chosen]] = name
