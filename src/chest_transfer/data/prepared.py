"""Prepared archives: images with one table that says all about them, whatever form the data came in."""

import io
import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from chest_transfer.data.archives import Archive
from chest_transfer.data.descriptions import ATTRIBUTES
from chest_transfer.data.listed import ListedRadiograph, Listing
from chest_transfer.data.own_labels import LABEL, PRESENT, UNKNOWN
from chest_transfer.errors import ChestTransferError
from chest_transfer.files import ArchiveWriter

if TYPE_CHECKING:
    from chest_transfer.data.own_record import OwnReading

TABLE, FACTS = "radiographs.csv", "dataset.json"


def write_prepared(
    writer: ArchiveWriter, reading: "OwnReading", pool: Sequence[str] = (), cautions: Sequence[str] = ()
) -> None:
    """Add the table and the facts of a dataset to an archive that has its images.

    Args:
        writer: ArchiveWriter.
        reading: OwnReading.
        pool: the names of the datasets that it is a pool of, which the column `source` has.
        cautions: sentences, beside what the reading itself has noticed.
    """
    facts = {
        "classes": list(reading.classes),
        "multi_label": reading.multi_label,
        "not_used": dict(sorted(reading.not_used.items())),
        "problems": [*cautions, *(problem.in_short for problem in (*reading.problems, *reading.notes))],
    }
    if pool:
        facts["pool"] = list(pool)
    writer.write(TABLE, reading.rows.rename_axis("member").to_csv().encode())
    writer.write(FACTS, json.dumps(facts, indent=2).encode())


def read_prepared(archive: Archive, keep_splits: bool) -> Listing:
    """Return the radiographs of a prepared archive.

    Args:
        archive: Archive.
        keep_splits: bool, whether splits that its table has are read; those of a pool always are, because they are
            the splits of its members.

    Raises:
        ChestTransferError: it has no such table, or the table does not match its images.
    """
    facts, table = _facts_and_table(archive)
    classes, is_independent = tuple(facts["classes"]), facts["multi_label"]
    pool = tuple(facts.get("pool", ()))
    radiographs = []
    for member, row in table.to_dict("index").items():
        if is_independent:
            labels = tuple(name for name in classes if row[LABEL + name] == PRESENT)
            unknown = tuple(name for name in classes if row[LABEL + name] == UNKNOWN)
        else:
            labels, unknown = (row["label"],), ()
        split = (row["split"] or None) if keep_splits or pool else None
        radiographs.append(ListedRadiograph(member, member, labels, row["patient"] or None, split, unknown))
    attributes = table[[name for name in ATTRIBUTES if name in table]].rename_axis("name")
    return Listing(
        radiographs,
        Counter(facts["not_used"]),
        classes=classes,
        multi_label=is_independent,
        attributes=attributes.loc[:, (attributes != "").any()],
        cautions=facts["problems"],
        pool=pool,
    )


def _facts_and_table(archive: Archive) -> tuple[dict, pd.DataFrame]:
    try:
        facts = json.loads(archive.read(FACTS))
        table = pd.read_csv(io.BytesIO(archive.read(TABLE)), dtype=str, keep_default_na=False)
        return facts, table.set_index("member")
    except (KeyError, ValueError) as error:
        raise ChestTransferError(
            f"'{archive.path}' holds no table of its radiographs ({error}); run: dvc repro --force download"
        ) from None
