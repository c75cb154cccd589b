"""The archive of one's own radiographs: the images that are used, and one table that says all about them.

Nothing else enters it, because an archive is cached, and pushed to where others can read it: patients are numbers,
DICOM files lose what identifies them, and documents beside the images are left out. File names stay as they are.
"""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from chest_transfer.data.archive_packing import pack
from chest_transfer.data.archives import Archive
from chest_transfer.data.descriptions import age_band
from chest_transfer.data.dicom import HEADER_BYTES, is_dicom
from chest_transfer.data.dicom_attributes import UnreadableDicom
from chest_transfer.data.dicom_identity import without_identity
from chest_transfer.data.file_kinds import is_image_name, may_be_dicom
from chest_transfer.data.own_reading import OwnReading, Problem, read_own
from chest_transfer.data.prepared import write_prepared
from chest_transfer.errors import ChestTransferError
from chest_transfer.files import ArchiveWriter, atomic_write

if TYPE_CHECKING:
    from chest_transfer.settings import Own

_FROM_DICOM = ("patient", "sex", "age", "view")


def write_own_archive(name: str, entry: "Own", target: Path) -> OwnReading:
    """Write the archive of a dataset of one's own, complete or not at all.

    Args:
        name: str, of the dataset.
        entry: its section under `own`.
        target: Path of the zip file to write.

    Returns:
        OwnReading, whose patients are numbers and whose ages are bands.

    Raises:
        ChestTransferError: there are no images at the path, or the table and the images do not fit together.
    """
    source = Path(entry.images).expanduser()
    if not source.exists():
        raise ChestTransferError(f"no radiographs at '{entry.images}'; correct own.{name}.images in params.yaml")
    with atomic_write(target) as aside, tempfile.TemporaryDirectory(dir=target.parent, prefix=".packing-") as space:
        packed = Path(space, "files.zip")
        pack(source, packed)
        with Archive(packed) as archive, ArchiveWriter(aside) as writer:
            reading = read_own(name, entry, _images(archive))
            _write_images(archive, reading, writer)
            _check_ages(reading)
            reading.rows["age"] = reading.rows["age"].map(lambda age: age_band(age.replace(",", ".")))
            reading.rows["patient"] = _numbered(reading.rows["patient"])
            write_prepared(writer, reading)
    return reading


def _images(archive: Archive) -> list[str]:
    return [
        member
        for member in archive.members
        if is_image_name(member) or (may_be_dicom(member) and is_dicom(archive.start(member, HEADER_BYTES)))
    ]


def _write_images(archive: Archive, reading: OwnReading, writer: ArchiveWriter) -> None:
    """Write the images of a reading, DICOM files without identity; what these state fills what the table does not."""
    stated, unreadable = {}, []
    for member in reading.rows.index:
        try:
            content = archive.read(member)
            if is_dicom(content):
                content, stated[member] = without_identity(content)
        except (UnreadableDicom, ValueError) as error:
            unreadable.append(f"{member}: {error}")
            reading.rows = reading.rows.drop(member)
            continue
        writer.write(member, content)
    if unreadable:
        reading.not_used["unreadable"] += len(unreadable)
        reading.problems.append(Problem("files that cannot be read", tuple(unreadable), "they are left out"))
    for column in _FROM_DICOM:
        of_file = pd.Series({member: getattr(facts, column) for member, facts in stated.items()}, dtype=str)
        is_empty = reading.rows[column] == ""
        reading.rows.loc[is_empty, column] = of_file.reindex(reading.rows.index[is_empty]).fillna("")


def _check_ages(reading: OwnReading) -> None:
    ages = reading.rows["age"]
    impossible = ages[(ages != "") & (ages.map(lambda age: age_band(age.replace(",", "."))) == "")]
    if len(impossible):
        found = tuple(f"{member}: '{age}'" for member, age in impossible.items())
        reading.problems.append(Problem("impossible ages", found, "they count as unknown"))


def _numbered(patients: pd.Series) -> pd.Series:
    """Return `patient 1` and so on, in the order in which patients first occur; empty where unknown."""
    number_of = {patient: number for number, patient in enumerate(patients[patients != ""].unique(), 1)}
    return patients.map(lambda patient: f"patient {number_of[patient]}" if patient else "")
