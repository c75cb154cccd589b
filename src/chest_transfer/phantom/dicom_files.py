"""Simulated DICOM files."""

import io

import numpy as np

from chest_transfer.errors import ChestTransferError

DIGITAL_X_RAY = "1.2.840.10008.5.1.4.1.1.1.1.1"  # for processing; DICOM part 4, B.5


def dicom_file(pixels: np.ndarray, *, sex: str, age: int, view: str, key: str) -> bytes:
    """Return a DICOM file of a chest radiograph with some facts about a patient who does not exist.

    Args:
        pixels: (H, W) uint8 array.
        sex: `M` or `F`.
        age: int, years.
        view: `PA` or `AP`.
        key: str, the patient's identifier; equal keys give equal bytes.

    Raises:
        ChestTransferError: pydicom is not installed.
    """
    try:
        from pydicom.dataset import FileDataset, FileMetaDataset
        from pydicom.uid import ExplicitVRLittleEndian, generate_uid
    except ImportError:
        raise ChestTransferError("DICOM files need pydicom; run: pip install --editable '.[dicom]'") from None
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, DIGITAL_X_RAY
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[key])
    file = FileDataset("radiograph.dcm", {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID = DIGITAL_X_RAY, meta.MediaStorageSOPInstanceUID
    file.Modality, file.BodyPartExamined, file.ViewPosition = "DX", "CHEST", view
    file.PatientID, file.PatientSex, file.PatientAge = key, sex, f"{age:03d}Y"
    file.PhotometricInterpretation, file.SamplesPerPixel, file.PixelRepresentation = "MONOCHROME2", 1, 0
    file.Rows, file.Columns = pixels.shape
    file.BitsAllocated, file.BitsStored, file.HighBit = 8, 8, 7
    file.PixelData = pixels.tobytes() + b"\0" * (pixels.size % 2)
    content = io.BytesIO()
    file.save_as(content, enforce_file_format=True)
    return content.getvalue()
