"""Simulated archives of the public datasets that come with tables: their paths, formats, columns and pitfalls."""

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from chest_transfer.data.archives import SIMULATED
from chest_transfer.files import ArchiveWriter, atomic_write
from chest_transfer.phantom.dicom_files import dicom_file
from chest_transfer.phantom.patients import Patient, Pose
from chest_transfer.phantom.radiograph import radiograph

if TYPE_CHECKING:
    from chest_transfer.settings import Phantom

SCANNER = "nih"
NORMAL_EVERY, TWICE_EVERY, LATERAL_EVERY, TEST_EVERY = 2, 3, 5, 7  # patients


@dataclass(frozen=True)
class SimulatedImage:
    """One radiograph of a simulated patient.

    Args:
        patient: int, from 1.
        exposure: int, from 0.
        finding: str, a key of `findings.FINDINGS`; empty for none.
        sex: `M` or `F`.
        age: int, years.
        view: `PA` or `AP`.
        pixels: (H, W) uint8 array.
    """

    patient: int
    exposure: int
    finding: str
    sex: str
    age: int
    view: str
    pixels: np.ndarray

    @property
    def number(self) -> int:
        """A number of its own."""
        return 10 * self.patient + self.exposure

    @property
    def is_test(self) -> bool:
        """Whether its patient is in the official test split, where there is one."""
        return self.patient % TEST_EVERY == 0


Row = tuple[str, dict]  # the table, and its columns


@dataclass(frozen=True)
class Layout:
    """How a dataset is laid out.

    Args:
        findings: tuple of str, those of its patients.
        path: function from an image to its file's path in the archive.
        rows: function from an image to its rows in tables.
    """

    findings: tuple[str, ...]
    path: Callable[[SimulatedImage], str]
    rows: Callable[[SimulatedImage], list[Row]]


def write_public_layout(name: str, settings: "Phantom", target: Path) -> None:
    """Write the simulated archive of a public dataset that comes with tables.

    Args:
        name: str, a key of `LAYOUTS`.
        settings: section `phantom` of the settings.
        target: Path of the zip file to write.
    """
    layout, tables = LAYOUTS[name], {}
    with atomic_write(target) as aside, ArchiveWriter(aside, SIMULATED) as writer:
        patients = range(1, settings.patients + 1)
        for number in tqdm(patients, "draw", leave=False, unit=" patients", disable=None):
            for image in _images_of_patient(name, layout, settings, number):
                path = layout.path(image)
                writer.write(path, _encoded(image, path))
                for table, row in layout.rows(image):
                    tables.setdefault(table, []).append(row)
        for table, rows in tables.items():
            content = pd.DataFrame(rows).to_csv(index=False).encode()
            writer.write(table, gzip.compress(content, mtime=0) if table.endswith(".gz") else content)


def _images_of_patient(name: str, layout: Layout, settings: "Phantom", number: int) -> Iterator[SimulatedImage]:
    rng = np.random.default_rng([settings.seed, zlib.crc32(name.encode()), number])
    patient, side = Patient.random(rng), settings.image_size
    is_normal = number % NORMAL_EVERY == 0
    finding = "" if is_normal else layout.findings[(number // NORMAL_EVERY) % len(layout.findings)]
    for exposure in range(1 + (number % TWICE_EVERY == 0)):
        pose = Pose.random(rng, patient)
        simulated = radiograph(patient, (finding,) * bool(finding), rng, (side, side), SCANNER, pose)
        yield SimulatedImage(number, exposure, finding, patient.sex, patient.age, pose.view, simulated.pixels)


def _encoded(image: SimulatedImage, path: str) -> bytes:
    suffix = path.rsplit(".", 1)[1]
    if suffix in ("dcm", "dicom"):
        return dicom_file(image.pixels, sex=image.sex, age=image.age, view=image.view, key=str(image.number))
    pixels = image.pixels
    if path.startswith("padchest/"):
        pixels = pixels.astype(np.uint16) * 16  # 12 of 16 bits
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, {"jpg": "JPEG", "png": "PNG"}[suffix], quality=90)
    return buffer.getvalue()


_CHEXPERT = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema", "Consolidation",
    "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture", "Support Devices",
)  # fmt: skip
_CHEXPERT_NAMES = {"Effusion": "Pleural Effusion"}


