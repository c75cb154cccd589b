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
    UNKNOWN_VIEWS,
    attribute,
    items,
    pydicom_errors,
    text,
)
from chest_transfer.data.label_words import sex_of
from chest_transfer.data.patient_keys import patient_key

# Groups of the picture itself: image pixel, presentation LUT, pixel data.
_KEPT_GROUPS = (0x0028, 0x2050, 0x7FE0)
_TEXTS = ("LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT")  # value representations of free text
_FIRST_COMMENT = 0x4000  # element of group 0028; 0x0010, pixel data, comes before
_KEPT = ("SOPClassUID", "Modality", "PatientOrientation", "PresentationIntentType")
_KEPT_CODES = ("ViewCodeSequence", "AnatomicRegionSequence")
UNUSUAL = "UNUSUAL"  # a view that is not frontal, or another body part, for which the file has no word known here
_CODES = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")  # of what is kept of a sequence
_ORIENTATION_WORDS = {"ANTERO", "POSTERO", "ANTERIOR", "POSTERIOR", "ANTEROPOSTERIOR", "POSTEROANTERIOR"}
KNOWN_WORDS = {*FRONTAL_WORDS, *LATERAL_WORDS, *OTHER_BODY_PARTS, *_ORIENTATION_WORDS, *UNKNOWN_VIEWS}


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
            patient=patient_key(_plain(file, "PatientID")),
            sex=sex_of(_plain(file, "PatientSex")),
            age=_age(file),
            view=_known_words(text(file, "ViewPosition")),
        )
        kept = _picture_of(file)
        for name in _KEPT:
            if name in file:
                kept[name] = file[name]
        for name in _KEPT_CODES:
            if codes := [_code_of(item) for item in items(file, name)]:
                setattr(kept, name, codes)
        for name in ("ViewPosition", "BodyPartExamined"):
            if stated_here := text(file, name):
                setattr(kept, name, _known_words(stated_here) or UNUSUAL)
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


def _picture_of(file):
    """Return the elements of a data set that belong to the picture, in sequences too: no free text, nothing private."""
    import pydicom

    kept = pydicom.Dataset()
    for tag in file.keys():  # noqa: SIM118 - iterating a data set gives its elements
        if tag.group not in _KEPT_GROUPS or tag.element >= _FIRST_COMMENT or file[tag].VR in _TEXTS:
            continue
        if file[tag].VR == "SQ":
            kept.add_new(tag, "SQ", [_picture_of(item) for item in file[tag].value])
        else:
            kept[tag] = file[tag]
    return kept


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
    words = re.findall("[A-Z]+", description)
    return " ".join(
        "CHEST" if CHEST.search(word) else word for word in words if word in KNOWN_WORDS or CHEST.search(word)
    )
