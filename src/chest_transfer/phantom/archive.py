"""Simulated archives: each dataset's own layout, file names, formats, tables and traps, filled with phantoms.

Everything after the download is then the same code for phantoms and for patients.
"""

import io
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from chest_transfer.data.archives import ArchiveWriter
from chest_transfer.data.catalog import Dataset
from chest_transfer.data.layouts import ClassFolders
from chest_transfer.files import whole
from chest_transfer.phantom.cohorts import COHORTS, Cohort, assign_class
from chest_transfer.phantom.metadata_tables import BOXES, FolderRow, NihRow, box_list, metadata_sheet, nih_tables
from chest_transfer.phantom.patients import Patient, Pose
from chest_transfer.phantom.radiograph import SimulatedRadiograph, radiograph
from chest_transfer.workers import in_order

Members = list[tuple[str, bytes]]


@dataclass
class Files:
    """What one patient adds to an archive."""

    members: Members = field(default_factory=list)
    rows: list = field(default_factory=list)


def write_archive(dataset: Dataset, settings, target: Path, processes: int = 1) -> None:
    """Write the simulated archive of a dataset; the same settings give the same bytes, whatever the processes.

    Args:
        dataset: the catalog's entry.
        settings: the `phantom` section of the settings: seed, patients, image_size.
        target: the zip file to write.
        processes: that draw patients at the same time.
    """
    if isinstance(dataset.layout, ClassFolders):
        cases, files_of, tables_of = list(_cases(dataset, settings)), _folder_files, partial(_folder_tables, dataset)
    else:
        cases, files_of, tables_of = range(1, settings.patients + 1), _nih_files, nih_tables
    with whole(target) as aside, ArchiveWriter(aside) as writer:
        rows = []
        for files in in_order(partial(files_of, dataset, settings), cases, processes):
            for member, content in files.members:
                writer.write(member, content)
            rows += files.rows
        for member, content in tables_of(rows):
            writer.write(member, content)


@dataclass(frozen=True)
class _Case:
    """A patient of a dataset of class folders, and his number among those of his kind."""

    number: int
    label: str
    finding: str | None
    serial: int


def _cases(dataset: Dataset, settings) -> Iterator[_Case]:
    seen: Counter = Counter()
    for number in range(settings.patients):
        label, finding = assign_class(_cohort(dataset), number)
        seen[label, finding] += 1
        yield _Case(number, label, finding, seen[label, finding])


def _folder_files(dataset: Dataset, settings, case: _Case) -> Files:
    cohort, layout = _cohort(dataset), dataset.layout
    rng = _chance(dataset, settings.seed, case.number)
    patient = Patient.random(rng, cohort.ages_of(rng))
    split = "test" if rng.random() < 0.2 else "val" if case.number % 50 == 49 else "train"
    # The first publisher of the children's set has no val folder.
    split = "train" if split == "val" and dataset.same_patients_as else split
    files = Files()
    several = 1 + min(3, int(rng.geometric(0.6 if case.finding else 0.9)) - 1) if layout.splits else 1
    for exposure in range(several):
        pose = Pose.random(rng, patient)
        # Of about `image_size` squared pixels; the children's set is not cut to squares.
        side = settings.image_size
        shape = (round(side * pose.aspect**0.5), round(side / pose.aspect**0.5)) if layout.splits else (side, side)
        findings = (case.finding,) if case.finding else ()
        shown = radiograph(patient, findings, rng, shape, cohort.scanner_of(rng), pose)
        if not layout.splits:
            stem = f"{layout.folders[case.label]}-{case.serial}"
        elif case.finding:
            subtype = "virus" if case.finding.startswith("viral") else "bacteria"
            stem = f"person{case.serial}_{subtype}_{4 * case.serial + exposure}"
        else:
            stem = f"{'NORMAL2-' * (case.serial % 2)}IM-{(case.serial + 1) // 2:04d}-{exposure + 1:04d}"
        # As in the public archives, the colour mode leaks the class: a few of one class are RGB.
        coloured = case.finding and (split == "train" if layout.splits else case.label == "Viral_Pneumonia")
        image = Image.fromarray(shown.pixels).convert("RGB" if coloured and case.number % 14 == 0 else "L")
        parts = [layout.root, split if layout.splits else None, layout.folders[case.label], layout.images]
        member = "/".join([*filter(None, parts), stem + layout.suffix])
        content = _encoded(image, layout.suffix)
        files.members.append((member, content))
        files.rows.append(FolderRow(case.label, stem, side, shown.boxes.get(case.finding)))
        if layout.images:
            files.members.append((member.replace(f"/{layout.images}/", "/masks/"), _mask(shown, side)))
        if layout.splits and case.number % 25 == 0:
            nested = member.replace(layout.root, f"{layout.root}/{layout.root}", 1)
            files.members += [(nested, content), (f"__MACOSX/{'/._'.join(member.rsplit('/', 1))}", _RESOURCE_FORK)]
    return files


