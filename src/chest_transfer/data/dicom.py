"""DICOM: a radiograph's file from a scanner or an archive becomes grey levels, as they would be shown on a screen.

No text of the file reaches a message: it may name a patient.
"""

import io
import warnings

import numpy as np

from chest_transfer.errors import ChestTransferError

CHESTS = ("CHEST", "THORAX", "LUNG", "LUNGS", "RIBS", "TORAX", "TORACE")
RADIOGRAPHS = ("CR", "DX", "RG", "XR", "")
FRONTAL = ("PA", "AP", "")
MOST_PIXELS = 89_000_000
NEGATIVE = "its pixels are a negative of what it says; it was inverted"
_NEGATIVE_LEAD = -0.75


class RefusedDicom(ValueError):
    """The file holds no single grey image that can be read; the message is the reason, without any of its text."""


def is_dicom(content: bytes) -> bool:
    """Whether bytes begin as a DICOM file does: 128 of anything, then `DICM`."""
    return content[128:132] == b"DICM"


def read_dicom(content: bytes) -> tuple[np.ndarray, bool, tuple[str, ...]]:
    """The grey levels of a DICOM file, dense tissue bright.

    Modality LUT or rescaling, then VOI LUT or window, are applied as the file asks; MONOCHROME1, in which low values
    are bright, is inverted (DICOM part 3, C.7.6.3.1.2, C.11.1, C.11.2). Some files say the wrong one: where the lungs
    would come out bright, the picture is inverted once more, and that is said.

    Returns:
        (H, W) float32; whether they are 8-bit levels that need no stretching; and what is unusual for a frontal chest
        radiograph: another body part, view or kind of image, or `NEGATIVE`.

    Raises:
        RefusedDicom: several frames, colour, too many pixels, or damaged.
        ChestTransferError: pydicom is not installed.
    """
    try:
        import pydicom
        from pydicom.pixels import apply_modality_lut, apply_voi_lut
    except ImportError:
        raise ChestTransferError(
            "DICOM files need pydicom and its decoders, which are not installed; run: pip install --editable '.[dicom]'"
        ) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote the file
            file = pydicom.dcmread(io.BytesIO(content))
            _check(file)
            levels = apply_modality_lut(file.pixel_array, file)
            shown = apply_voi_lut(levels, file)
            plain = shown is levels and file.BitsStored == 8 and levels.dtype == np.uint8
            low_is_bright, unusual = file.PhotometricInterpretation == "MONOCHROME1", _unusual(file)
    except RefusedDicom:
        raise
    except Exception as error:  # of any decoder, and with any text
        raise RefusedDicom(f"damaged, or compressed in a way that cannot be read ({type(error).__name__})") from None
    grey = np.asarray(shown, np.float32)
    ends = 255 if plain else grey.max() + grey.min()
    if low_is_bright:
        grey = ends - grey
    if lungs_lead(grey) < _NEGATIVE_LEAD:
        grey, unusual = ends - grey, (*unusual, NEGATIVE)
    return grey, plain, unusual


def lungs_lead(grey: np.ndarray) -> float:
    """How much darker the lungs are than what is between them, in deviations of the picture.

    Negative for a negative. Of 3,319 radiographs of four public archives it is below -0.5 for 3, above 0 for 99.6 %.
    """
    height, width = grey.shape

    def mean(top: float, bottom: float, left: float, right: float) -> float:
        return float(grey[int(top * height) : int(bottom * height), int(left * width) : int(right * width)].mean())

    lungs = (mean(0.3, 0.6, 0.2, 0.38) + mean(0.3, 0.6, 0.62, 0.8)) / 2
    return (mean(0.35, 0.75, 0.45, 0.58) - lungs) / max(float(grey.std()), 1e-6)


def _check(file) -> None:
    if "PixelData" not in file:
        raise RefusedDicom("it holds no image")
    frames = int(file.get("NumberOfFrames") or 1)
    if frames > 1:
        raise RefusedDicom(f"it holds {frames} frames, not one radiograph")
    if file.get("PhotometricInterpretation") not in ("MONOCHROME1", "MONOCHROME2"):
        raise RefusedDicom("it is not a grey image (allowed: MONOCHROME1, MONOCHROME2)")
    if int(file.Rows) * int(file.Columns) > MOST_PIXELS:
        raise RefusedDicom(f"it holds more than {MOST_PIXELS:,} pixels")


def _unusual(file) -> tuple[str, ...]:
    found = []
    if str(file.get("Modality") or "").strip().upper() not in RADIOGRAPHS:
        found.append("it says that it is no radiograph")
    part = str(file.get("BodyPartExamined") or "").strip().upper()
    if part and not any(chest in part for chest in CHESTS):
        found.append("it says that it shows another body part")
    if str(file.get("ViewPosition") or "").strip().upper() not in FRONTAL:
        found.append("it says that it is no frontal view")
    return tuple(found)
