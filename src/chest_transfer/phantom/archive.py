"""Simulated archives: each dataset's own layout, file names, formats, tables and pitfalls, filled with phantoms.

From the archive on, the same code processes simulated and real radiographs.
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

from chest_transfer.data.archives import SIMULATED
from chest_transfer.data.catalog import Dataset
from chest_transfer.data.layouts import BOX_LIST, ClassFolders
from chest_transfer.files import ArchiveWriter, atomic_write
from chest_transfer.phantom.cohorts import COHORTS, Cohort, class_and_finding
from chest_transfer.phantom.metadata_tables import FolderRow, NihRow, box_list, metadata_sheet, nih_tables
from chest_transfer.phantom.patients import Patient, Pose
from chest_transfer.phantom.radiograph import SimulatedRadiograph, radiograph
from chest_transfer.workers import parallel_map_with_progress

JPEG_QUALITY = 90
IMAGE_FORMATS = {".png": "PNG", ".jpeg": "JPEG"}  # by file suffix

# Class folders. Numbers follow the public archives roughly.
TEST_FRACTION = 0.35  # more than in the public archives, so that intervals are narrow enough to show something
VALIDATION_EVERY = 50  # patients; the validation split is tiny
MAX_EXPOSURES = 4  # radiographs of one patient
SINGLE_EXPOSURE_PROBABILITY = {"normal": 0.9, "abnormal": 0.6}  # of a geometric distribution of exposures
RGB_EVERY = 14  # patients of one class, whose images are RGB rather than grayscale
NESTED_COPY_EVERY = 25  # patients, whose images are in the archive a second time
MASK_SIDE, MASKED_IMAGE_SIDE = 256, 299  # pixels of a lung mask and of its image in the public archive

# NIH's layout: 30,805 patients have 112,120 images, 3.6 on average, about half of the patients only one; 25,596 images
# are in the official test split (Data_Entry_2017.csv, test_list.txt).
NIH_TEST_FRACTION = 0.23
NIH_MAX_IMAGES = 30  # of one patient
NIH_FOLLOW_UP_PROBABILITY, NIH_FOLLOW_UP_FACTORS = 0.5, (1, 1, 4)  # a geometric distribution, for some patients longer
NIH_CHANGE_PROBABILITY = 0.5  # that findings differ from those of the image before
NIH_RGBA_PROBABILITY = 0.005
NIH_FOLDERS = 12

MAC_RESOURCE_FORK, MAC_FOLDER_SETTINGS = b"\0\5\26\7\0\2\0\0Mac OS X        ", b"\0\0\0\1Bud1"

Members = list[tuple[str, bytes]]


@dataclass
class PatientFiles:
    """What one patient adds to an archive.

    Args:
        members: list of (name in the archive, content).
        rows: list of `NihRow` or `FolderRow`, for the archive's tables.
    """

    members: Members = field(default_factory=list)
    rows: list = field(default_factory=list)


@dataclass(frozen=True)
class _FolderCase:
    """A patient of a dataset of class folders; `serial` counts the patients of the same class and finding from 1."""

    number: int
    label: str
    finding: str | None
    serial: int


def write_archive(dataset: Dataset, settings, target: Path, processes: int = 1) -> None:
    """Write the simulated archive of a dataset.

    The same settings give the same bytes, whatever the number of processes.

    Args:
        dataset: Dataset, an entry of the catalog.
        settings: the `phantom` section of the settings: seed, patients, image_size.
        target: Path of the zip file to write.
        processes: int, number of processes that simulate patients.
    """
    if isinstance(dataset.layout, ClassFolders):
        cases = list(_folder_cases(dataset, settings))
        simulate, tables = _folder_files, partial(_folder_tables, dataset)
    else:
        cases, simulate, tables = range(1, settings.patients + 1), _nih_files, nih_tables
    with atomic_write(target) as partial_file, ArchiveWriter(partial_file, SIMULATED) as writer:
        rows = []
        drawn = partial(simulate, dataset, settings)
        for files in parallel_map_with_progress(drawn, cases, processes, "draw", "patients"):
            for member, content in files.members:
                writer.write(member, content)
            rows += files.rows
        for member, content in tables(rows):
            writer.write(member, content)


def _folder_cases(dataset: Dataset, settings) -> Iterator[_FolderCase]:
    serials: Counter = Counter()
    for number in range(settings.patients):
        label, finding = class_and_finding(_cohort(dataset), number)
        serials[label, finding] += 1
        yield _FolderCase(number, label, finding, serials[label, finding])


def _folder_files(dataset: Dataset, settings, case: _FolderCase) -> PatientFiles:
    """Simulate one patient of a dataset of class folders.

    Args:
        dataset: Dataset whose layout is `ClassFolders`.
        settings: the `phantom` section of the settings.
        case: _FolderCase, the patient.
    """
    cohort, layout = _cohort(dataset), dataset.layout
    rng = _patient_rng(dataset, settings.seed, case.number)
    patient = Patient.random(rng, cohort.sample_age_range(rng))
    split = _split(dataset, case, rng)
    exposures = 1
    if layout.splits:
        probability = SINGLE_EXPOSURE_PROBABILITY["abnormal" if case.finding else "normal"]
        exposures += min(MAX_EXPOSURES - 1, int(rng.geometric(probability)) - 1)
    files = PatientFiles()
    for exposure in range(exposures):
        pose = Pose.random(rng, patient)
        side = settings.image_size
        # The children's radiographs are not cropped to squares; they have about as many pixels as a square would have.
        shape = (round(side * pose.aspect**0.5), round(side / pose.aspect**0.5)) if layout.splits else (side, side)
        findings = (case.finding,) if case.finding else ()
        simulated = radiograph(patient, findings, rng, shape, cohort.sample_scanner(rng), pose)
        stem = _file_stem(layout, case, exposure)
        # As in the public archives, the color mode leaks the class: a few images of one class are RGB.
        may_be_rgb = case.finding and (split == "train" if layout.splits else case.label == "Viral_Pneumonia")
        mode = "RGB" if may_be_rgb and case.number % RGB_EVERY == 0 else "L"
        parts = [layout.root, split if layout.splits else None, layout.folders[case.label], layout.images]
        member = "/".join([*filter(None, parts), stem + layout.suffix])
        content = _encoded(Image.fromarray(simulated.pixels).convert(mode), layout.suffix)
        files.members.append((member, content))
        files.rows.append(FolderRow(case.label, stem, side, simulated.boxes.get(case.finding, [])))
        if layout.images:
            files.members.append((member.replace(f"/{layout.images}/", "/masks/"), _encoded_mask(simulated, side)))
        if layout.splits and case.number % NESTED_COPY_EVERY == 0:
            nested = member.replace(layout.root, f"{layout.root}/{layout.root}", 1)
            resource_fork = f"__MACOSX/{'/._'.join(member.rsplit('/', 1))}"
            files.members += [(nested, content), (resource_fork, MAC_RESOURCE_FORK)]
    return files


def _split(dataset: Dataset, case: _FolderCase, rng: np.random.Generator) -> str:
    if rng.random() < TEST_FRACTION:
        return "test"
    # The children's radiographs were first published without a validation split.
    validation = case.number % VALIDATION_EVERY == VALIDATION_EVERY - 1 and not dataset.same_patients_as
    return "val" if validation else "train"


def _file_stem(layout: ClassFolders, case: _FolderCase, exposure: int) -> str:
    """The name of an image without its suffix, in the public archive's style."""
    if not layout.splits:
        return f"{layout.folders[case.label]}-{case.serial}"
    if case.finding:
        subtype = "virus" if case.finding.startswith("viral") else "bacteria"
        return f"person{case.serial}_{subtype}_{MAX_EXPOSURES * case.serial + exposure}"
    return f"{'NORMAL2-' * (case.serial % 2)}IM-{(case.serial + 1) // 2:04d}-{exposure + 1:04d}"


