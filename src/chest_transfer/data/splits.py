"""Splits by patient: a patient, and every exact copy of an image, lies in one split only."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from chest_transfer.errors import ChestTransferError

SPLITS = ("train", "val", "test")
LEFT_OUT = ""
FEWEST_GROUPS = 2  # patient groups that a split must have


@dataclass(frozen=True)
class Split:
    """The split of each image, and what was found while splitting.

    Args:
        names: (N,) str array of `train`, `val`, `test`, or `LEFT_OUT` for an image in none of them.
        groups: (N,) int array, the patient group of each image, with exact duplicates merged into one group.
        duplicates: int, how many images are an exact copy of an earlier one.
        leaked: int, images left out because their group is also in the archive's own test or validation split.
    """

    names: np.ndarray
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
    drop_duplicates: bool = False,
) -> Split:
    """Split images into train, val and test by patient group, stratified.

    An official test or validation split is kept; a group on both sides of it loses its training images, one in test and
    validation those of validation. Where all images are of the test split, there are no others. Pass the images in the
    order of their names, so that the order of the archive does not matter.

    Args:
        patients: (N,) str array, the key of each image's patient.
        digests: (N,) str array, a hash of each image file.
        strata: (N,) int array, the class whose share is kept equal in all splits (for multi-label data the rarest
            finding).
        official: (N,) str array, `train`, `val`, `test` or empty: the archive's own split.
        test_share: float, of all images, where there is no official test split.
        validation_share: float, of the images that are not in the test split.
        seed: int; another seed gives another split.
        drop_duplicates: bool, whether of exact copies all but the first are left out of all splits; of copies on both
            sides of an official test split, the test image stays.

    Raises:
        ChestTransferError: there are too few patients for a split.
    """
    groups = patient_groups(patients, digests)
    names = np.array(["train"] * len(groups), dtype="U5")
    copies = _is_copy(digests, official)
    if drop_duplicates:
        names[copies] = LEFT_OUT
    leaked = 0
    for split in ("test", "val"):
        is_official = official == split
        names[is_official & (names == "train")] = split
        leaking = (names == "train") & np.isin(groups, groups[is_official])
        names[leaking] = LEFT_OUT
        leaked += int(leaking.sum())
    for split, share in (("test", test_share), ("val", validation_share)):
        if not (official == split).any() and not (official == "test").all():
            _move_share(names, split, groups, strata, share, seed)
    return Split(names, groups, int(copies.sum()), leaked)


def rarest_label(labels: np.ndarray) -> np.ndarray:
    """Return the stratum of each multi-label image: its rarest finding.

    Args:
        labels: (N, K) array of 0, 1, and -1 for unknown.

    Returns:
        (N,) int array; 1 to K is the finding's number plus one, 0 stands for no finding.
    """
    is_shown = labels == 1
    rarest_first = np.argsort(-is_shown.sum(axis=0), kind="stable")[::-1]
    return np.where(is_shown.any(axis=1), rarest_first[is_shown[:, rarest_first].argmax(axis=1)] + 1, 0)


def _is_copy(digests: np.ndarray, official: np.ndarray) -> np.ndarray:
    """Return which images (N,) bool are copies: of one digest all but the first, in test and validation first."""
    order = np.argsort(np.select([official == "test", official == "val"], [0, 1], 2), kind="stable")
    _, first_rows = np.unique(digests[order], return_index=True)
    is_copy = np.ones(len(digests), bool)
    is_copy[order[first_rows]] = False
    return is_copy


def patient_groups(patients: np.ndarray, digests: np.ndarray) -> np.ndarray:
    """Return the group of each image: images that share a patient or a file, in any chain, are one group.

    Patients and files are the nodes of a graph, images its edges; groups are its connected components.
    """
    _, patient = np.unique(patients, return_inverse=True)
    _, file = np.unique(digests, return_inverse=True)
    file_node = patient.max() + 1 + file
    nodes = file_node.max() + 1
    edges = coo_array((np.ones(len(patient)), (patient, file_node)), shape=(nodes, nodes))
    _, component = connected_components(edges, directed=False)
    return component[patient]


def _move_share(
    names: np.ndarray, target: str, groups: np.ndarray, strata: np.ndarray, share: float, seed: int
) -> None:
    """Move a share of the training images to the split `target`, in place, whole groups at a time.

    Groups come in random order, the largest first, so that small ones even out what large ones leave. Each goes to the
    target if that brings the share of every stratum and of all images, among the groups so far, nearer to the share
    that is wanted. (The folds of scikit-learn's StratifiedGroupKFold can only give shares of 1/2, 1/3, 1/4 ...)
    """
    pool = np.flatnonzero(names == "train")
    group_names, group_of = np.unique(groups[pool], return_inverse=True)
    if len(group_names) * min(share, 1 - share) < FEWEST_GROUPS:
        raise ChestTransferError(
            f"{len(group_names)} patient groups are too few to cut {share:.0%} for {target}; "
            "use more images or a larger share"
        )
    _, stratum = np.unique(strata[pool], return_inverse=True)
    images = np.zeros((len(group_names), stratum.max() + 2))  # of each stratum in each group; the last column has all
    np.add.at(images, (group_of, stratum), 1)
    images[:, -1] = images.sum(axis=1)
    weights = 1 / images.sum(axis=0)  # a rare stratum counts as much as a frequent one
    weights[-1] *= stratum.max() + 1  # the share of all images comes first
    order = np.random.default_rng(seed).permutation(len(group_names))
    order = order[np.argsort(-images[order, -1], kind="stable")]
    moved, seen, is_moved = np.zeros(images.shape[1]), np.zeros(images.shape[1]), np.zeros(len(group_names), bool)
    for group in order:
        seen += images[group]
        wanted = share * seen
        error_without = (((moved - wanted) * weights) ** 2).sum()
        error_with = (((moved + images[group] - wanted) * weights) ** 2).sum()
        if error_with < error_without:
            is_moved[group] = True
            moved += images[group]
    names[pool[is_moved[group_of]]] = target
