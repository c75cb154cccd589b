"""The archive of a pool: the radiographs of several datasets as one, each in the split of its own dataset."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from chest_transfer.data.archives import Archive
from chest_transfer.data.arrays import open_arrays
from chest_transfer.data.catalog import dataset_named
from chest_transfer.data.descriptions import ATTRIBUTES, box_lists_of, read_images
from chest_transfer.data.fingerprints import image_fingerprints, same_images
from chest_transfer.data.own_labels import LABEL, PRESENT, UNKNOWN
from chest_transfer.data.own_record import OwnReading, Problem
from chest_transfer.data.pool_labels import MemberLabels, pooled_labels
from chest_transfer.data.prepared import write_prepared
from chest_transfer.data.preprocessing import preprocess
from chest_transfer.data.splits import LEFT_OUT, SPLITS, patient_groups
from chest_transfer.errors import ChestTransferError
from chest_transfer.files import ArchiveWriter

if TYPE_CHECKING:
    from chest_transfer.settings import Settings

SIZE = 64  # pixels a side, which is enough to recognise copies
_KEPT_FIRST = ("test", "val", "train")


@dataclass(frozen=True)
class _Member:
    labels: MemberLabels
    fingerprints: np.ndarray  # (N, D) float32, in the order of the images
    left_out: int  # images that are in none of the dataset's splits
    cautions: list[str]


def write_pool_archive(archives: dict[str, Path], settings: "Settings", target: Path) -> None:
    """Write the archive of a pool.

    A radiograph that several members show is kept once, in the test split if it is in one, and the patients of its
    copies are one patient.

    Args:
        archives: dict, the Path of the archive of each member.
        settings: Settings; a member is split as it is where it is trained on alone.
        target: Path of the zip file to write.

    Raises:
        ChestTransferError: a member cannot be read, or its healthy class is not known.
    """
    with TemporaryDirectory(prefix="chest-transfer-pool-") as folder:
        members = [_read(name, archive, settings, Path(folder, name)) for name, archive in archives.items()]
    classes, multi_label, labels = pooled_labels([member.labels for member in members])
    rows = pd.concat([_rows(member.labels) for member in members]).fillna("")
    rows = rows.join(labels.set_index(rows.index))
    reading = OwnReading(classes, multi_label, rows)
    reading.not_used["left_out_of_splits"] += sum(member.left_out for member in members)
    _leave_out_copies(reading, np.concatenate([member.fingerprints for member in members]))
    is_unlabelled = (reading.rows[list(labels)] == UNKNOWN).all(axis=1)
    reading.not_used["without_label"] += int(is_unlabelled.sum())
    reading.rows, reading.not_used = reading.rows[~is_unlabelled].sort_index(), +reading.not_used
    _note_findings_of_one_member(reading)
    cautions = [f"{member.labels.name}: {caution}" for member in members for caution in member.cautions]
    with ArchiveWriter(target) as writer:
        for name, path in archives.items():
            with Archive(path) as archive:
                of_member = reading.rows.index[reading.rows["source"] == name]
                for member in (*of_member, *(f"{name}/{box_list}" for box_list in box_lists_of(archive))):
                    writer.write(member, archive.read(member.removeprefix(f"{name}/")))
        write_prepared(writer, reading, pool=list(archives), cautions=cautions)


def _read(name: str, archive: Path, settings: "Settings", folder: Path) -> _Member:
    """Return what is in the archive of a member, and in which split each radiograph is."""
    try:
        summary = preprocess(dataset_named(name), archive, folder, settings.preprocess, SIZE, settings.threads)
    except ChestTransferError as error:
        raise ChestTransferError(str(error).replace(str(archive), name)) from None
    images = read_images(folder)
    is_left_out = images["split"] == LEFT_OUT
    images = images[~is_left_out]
    parts = [open_arrays(folder / f"{split}.npz") for split in SPLITS]
    row_of = {name: row for row, name in enumerate(np.concatenate([part.names for part in parts]))}
    fingerprints = np.concatenate([image_fingerprints(part.images) for part in parts])
    fingerprints = fingerprints[[row_of[name] for name in images.index]]
    labels = MemberLabels(name, list(summary["classes"]["train"]), summary["multi_label"], images)
    return _Member(labels, fingerprints, int(is_left_out.sum()), summary.get("cautions", []))


def _rows(member: MemberLabels) -> pd.DataFrame:
    """Return the rows of a member's images by their names in the pool's archive, without labels."""
    images = member.images
    columns = {name: images[name] for name in ("split", *ATTRIBUTES) if name in images} | {"source": member.name}
    is_known = images["patient"] != images.index
    columns["patient"] = (f"{member.name}/" + images["patient"]).where(is_known, "")
    return pd.DataFrame(columns).set_index(f"{member.name}/" + images["member"])


def _leave_out_copies(reading: OwnReading, fingerprints: np.ndarray) -> None:
    """Keep of each radiograph that several members show one, and unite the patients of its copies."""
    rows = reading.rows
    members = rows["source"].to_numpy()
    copies = same_images(fingerprints, members)
    order = np.argsort(rows["split"].map(_KEPT_FIRST.index).to_numpy(), kind="stable")
    is_first = np.zeros(len(rows), bool)
    is_first[order[np.unique(copies[order], return_index=True)[1]]] = True
    keys = np.where(rows["patient"] != "", rows["patient"], rows.index)
    groups = patient_groups(keys, copies)
    several = pd.Series(keys).groupby(groups).transform("nunique").to_numpy() > 1
    first_key = pd.Series(keys).groupby(groups).transform("first").to_numpy()
    reading.rows = rows.assign(patient=np.where(several, first_key, rows["patient"]))[is_first]
    if (~is_first).any():
        reading.not_used["copy_in_another_member"] += int((~is_first).sum())
        remedy = "each is kept once, in the test split if it is in one"
        reading.notes.append(
            Problem("radiographs that another member shows, too", tuple(rows.index[~is_first]), remedy)
        )


def _note_findings_of_one_member(reading: OwnReading) -> None:
    """Note findings that only one member shows: a model may recognise that member instead."""
    if not reading.multi_label:
        return
    alone = [
        f"{name}: {shown.iloc[0]}"
        for name in reading.classes
        if len(shown := reading.rows.loc[reading.rows[LABEL + name] == PRESENT, "source"].drop_duplicates()) == 1
    ]
    if alone:
        remedy = "a model may recognise that member instead"
        reading.notes.append(Problem("findings that only one member shows", tuple(alone), remedy))