def _folder_tables(dataset: Dataset, rows: list[FolderRow]) -> Members:
    layout = dataset.layout
    # The public archives have no boxes; here they say where each simulated disease is, to score heat maps by.
    boxes = ((row.stem + layout.suffix, row.label, box) for row in rows for box in row.boxes)
    tables = [(f"{layout.root}/{BOX_LIST}", box_list(boxes))]
    if layout.splits:
        folders = layout.folders.values()
        # As in the public archive: macOS left these files among the radiographs, and a reader has to skip them.
        return tables + [(f"{layout.root}/train/{folder}/.DS_Store", MAC_FOLDER_SETTINGS) for folder in folders]
    return tables + [
        (f"{layout.root}/{folder}.metadata.xlsx", metadata_sheet([row for row in rows if row.label == label]))
        for label, folder in layout.folders.items()
    ]


def _nih_files(dataset: Dataset, settings, number: int) -> PatientFiles:
    """Simulate one patient of NIH's layout.

    Args:
        dataset: Dataset whose layout is `NihTables`.
        settings: the `phantom` section of the settings.
        number: int, number of the patient, from 1.
    """
    cohort, size = _cohort(dataset), settings.image_size
    rng = _patient_rng(dataset, settings.seed, number)
    patient = Patient.random(rng, cohort.sample_age_range(rng))
    test = rng.random() < NIH_TEST_FRACTION
    images = int(rng.geometric(NIH_FOLLOW_UP_PROBABILITY) * rng.choice(NIH_FOLLOW_UP_FACTORS))
    files, findings = PatientFiles(), ()
    for follow_up in range(min(NIH_MAX_IMAGES, images)):
        if follow_up == 0 or rng.random() < NIH_CHANGE_PROBABILITY:
            findings = cohort.findings(rng)
        pose = Pose.random(rng, patient)
        simulated = radiograph(patient, findings, rng, (size, size), cohort.sample_scanner(rng), pose)
        image = Image.fromarray(simulated.pixels).convert("RGBA" if rng.random() < NIH_RGBA_PROBABILITY else "L")
        name = f"{number:08d}_{follow_up:03d}.png"
        folder = f"images_{1 + number % NIH_FOLDERS:03d}"
        files.members.append((f"{folder}/images/{name}", _encoded(image, ".png")))
        files.rows.append(
            NihRow(
                name=name,
                findings=findings,
                follow_up=follow_up,
                patient=number,
                age=patient.age,
                sex=patient.sex,
                view=pose.view,
                size=size,
                test=test,
                boxes=simulated.boxes,
            )
        )
    return files


def _cohort(dataset: Dataset) -> Cohort:
    return COHORTS[dataset.same_patients_as or dataset.name]


def _patient_rng(dataset: Dataset, seed: int, number: int) -> np.random.Generator:
    """A generator for one patient; datasets have different patients, unless the catalog says that they share them."""
    name = dataset.same_patients_as or dataset.name
    return np.random.default_rng([seed, zlib.crc32(name.encode()), number])


def _encoded(image: Image.Image, suffix: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, IMAGE_FORMATS[suffix], quality=JPEG_QUALITY)
    return buffer.getvalue()


def _encoded_mask(simulated: SimulatedRadiograph, side: int) -> bytes:
    """A PNG of the lungs in white; as in the public archive, masks are smaller than their images."""
    size = round(side * MASK_SIDE / MASKED_IMAGE_SIDE)
    return _encoded(Image.fromarray(simulated.lung_mask).resize((size, size)).convert("L"), ".png")