def _chexpert_labels(image: SimulatedImage) -> dict[str, str]:
    """Present 1.0, the next finding uncertain, the one after it absent, others not mentioned."""
    shown = _CHEXPERT_NAMES.get(image.finding, image.finding) or "No Finding"
    place = _CHEXPERT.index(shown)
    marks = {shown: "1.0", _CHEXPERT[(place + 1) % 13 + 1]: "-1.0", _CHEXPERT[(place + 3) % 13 + 1]: "0.0"}
    return {finding: marks.get(finding, "") for finding in _CHEXPERT} | {shown: "1.0"}


def _chexpert_path(image: SimulatedImage) -> str:
    split, lateral = ("valid" if image.is_test else "train"), image.exposure and image.patient % LATERAL_EVERY == 0
    view = "view2_lateral" if lateral else "view1_frontal"
    return f"CheXpert-v1.0-small/{split}/patient{image.patient:05d}/study{image.exposure + 1}/{view}.jpg"


def _chexpert_rows(image: SimulatedImage) -> list[Row]:
    path = _chexpert_path(image)
    is_frontal = "frontal" in path
    facts = {
        "Path": path, "Sex": "Male" if image.sex == "M" else "Female", "Age": image.age,
        "Frontal/Lateral": "Frontal" if is_frontal else "Lateral", "AP/PA": image.view if is_frontal else "",
    }  # fmt: skip
    return [(f"CheXpert-v1.0-small/{'valid' if image.is_test else 'train'}.csv", facts | _chexpert_labels(image))]


def _mimic_key(image: SimulatedImage) -> dict[str, str]:
    return {
        "dicom_id": f"{zlib.crc32(str(image.number).encode()):08x}-{image.number:08d}",
        "study_id": str(50_000_000 + image.number), "subject_id": str(10_000_000 + image.patient),
    }  # fmt: skip


def _mimic_path(image: SimulatedImage) -> str:
    key = _mimic_key(image)
    subject = key["subject_id"]
    return f"mimic-cxr-jpg/files/p{subject[:2]}/p{subject}/s{key['study_id']}/{key['dicom_id']}.jpg"


def _mimic_rows(image: SimulatedImage) -> list[Row]:
    key, prefix = _mimic_key(image), "mimic-cxr-jpg/mimic-cxr-2.0.0-"
    is_lateral = image.exposure and image.patient % LATERAL_EVERY == 0
    study = {name: key[name] for name in ("subject_id", "study_id")}
    split = "test" if image.is_test else "validate" if image.patient % TEST_EVERY == 1 else "train"
    view = {"PerformedProcedureStepDescription": "CHEST", "ViewPosition": "LATERAL" if is_lateral else image.view}
    return [
        (prefix + "split.csv.gz", key | {"split": split}),
        (prefix + "metadata.csv.gz", key | view),
        (prefix + "chexpert.csv.gz", study | _chexpert_labels(image)),
    ]


def _padchest_rows(image: SimulatedImage) -> list[Row]:
    words = {
        "Effusion": "pleural effusion",
        "Nodule": "nodule",
        "Pneumonia": "pneumonia",
        "Cardiomegaly": "cardiomegaly",
    }
    labels = [words[image.finding], "kyphosis"] if image.finding else ["normal"]
    row = {
        "": image.number, "ImageID": _padchest_path(image).rsplit("/", 1)[1], "ImageDir": "0",
        "PatientID": str(839_860_488_694_290 + image.patient), "PatientSex_DICOM": image.sex,
        "Projection": "L" if image.exposure and image.patient % LATERAL_EVERY == 0 else image.view,
        "MethodLabel": "RNN_model" if image.patient % TEST_EVERY else "Physician",
        "Labels": "nan" if image.patient % 11 == 0 else str(labels),
    }  # fmt: skip
    return [("padchest/PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz", row)]


def _padchest_path(image: SimulatedImage) -> str:
    return f"padchest/0/{20_536_686_640_136_348 + image.number}_k6ga29.png"


def _vindr_rows(image: SimulatedImage) -> list[Row]:
    """Three readers; one of them sees nothing, and one of the others draws two boxes."""
    words = {"Effusion": "Pleural effusion", "Nodule": "Nodule/Mass"}
    found = words.get(image.finding, image.finding) or "No finding"
    votes = [("R8", found), ("R9", found), ("R9", found), ("R10", "No finding")]
    name = _vindr_path(image).rsplit("/", 1)[1].removesuffix(".dicom")
    return [
        ("vinbigdata/train.csv", {"image_id": name, "class_name": vote, "rad_id": reader}) for reader, vote in votes
    ]


