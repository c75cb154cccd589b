"""The archive of one's own radiographs: the images that are used, and one table that says all about them.

Nothing else enters it, because an archive is cached, and pushed to where others can read it: patients are numbers,
DICOM files lose what identifies them, and documents beside the images are left out. File names stay as they are.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from chest_transfer.data.archive_images import image_members
from chest_transfer.data.archive_packing import folder_beside, is_plain_zip, pack
from chest_transfer.data.archives import Archive
from chest_transfer.data.descriptions import age_band
from chest_transfer.data.dicom import is_dicom
from chest_transfer.data.dicom_attributes import UnreadableDicom
from chest_transfer.data.dicom_identity import without_identity
from chest_transfer.data.label_tables import read_label_table
from chest_transfer.data.own_reading import check_all_classes, read_own
from chest_transfer.data.own_record import OwnReading, Problem
from chest_transfer.data.prepared import write_prepared
from chest_transfer.data.public_sets import PublicSet
from chest_transfer.data.public_tables import read_public_table
from chest_transfer.errors import ChestTransferError
from chest_transfer.files import ArchiveWriter, atomic_write

if TYPE_CHECKING:
    from chest_transfer.data.own_section import Own

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
    table = read_label_table(Path(entry.table).expanduser()) if entry.table else None

    def read(archive: Archive, images: list[str]) -> OwnReading:
        return read_own(name, entry, images, table)

    return _write(source, target, read, lambda reading: check_all_classes(name, reading))


def write_public_archive(name: str, entry: PublicSet, source: str, target: Path) -> OwnReading:
    """Write the archive of a public dataset that comes with tables; as `write_own_archive`.

    Args:
        name: str, of the dataset.
        entry: PublicSet.
        source: str, the path of its folder or archive, with its tables.
        target: Path of the zip file to write.

    Raises:
        ChestTransferError: there is nothing at the path, or a table is missing; it cannot be downloaded.
    """
    if not Path(source).expanduser().exists():
        raise ChestTransferError(
            f"no archive of '{name}' at '{source}' (allowed: phantom, or a path that exists); get {entry.title} from "
            f"{entry.home}, under its terms ({entry.terms}), and name its folder in params.yaml: sources.{name}"
        )

    def read(archive: Archive, images: list[str]) -> OwnReading:
        return read_own(name, entry, images, read_public_table(name, entry, archive, images))

    return _write(Path(source).expanduser(), target, read)


def _write(
    source: Path,
    target: Path,
    read: Callable[[Archive, list[str]], OwnReading],
    check: Callable[[OwnReading], None] = lambda reading: None,
) -> OwnReading:
    with atomic_write(target) as aside, folder_beside(aside) as space:
        packed = source if is_plain_zip(source) else space / "files.zip"
        if packed != source:
            pack(source, packed)
        with Archive(packed) as archive, ArchiveWriter(aside) as writer:
            reading = read(archive, image_members(archive))
            _write_images(archive, reading, writer)
            check(reading)
            _check_ages(reading)
            reading.rows["age"] = reading.rows["age"].map(lambda age: age_band(age.replace(",", ".")))
            reading.rows["patient"] = _numbered(reading.rows["patient"])
            write_prepared(writer, reading)
    return reading


def _write_images(archive: Archive, reading: OwnReading, writer: ArchiveWriter) -> None:
    """Write the images of a reading, DICOM files without identity; what these state fills what the table does not."""
    stated, unreadable, other_views = {}, [], Counter()
    for member, view in reading.rows["view"].items():
        try:
            content = archive.read(member)
            if is_dicom(content):
                content, stated[member] = without_identity(content)
        except (UnreadableDicom, ValueError) as error:
            unreadable.append(f"{member}: {error}")
            reading.rows = reading.rows.drop(member)
            continue
        view = view or (stated[member].view if member in stated else "")
        if reading.keep_views and not _is_kept(view, reading.keep_views):
            other_views[view] += 1
            reading.rows = reading.rows.drop(member)
            continue
        writer.write(member, content)
    if unreadable:
        reading.not_used["unreadable"] += len(unreadable)
        reading.problems.append(Problem("files that cannot be read", tuple(unreadable), "they are left out"))
    if other_views:
        reading.not_used["other_view"] += other_views.total()
        found = tuple(f"'{view}': {count} images" for view, count in other_views.most_common())
        reading.notes.append(Problem("views that are left out", found, "add them to view.keep if they are frontal"))
    has_patients = (reading.rows["patient"] != "").any()
    for column in _FROM_DICOM:
        if column == "patient" and has_patients:  # the table may call the same patients by other keys
            continue
        of_file = pd.Series({member: getattr(facts, column) for member, facts in stated.items()}, dtype=str)
        is_empty = reading.rows[column] == ""
        reading.rows.loc[is_empty, column] = of_file.reindex(reading.rows.index[is_empty]).fillna("")
    if reading.rows.empty:
        causes = "; ".join(map(str, (*reading.problems, *reading.notes)))
        raise ChestTransferError(f"no radiograph is left: {causes}")


def _is_kept(view: str, kept: tuple[str, ...]) -> bool:
    """Return whether a view is one of those that are used: `AP` keeps `A.P.` and `AP supine`, too."""
    plain = view.upper().replace(".", "").replace("_", " ").split()
    wanted = [other.upper().replace(".", "").replace("_", " ").split() for other in kept]
    return any(plain == words or plain[:1] == words for words in wanted)


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