def _folder_tables(dataset: Dataset, rows: list[FolderRow]) -> Members:
    layout = dataset.layout
    # Not in the public archives: where each simulated disease shows, so that heat maps can be scored.
    tables = [(f"{layout.root}/{BOXES}", box_list((row.stem + layout.suffix, row.label, row.box) for row in rows))]
    if layout.splits:
        forks = (f"{layout.root}/train/{folder}/.DS_Store" for folder in layout.folders.values())
        return tables + [(fork, b"\0\0\0\1Bud1") for fork in forks]
    return tables + [
        (f"{layout.root}/{folder}.metadata.xlsx", metadata_sheet([row for row in rows if row.label == label]))
        for label, folder in layout.folders.items()
    ]


def _nih_files(dataset: Dataset, settings, number: int) -> Files:
    cohort = _cohort(dataset)
    rng = _chance(dataset, settings.seed, number)
    patient = Patient.random(rng, cohort.ages_of(rng))
    test = rng.random() < 0.23
    files, findings, size = Files(), (), settings.image_size
    # 3.6 images a patient, half of them with one only.
    for follow_up in range(min(30, int(rng.geometric(0.5) * rng.choice([1, 1, 4])))):
        if follow_up == 0 or rng.random() < 0.5:
            findings = cohort.findings(rng)
        pose = Pose.random(rng, patient)
        shown = radiograph(patient, findings, rng, (size, size), cohort.scanner_of(rng), pose)
        image = Image.fromarray(shown.pixels).convert("RGBA" if rng.random() < 0.005 else "L")
        name = f"{number:08d}_{follow_up:03d}.png"
        files.members.append((f"images_{1 + number % 12:03d}/images/{name}", _encoded(image, ".png")))
        files.rows.append(
            NihRow(name, findings, follow_up, number, patient.age, patient.sex, pose.view, size, test, shown.boxes)
        )
    return files


def _cohort(dataset: Dataset) -> Cohort:
    return COHORTS[dataset.same_patients_as or dataset.name]


def _chance(dataset: Dataset, seed: int, number: int) -> np.random.Generator:
    """What decides about one patient: other people in each dataset, but for those that show the same ones."""
    return np.random.default_rng([seed, zlib.crc32((dataset.same_patients_as or dataset.name).encode()), number])


def _encoded(image: Image.Image, suffix: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, {".png": "PNG", ".jpeg": "JPEG"}[suffix], quality=90)
    return buffer.getvalue()


def _mask(shown: SimulatedRadiograph, side: int) -> bytes:
    """The lungs in white; the public archive's masks have 256 pixels a side where its images have 299."""
    size = round(side * 256 / 299)
    return _encoded(Image.fromarray(shown.lung_mask).resize((size, size)).convert("L"), ".png")


_RESOURCE_FORK = b"\0\5\26\7\0\2\0\0Mac OS X        "
