"""The archive of a pool: the radiographs of several datasets as one, each in the split of its own dataset."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from chest_transfer.data.archive_packing import folder_beside
from chest_transfer.data.archives import SIMULATED, Archive
from chest_transfer.data.arrays import open_arrays
from chest_transfer.data.catalog import dataset_named
from chest_transfer.data.decoding import decode_all
from chest_transfer.data.descriptions import ATTRIBUTES, box_lists_of, read_images
from chest_transfer.data.fingerprints import copies_between, image_fingerprints
from chest_transfer.data.own_labels import LABEL, PRESENT, UNKNOWN
from chest_transfer.data.own_record import OwnReading
from chest_transfer.data.pool_labels import MemberLabels, as_classes, pooled_states
from chest_transfer.data.prepared import write_prepared
from chest_transfer.data.preprocessing import preprocess
from chest_transfer.data.splits import LEFT_OUT, SPLITS, patient_groups
from chest_transfer.errors import ChestTransferError
from chest_transfer.files import ArchiveWriter

if TYPE_CHECKING:
    from chest_transfer.settings import Settings

SIZE = 64  # pixels a side, which is enough to recognise copies
_KEPT_FIRST = ("test", "val", "train", LEFT_OUT)


@dataclass(frozen=True)
class _Member:
    labels: MemberLabels
    fingerprints: np.ndarray  # (N, D) float32, in the order of the images
    not_used: Counter
    cautions: list[str]
    is_simulated: bool


def write_pool_archive(archives: dict[str, Path], settings: "Settings", target: Path) -> None:
    """Write the archive of a pool.

    A radiograph that several members show is kept once, in the test split if it is in one, with what all of them say
    of it; the patients of its copies are one patient.

    Args:
        archives: dict, the Path of the archive of each member.
        settings: Settings; a member is split as it is where it is trained on alone.
        target: Path of the zip file to write.

    Raises:
        ChestTransferError: a member cannot be read, or a class of it names no finding.
    """
    with folder_beside(target) as folder:
        members = [_read(name, archive, settings, folder / name) for name, archive in archives.items()]
    labels = [member.labels for member in members]
    rows = pd.concat([_rows(member) for member in labels]).fillna("")
    states = pooled_states(labels).set_index(rows.index)
    rows, states, cautions = _without_copies(rows, states, np.concatenate([one.fingerprints for one in members]))
    is_split = rows["split"] != LEFT_OUT
    classes, multi_label, columns = as_classes(labels, states[is_split])
    rows = rows[is_split].join(columns)
    is_unlabelled = (rows[list(columns)] == UNKNOWN).all(axis=1)
    not_used = sum((member.not_used for member in members), Counter())
    not_used += {"without_label": int(is_unlabelled.sum()), "left_out_of_splits": int((~is_split).sum())}
    reading = OwnReading(classes, multi_label, rows[~is_unlabelled].sort_index(), not_used=+not_used)
    cautions = [f"{member.labels.name}: {caution}" for member in members for caution in member.cautions] + cautions
    cautions += _findings_of_one_member(reading)
    is_simulated = all(member.is_simulated for member in members)
    with ArchiveWriter(target, SIMULATED if is_simulated else b"") as writer:
        for name, path in archives.items():
            with Archive(path) as archive:
                of_member = reading.rows.index[reading.rows["source"] == name]
                for member in (*of_member, *(f"{name}/{box_list}" for box_list in box_lists_of(archive))):
                    writer.write(member, archive.read(member.removeprefix(f"{name}/")))
        write_prepared(writer, reading, pool=list(archives), cautions=cautions)


def _read(name: str, path: Path, settings: "Settings", folder: Path) -> _Member:
    """Return what is in the archive of a member, and in which split each radiograph is; some may be in none."""
    options = settings.preprocess, SIZE, settings.threads
    try:
        summary = preprocess(dataset_named(name), path, folder, *options)
    except ChestTransferError as error:
        message = str(error).replace(str(path), name)
        raise ChestTransferError(message if name in message else f"{name}: {message}") from None
    images = read_images(folder)
    of_name: dict[str, np.ndarray] = {}
    for split in SPLITS:
        arrays = open_arrays(folder / f"{split}.npz")
        of_name |= dict(zip(arrays.names, image_fingerprints(arrays.images), strict=True))
    left_out = images.loc[images["split"] == LEFT_OUT, "member"]  # of patients whose other images may be copies
    with Archive(path) as archive:
        decoded = decode_all(archive, list(left_out), SIZE, settings.preprocess.fit, settings.threads)
        of_name |= {
            name: image_fingerprints(one.image[None])[0] for name, one in zip(left_out.index, decoded, strict=True)
        }
    fingerprints = np.array([of_name[name] for name in images.index])
    labels = MemberLabels(name, list(summary["classes"]["train"]), summary["multi_label"], images)
    not_used = Counter(summary["not_used"]) + Counter(unreadable=summary["skipped"]["total"])
    return _Member(labels, fingerprints, not_used, summary.get("cautions", []), summary.get("simulated", False))


def _rows(member: MemberLabels) -> pd.DataFrame:
    """Return the rows of a member's images by their names in the pool's archive, without labels."""
    images = member.images
    columns = {name: images[name] for name in ("split", *ATTRIBUTES) if name in images} | {"source": member.name}
    is_known = images["patient"] != images.index
    columns["patient"] = (f"{member.name}/" + images["patient"]).where(is_known, "")
    return pd.DataFrame(columns).set_index(f"{member.name}/" + images["member"])


def _without_copies(
    rows: pd.DataFrame, states: pd.DataFrame, fingerprints: np.ndarray
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Keep one of each radiograph that several members show, with the labels and the patients of all of its copies."""
    pairs = copies_between(fingerprints, rows["source"].to_numpy())
    if not len(pairs):
        return rows, states, []
    kept_copy_of = _kept_copies(pairs, rows["split"].map(_KEPT_FIRST.index).to_numpy())
    values, contradictory = states.to_numpy(object), 0
    for copy, kept in kept_copy_of.items():
        differ = (values[kept] != values[copy]) & (values[kept] != UNKNOWN) & (values[copy] != UNKNOWN)
        values[kept] = np.where(differ, UNKNOWN, np.where(values[kept] == UNKNOWN, values[copy], values[kept]))
        contradictory += bool(differ.any())
    edges = coo_array((np.ones(len(pairs)), tuple(pairs.T)), shape=(len(rows), len(rows)))
    keys = pd.Series(np.where(rows["patient"] != "", rows["patient"], rows.index))
    of_group = keys.groupby(patient_groups(keys.to_numpy(str), connected_components(edges, directed=False)[1]))
    is_united = of_group.transform("nunique").to_numpy() > 1
    rows = rows.assign(patient=np.where(is_united, of_group.transform("first"), rows["patient"]))
    is_kept = ~np.isin(np.arange(len(rows)), list(kept_copy_of))
    cautions = [
        f"{len(kept_copy_of)} radiographs of one member are copies of another's: each is kept once, in the test split "
        "if it is in one, with the labels of both"
    ]
    if contradictory:
        cautions.append(f"{contradictory} of these have labels that contradict each other, which count as unknown")
    return rows[is_kept], pd.DataFrame(values, states.index, states.columns)[is_kept], cautions


def _kept_copies(pairs: np.ndarray, rank: np.ndarray) -> dict[int, int]:
    """Return the image that is kept for each copy that is not: one of lower rank, or of an earlier member."""
    copies: dict[int, list[int]] = {}
    for first, second in pairs.tolist():
        copies.setdefault(first, []).append(second)
        copies.setdefault(second, []).append(first)
    kept, kept_copy_of = set(), {}
    for image in sorted(copies, key=lambda image: (rank[image], image)):
        if found := [copy for copy in copies[image] if copy in kept]:
            kept_copy_of[image] = found[0]
        else:
            kept.add(image)
    return kept_copy_of


def _findings_of_one_member(reading: OwnReading) -> list[str]:
    """Return a caution about findings that only one member shows."""
    if not reading.multi_label:
        return []
    sources = {name: reading.rows.loc[reading.rows[LABEL + name] == PRESENT, "source"] for name in reading.classes}
    alone = [name for name, of_finding in sources.items() if of_finding.nunique() == 1]
    return [f"only one member shows {', '.join(alone)}: a model may recognise that member instead"] if alone else []
