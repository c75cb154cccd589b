"""Simulated archives: each dataset's own layout, file names, formats and tables, filled with phantoms.

Everything after the download is then the same code for phantoms and for patients.
"""

import io
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from chest_transfer.data.archives import ArchiveWriter
from chest_transfer.data.catalog import Dataset
from chest_transfer.data.layouts import ClassFolders
from chest_transfer.phantom.thorax import Patient, radiograph

# The share of each class, and the findings that may stand for it, one of them an image.
CLASS_SHARES = {
    "NORMAL": (0.35, [()]),
    "PNEUMONIA": (0.65, [("bacterial_pneumonia",), ("viral_pneumonia",)]),
    "Tuberculosis": (0.3, [("tuberculosis",)]),
    "Normal": (0.5, [()]),
    "COVID": (0.2, [("covid",)]),
    "Lung_Opacity": (0.3, [("lung_opacity",)]),
    "Viral_Pneumonia": (0.1, [("viral_pneumonia",)]),
}
# How often NIH's images show each finding (of 112,120).
NIH_RATES = {
    "Infiltration": 0.177, "Effusion": 0.119, "Atelectasis": 0.103, "Nodule": 0.056, "Mass": 0.052,
    "Pneumothorax": 0.047, "Consolidation": 0.042, "Pleural_Thickening": 0.030, "Cardiomegaly": 0.025,
    "Emphysema": 0.022, "Edema": 0.021, "Fibrosis": 0.015, "Pneumonia": 0.013, "Hernia": 0.002,
}  # fmt: skip
NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n"
)


def write_archive(dataset: Dataset, settings, target: Path) -> None:
    """Write the simulated archive of a dataset; the same settings give the same bytes.

    Args:
        dataset: the catalog's entry.
        settings: the `phantom` section of the settings: seed, patients, image_size.
        target: the zip file to write.
    """
    aside = target.with_name(target.name + ".partial")
    aside.parent.mkdir(parents=True, exist_ok=True)
    members = _class_folders if isinstance(dataset.layout, ClassFolders) else _nih
    try:
        with ArchiveWriter(aside) as writer:
            for member, content in members(dataset, settings):
                writer.write(member, content)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


def _class_folders(dataset: Dataset, settings) -> Iterator[tuple[str, bytes]]:
    layout = dataset.layout
    shares = np.array([CLASS_SHARES[name][0] for name in dataset.classes])
    for number in range(settings.patients):
        random = _chance(dataset, settings.seed, number)
        patient = Patient.random(random)
        # Round robin over the cumulated shares: every class is there, however few the patients.
        position = (number * 0.6180339887498949) % 1.0
        label = dataset.classes[int(np.searchsorted(np.cumsum(shares / shares.sum()), position, side="right"))]
        split = "test" if random.random() < 0.2 else "val" if number % 50 == 49 else "train"
        variants = CLASS_SHARES[label][1]
        findings = variants[number % len(variants)]
        for exposure in range(int(random.integers(1, 4)) if layout.splits else 1):
            pixels = radiograph(patient, findings, random, settings.image_size)
            if label == "NORMAL" and layout.splits:
                stem = f"IM-{number:04d}-{exposure + 1:04d}"
            elif layout.splits:
                subtype = "virus" if findings == ("viral_pneumonia",) else "bacteria"
                stem = f"person{number}_{subtype}_{3 * number + exposure}"
            else:
                stem = f"{layout.folders[label]}-{number + 1}"
            folder = filter(None, [layout.root, split if layout.splits else None, layout.folders[label], layout.images])
            yield "/".join([*folder, stem + layout.suffix]), _encoded(pixels, layout.suffix)


def _nih(dataset: Dataset, settings) -> Iterator[tuple[str, bytes]]:
    rows, lists = [NIH_HEADER], {"train_val_list.txt": [], "test_list.txt": []}
    for number in range(1, settings.patients + 1):
        random = _chance(dataset, settings.seed, number)
        patient = Patient.random(random)
        age, sex = int(random.integers(18, 90)), "MF"[int(random.integers(2))]
        split = "test_list.txt" if random.random() < 0.23 else "train_val_list.txt"
        for follow_up in range(int(random.integers(1, 4))):
            findings = tuple(sorted(name for name, rate in NIH_RATES.items() if random.random() < rate))
            name = f"{number:08d}_{follow_up:03d}.png"
            labels = "|".join(findings) or "No Finding"
            size = settings.image_size
            rows.append(f"{name},{labels},{follow_up},{number},{age},{sex},PA,{size},{size},0.143,0.143,\n")
            lists[split].append(name)
            pixels = radiograph(patient, findings, random, size)
            yield f"images_{1 + number % 12:03d}/images/{name}", _encoded(pixels, ".png")
    yield "Data_Entry_2017.csv", "".join(rows).encode()
    for list_name, names in lists.items():
        yield list_name, "\n".join(names).encode()


def _chance(dataset: Dataset, seed: int, number: int) -> np.random.Generator:
    """What decides about one patient: other people in each dataset, but for those that show the same ones."""
    return np.random.default_rng([seed, zlib.crc32((dataset.same_patients_as or dataset.name).encode()), number])


def _encoded(pixels: np.ndarray, suffix: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, {".png": "PNG", ".jpeg": "JPEG"}[suffix], quality=90)
    return buffer.getvalue()
