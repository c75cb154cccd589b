"""DICOM: the pixels of a radiograph's file as gray levels, as a viewer would show them.

No text of a file reaches a message: it may name a patient.
"""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from chest_transfer.errors import ChestTransferError

CHEST_BODY_PARTS = ("CHEST", "THORAX", "LUNG", "LUNGS", "RIBS", "TORAX", "TORACE")
RADIOGRAPH_MODALITIES = ("CR", "DX", "RG", "XR", "")
FRONTAL_VIEWS = ("PA", "AP", "")
MOST_PIXELS = 89_000_000
NEGATIVE = "the file states the wrong photometric interpretation; its pixels were inverted"
# Of 3,319 radiographs of four public archives, `lung_contrast` is below -0.5 for 3 and above 0 for 99.6 %.
_NEGATIVE_CONTRAST = -0.75


class UnreadableDicom(ValueError):
    """The file holds no single grayscale image that can be read; the message contains none of its text."""


def is_dicom(content: bytes) -> bool:
    """Return whether bytes begin as a DICOM file does: a preamble of 128 bytes, then `DICM`."""
    return content[128:132] == b"DICM"


def read_dicom(content: bytes) -> tuple[np.ndarray, bool, tuple[str, ...]]:
    """Return the gray levels of a DICOM file, dense tissue bright.

    The modality LUT or rescaling, then the VOI LUT or window, are applied as the file states; MONOCHROME1, in which
    low values are bright, is inverted (DICOM part 3, C.7.6.3.1.2, C.11.1, C.11.2). Some files state the wrong
    photometric interpretation: where the lungs would come out bright, the image is inverted once more.

    Returns:
        (H, W) float32 gray levels; whether they are 8-bit levels that need no stretching; and what is unusual for a
        frontal chest radiograph: another body part, view or modality, or `NEGATIVE`.

    Raises:
        UnreadableDicom: several frames, color, too many pixels, or damaged.
        ChestTransferError: pydicom is not installed.
    """
    try:
        import pydicom
        from pydicom.pixels import apply_modality_lut, apply_voi_lut
    except ImportError:
        raise ChestTransferError(
            "DICOM files need pydicom and its decoders, which are not installed; run: pip install --editable '.[dicom]'"
        ) from None
    logging.getLogger("pydicom").propagate = False  # its log messages quote the file
    with _pydicom_errors():
        file = pydicom.dcmread(io.BytesIO(content))
    _check_single_gray_image(file)
    with _pydicom_errors():
        levels = apply_modality_lut(file.pixel_array, file)
        windowed = apply_voi_lut(levels, file)
    is_8_bit = windowed is levels and _attribute(file, "BitsStored") == 8 and levels.dtype == np.uint8
    gray = np.asarray(windowed, np.float32)
    darkest_plus_brightest = 255 if is_8_bit else gray.max() + gray.min()
    if _attribute(file, "PhotometricInterpretation") == "MONOCHROME1":
        gray = darkest_plus_brightest - gray
    unusual = _unusual_attributes(file)
    if lung_contrast(gray) < _NEGATIVE_CONTRAST:
        gray, unusual = darkest_plus_brightest - gray, (*unusual, NEGATIVE)
    return gray, is_8_bit, unusual


def lung_contrast(gray: np.ndarray) -> float:
    """Return how much darker the lung fields are than the mediastinum, in standard deviations of the image.

    Negative for a negative image.

    Args:
        gray: (H, W) float32 array, a frontal chest radiograph.
    """
    right_lung = _mean_in_box(gray, top=0.3, bottom=0.6, left=0.2, right=0.38)
    left_lung = _mean_in_box(gray, top=0.3, bottom=0.6, left=0.62, right=0.8)
    mediastinum = _mean_in_box(gray, top=0.35, bottom=0.75, left=0.45, right=0.58)
    standard_deviation = max(float(gray.std()), 1e-6)
    return (mediastinum - (right_lung + left_lung) / 2) / standard_deviation


def _mean_in_box(gray: np.ndarray, top: float, bottom: float, left: float, right: float) -> float:
    height, width = gray.shape
    rows = slice(int(top * height), int(bottom * height))
    columns = slice(int(left * width), int(right * width))
    return float(gray[rows, columns].mean())


@contextmanager
def _pydicom_errors() -> Iterator[None]:
    """Turn whatever pydicom and its decoders raise into `UnreadableDicom`: put nothing but their calls inside."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote the file
            yield
    except Exception as error:
        reason = f"damaged, or compressed in a way that cannot be read ({type(error).__name__})"
        raise UnreadableDicom(reason) from None


def _attribute(file, name: str):
    """Return an attribute of a DICOM file, or None; pydicom parses it only when it is read, which can fail."""
    with _pydicom_errors():
        return file.get(name)


def _text(file, name: str) -> str:
    return str(_attribute(file, name) or "").strip().upper()


def _check_single_gray_image(file) -> None:
    if "PixelData" not in file:
        raise UnreadableDicom("it holds no image")
    with _pydicom_errors():
        frames = int(file.get("NumberOfFrames") or 1)
        pixels = int(file.Rows) * int(file.Columns)
    if frames > 1:
        raise UnreadableDicom(f"it holds {frames} frames, not one radiograph")
    is_gray = _attribute(file, "PhotometricInterpretation") in ("MONOCHROME1", "MONOCHROME2")
    if not is_gray or _attribute(file, "SamplesPerPixel") != 1:
        raise UnreadableDicom("it is not a grayscale image (allowed: MONOCHROME1, MONOCHROME2)")
    if pixels > MOST_PIXELS:
        raise UnreadableDicom(f"it holds more than {MOST_PIXELS:,} pixels")


def _unusual_attributes(file) -> tuple[str, ...]:
    unusual = []
    if _text(file, "Modality") not in RADIOGRAPH_MODALITIES:
        unusual.append("the file states a modality other than radiography")
    body_part = _text(file, "BodyPartExamined")
    if body_part and not any(part in body_part for part in CHEST_BODY_PARTS):
        unusual.append("the file states another body part")
    if _text(file, "ViewPosition") not in FRONTAL_VIEWS:
        unusual.append("the file states a view that is not frontal")
    return tuple(unusual)
