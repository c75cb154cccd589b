"""DICOM files without what identifies a patient: what one's own archive keeps, and what is read off the rest.

Only what is needed to show the picture and to tell whether it is a frontal chest radiograph is kept: a list of what to
keep, not of what to remove, so that nothing that the standard or a vendor adds slips through.
"""

import hashlib
import io
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from chest_transfer.data.dicom import parse_dicom
from chest_transfer.data.dicom_attributes import (
    CHEST,
    DESCRIPTIONS,
    FRONTAL_WORDS,
    LATERAL_WORDS,
    OTHER_BODY_PARTS,
    attribute,
    pydicom_errors,
    text,
)
from chest_transfer.data.label_words import sex_of

# Groups of the picture itself: image pixel, presentation LUT, pixel data. Private groups are odd.
_KEPT_GROUPS = (0x0028, 0x2050, 0x7FE0)
_FIRST_COMMENT = 0x4000  # element of group 0028; 0x0010, pixel data, comes before
_KEPT = (
    "SOPClassUID", "Modality", "BodyPartExamined", "ViewPosition", "PatientOrientation", "ViewCodeSequence",
    "AnatomicRegionSequence", "PresentationIntentType",
)  # fmt: skip
_CODES = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")  # of what is kept of a sequence
_ORIENTATION_WORDS = {"ANTERO", "POSTERO", "ANTERIOR", "POSTERIOR", "ANTEROPOSTERIOR", "POSTEROANTERIOR"}
_KNOWN_WORDS = FRONTAL_WORDS | LATERAL_WORDS | OTHER_BODY_PARTS | _ORIENTATION_WORDS


@dataclass(frozen=True)
class StatedByDicom:
    """What a DICOM file states about its patient, as text, empty where it states nothing.

    Args:
        patient: str, which identifies the patient: to be replaced by a number.
        sex: `M` or `F`.
        age: str, as DICOM writes it, or years.
        view: str, such as `PA`.
    """

    patient: str
    sex: str
    age: str
    view: str


def without_identity(content: bytes) -> tuple[bytes, StatedByDicom]:
    """Return a DICOM file without what identifies its patient, and what the file states about the patient.

    Args:
        content: bytes of a DICOM file.

    Raises:
        UnreadableDicom: its header cannot be read or written.
        ChestTransferError: pydicom is not installed.
    """
    file = parse_dicom(content)
    with pydicom_errors():
        import pydicom

        stated = StatedByDicom(
            patient=" ".join(filter(None, (_plain(file, "PatientID"), _plain(file, "IssuerOfPatientID")))),
            sex=sex_of(_plain(file, "PatientSex")),
            age=_age(file),
            view=text(file, "ViewPosition"),
        )
        kept = pydicom.Dataset()
        for tag in file.keys():  # noqa: SIM118 - iterating a data set gives its elements
            if tag.group in _KEPT_GROUPS and tag.element < _FIRST_COMMENT:
                kept[tag] = file[tag]
        for name in _KEPT:
            if name in file:
                kept[name] = file[name]
        for element in list(kept):
            if element.VR == "SQ" and element.tag.group not in _KEPT_GROUPS:
                element.value = [_code_of(item) for item in element.value]
        for name in DESCRIPTIONS:
            if words := _known_words(text(file, name)):
                setattr(kept, name, words)
        uid = pydicom.uid.generate_uid(entropy_srcs=[hashlib.sha256(content).hexdigest()])
        kept.SOPInstanceUID = uid
        kept.file_meta = pydicom.dataset.FileMetaDataset()
        kept.file_meta.TransferSyntaxUID = file.file_meta.TransferSyntaxUID
        kept.file_meta.MediaStorageSOPClassUID = kept.get("SOPClassUID") or "1.2.840.10008.5.1.4.1.1.1"
        kept.file_meta.MediaStorageSOPInstanceUID = uid
        written = io.BytesIO()
        kept.save_as(written, enforce_file_format=True)
    return written.getvalue(), stated


def _plain(file, name: str) -> str:
    return " ".join(str(attribute(file, name) or "").split())


def _age(file) -> str:
    """Return the patient's age as the file states it, or from the dates of birth and study."""
    if stated := _plain(file, "PatientAge"):
        return stated
    with suppress(ValueError):
        born, taken = (datetime.strptime(_plain(file, name), "%Y%m%d") for name in ("PatientBirthDate", "StudyDate"))
        return str(taken.year - born.year - ((taken.month, taken.day) < (born.month, born.day)))
    return ""


def _code_of(item):
    import pydicom

    code = pydicom.Dataset()
    for name in _CODES:
        if name in item:
            code[name] = item[name]
    return code


def _known_words(description: str) -> str:
    """Return the words of a description that tell views and body parts; its others may name somebody."""
    words = [match[0] if (match := CHEST.search(word)) else word for word in re.findall("[A-Z]+", description)]
    return " ".join(word for word in words if word in _KNOWN_WORDS or CHEST.search(word))