def _vindr_path(image: SimulatedImage) -> str:
    return f"vinbigdata/train/{zlib.crc32(f'vindr {image.number}'.encode()):08x}{image.number:024d}.dicom"


def _rsna_rows(image: SimulatedImage) -> list[Row]:
    key = _rsna_path(image).rsplit("/", 1)[1].removesuffix(".dcm")
    classes = {"": "Normal", "Pneumonia": "Lung Opacity"}
    row = {"patientId": key, "class": classes.get(image.finding, "No Lung Opacity / Not Normal")}
    return [("rsna/stage_2_detailed_class_info.csv", row)] * (2 if image.finding == "Pneumonia" else 1)


def _rsna_path(image: SimulatedImage) -> str:
    return f"rsna/stage_2_train_images/{zlib.crc32(f'rsna {image.number}'.encode()):08x}-{image.number:04d}.dcm"


def _siim_rows(image: SimulatedImage) -> list[Row]:
    outlines = [f" {1000 * k} 2 {1010 * k} 8" for k in range(1, 3)] if image.finding else ["-1"]
    key = _siim_path(image).rsplit("/", 1)[1].removesuffix(".dcm")
    return [("siim/train-rle.csv", {"ImageId": key, " EncodedPixels": outline}) for outline in outlines]


def _siim_path(image: SimulatedImage) -> str:
    uid = f"1.2.276.0.7230010.3.1.4.8323329.{image.number}.1517875201.850819"
    return f"siim/dicom-images-train/{uid[:-1]}2/{uid[:-1]}1/{uid}.dcm"


def _google_rows(image: SimulatedImage) -> list[Row]:
    shown = {"Pneumothorax": "Pneumothorax", "Pneumonia": "Airspace opacity", "Nodule": "Nodule or mass"}
    labels = dict.fromkeys(("Fracture", *shown.values()), "NO") | {
        "Fracture": "YES" if image.patient % 7 == 0 else "NO"
    }
    labels |= {shown[image.finding]: "YES"} if image.finding else {}
    row = {
        "Image Index": _google_path(image).rsplit("/", 1)[1], "Finding Labels": image.finding or "No Finding",
        "Patient ID": image.patient, "Patient Age": image.age, "Patient Gender": image.sex, "View Position": image.view,
    }  # fmt: skip
    return [("nih/google2019_nih-chest-xray-labels.csv.gz", row | labels)]


def _google_path(image: SimulatedImage) -> str:
    return f"nih/images/{image.patient:08d}_{image.exposure:03d}.png"


def _named_after_its_label(folder: str, prefix: str) -> Layout:
    def path(image: SimulatedImage) -> str:
        return f"{folder}/CXR_png/{prefix}_{image.number:04d}_{int(bool(image.finding))}.png"

    return Layout(("tuberculosis",), path, lambda image: [])


def _tbx_path(image: SimulatedImage) -> str:
    if image.is_test:
        return f"TBX11K/imgs/test/test_{image.number:04d}.png"
    folder = {"": "health", "tuberculosis": "tb"}.get(image.finding, "sick")
    return f"TBX11K/imgs/{folder}/{folder[0]}{image.number:04d}.png"


_COMMON = ("Cardiomegaly", "Pneumonia", "Effusion")
LAYOUTS = {
    "chexpert": Layout(("Cardiomegaly", "Effusion", "Pneumothorax"), _chexpert_path, _chexpert_rows),
    "mimic_cxr": Layout(("Cardiomegaly", "Effusion", "Pneumothorax"), _mimic_path, _mimic_rows),
    "padchest": Layout((*_COMMON, "Nodule"), _padchest_path, _padchest_rows),
    "vindr_cxr": Layout(("Cardiomegaly", "Effusion", "Nodule"), _vindr_path, _vindr_rows),
    "rsna_pneumonia": Layout(("Pneumonia", "Cardiomegaly"), _rsna_path, _rsna_rows),
    "siim_pneumothorax": Layout(("Pneumothorax",), _siim_path, _siim_rows),
    "nih_google": Layout(("Pneumothorax", "Pneumonia", "Nodule"), _google_path, _google_rows),
    "montgomery": _named_after_its_label("MontgomerySet", "MCUCXR"),
    "shenzhen": _named_after_its_label("ChinaSet_AllFiles", "CHNCXR"),
    "tbx11k": Layout(("tuberculosis", "Pneumonia"), _tbx_path, lambda image: []),
}
