"""DICOM: the pixels of a radiograph's file as gray levels, as a viewer would show them.

No text of a file reaches a message: it may name a patient.
"""

import io
import logging
from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from chest_transfer.data.dicom_attributes import (
    UnreadableDicom,
    attribute,
    items,
    pydicom_errors,
    text,
    unusual_attributes,
)
from chest_transfer.data.dicom_checks import (
    GRAY,
    check_not_deflated_bomb,
    check_shape,
    check_single_image,
    set_defaults,
)
from chest_transfer.data.gray_levels import COLOR, luma, shows_color, stretch_to_8_bits
from chest_transfer.errors import ChestTransferError

SMALLEST_SIDE = 16  # pixels, that lungs can be found in
HEADER_BYTES = 132  # a preamble of 128 bytes, then "DICM"
NEGATIVE = "it looks like a negative, whatever photometric interpretation the file states; it was inverted"
# Of 3,319 radiographs of four public archives, `lung_contrast` is below -0.5 for 3 and above 0 for 99.6 %.
_NEGATIVE_CONTRAST = -0.75
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00")  # of a data set, as its first tag has it in little endian
_FIRST_TAGS_IN_BIG_ENDIAN = (b"\x00\x08\x00", b"\x00\x02\x00")
_VALUE_REPRESENTATIONS = (b"AE", b"CS", b"DA", b"LO", b"OB", b"SH", b"TM", b"UI", b"UL", b"UN", b"SQ")


def is_dicom(content: bytes) -> bool:
    """Return whether bytes, at least the first 132 of a file, begin as a DICOM file or a data set without its header.

    A file has a preamble of 128 bytes, then `DICM`; some programs leave both out.
    """
    if content[128:132] == b"DICM":
        return True
    is_explicit, length = content[4:6] in _VALUE_REPRESENTATIONS, int.from_bytes(content[4:8], "little")
    if content[:3] in _FIRST_TAGS_IN_BIG_ENDIAN:
        return is_explicit
    return content[:2] in _FIRST_GROUPS and content[3:4] == b"\0" and (is_explicit or length <= 64) and len(content) > 8


def read_dicom(content: bytes) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the picture of a DICOM file, dense tissue bright.

    The modality LUT or rescaling, then the VOI LUT or window, are applied as the file states; MONOCHROME1 and an
    inverse presentation LUT, in which low values are bright, are inverted; padding is black (DICOM part 3, C.7.5.1.1.2,
    C.7.6.3.1.2, C.11.1, C.11.2, C.11.6). What is left is stretched to 8 bits, unless it is 8-bit levels without a
    window. Colors become gray as those of a PNG do. Some files state the wrong photometric interpretation: where the
    lungs would come out bright, the image is inverted once more.

    Returns:
        (H, W) uint8 gray levels; and what is unusual for a frontal chest radiograph: another body part, view or
        modality, `COLOR` or `NEGATIVE`.

    Raises:
        UnreadableDicom: no image, several frames, too many pixels, nothing but padding, or damaged.
        ChestTransferError: pydicom is not installed.
    """
    file = parse_dicom(content)
    check_single_image(file)
    unusual = unusual_attributes(file)
    if text(file, "PhotometricInterpretation") in GRAY:
        gray, is_shown = _gray_picture(file)
    else:
        gray, is_color = _picture_of_colors(file)
        is_shown = np.ones(gray.shape, bool)
        unusual = (*unusual, COLOR) if is_color else unusual
    if lung_contrast(gray) < _NEGATIVE_CONTRAST:
        gray, unusual = np.where(is_shown, 255 - gray, gray), (*unusual, NEGATIVE)
    return gray, unusual


def holds_image(content: bytes) -> bool:
    """Return whether a DICOM file has pixels: a CD's directory, a report or a presentation state has none."""
    try:
        with pydicom_errors():
            import pydicom

            return "Rows" in pydicom.dcmread(io.BytesIO(content), force=True, specific_tags=["Rows"])
    except UnreadableDicom:
        return True  # so that the reason is given where it is read


def lung_contrast(gray: np.ndarray) -> float:
    """Return how much darker the lung fields are than the mediastinum, in standard deviations of the image.

    Negative for a negative image; 0 for one of fewer than `SMALLEST_SIDE` pixels a side.

    Args:
        gray: (H, W) array, a frontal chest radiograph.
    """
    if min(gray.shape) < SMALLEST_SIDE:
        return 0.0
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


def parse_dicom(content: bytes):
    """Return the data set of a DICOM file, with the transfer syntax and the defaults that some programs leave out.

    Raises:
        UnreadableDicom: it is damaged, or unpacks to far more than its size.
        ChestTransferError: pydicom is not installed.
    """
    try:
        import pydicom
        from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
    except ImportError:
        raise ChestTransferError(
            "DICOM files need pydicom and its decoders, which are not installed; run: pip install --editable '.[dicom]'"
        ) from None
    logging.getLogger("pydicom").propagate = False  # its log messages quote the file
    check_not_deflated_bomb(content)
    with pydicom_errors():
        file = pydicom.dcmread(io.BytesIO(content), force=True)
        if not file.file_meta.get("TransferSyntaxUID"):  # the file has no header: it is encoded as pydicom parsed it
            is_implicit, is_little = file.original_encoding
            explicit = ExplicitVRLittleEndian if is_little else ExplicitVRBigEndian
            file.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if is_implicit else explicit
    set_defaults(file)
    return file


def _gray_picture(file) -> tuple[np.ndarray, np.ndarray]:
    """Return the (H, W) uint8 picture of a grayscale file, and which pixels are not padding."""
    from pydicom.pixels import apply_modality_lut

    with pydicom_errors():
        stored = file.pixel_array
        has_modality_lut = bool(file.get("ModalityLUTSequence"))
        slope, intercept = float(file.get("RescaleSlope") or 1), float(file.get("RescaleIntercept") or 0)
        levels = apply_modality_lut(stored, file) if has_modality_lut else stored * slope + intercept
        bits = int(file.BitsStored)
    check_shape(file, stored)
    if not (np.isfinite(slope) and np.isfinite(intercept)):
        raise UnreadableDicom("its rescale slope or intercept is no number")
    if attribute(file, "HighBit") not in (bits - 1, None):
        raise UnreadableDicom(f"its high bit is not {bits - 1}, where {bits} bits are stored")
    is_shown = ~_padding(file, stored)
    if not is_shown.any():
        raise UnreadableDicom("every pixel is padding")
    windowed = _windowed(file, levels.astype(np.float64), is_shown)
    is_monochrome1 = text(file, "PhotometricInterpretation") == "MONOCHROME1"
    is_inverse = is_monochrome1 or text(file, "PresentationLUTShape") == "INVERSE"
    lowest = -(2 ** (bits - 1)) if np.issubdtype(stored.dtype, np.signedinteger) else 0
    are_8_bit_levels = bits == 8 and not has_modality_lut and stored.min() >= lowest and stored.max() <= lowest + 255
    if windowed is None and are_8_bit_levels:
        gray = (stored.astype(np.int64) - lowest).astype(np.uint8)
        gray = 255 - gray if (slope < 0) != is_inverse else gray
        return np.where(is_shown, gray, np.uint8(0)), is_shown
    levels = np.asarray(levels if windowed is None else windowed, np.float32)
    return np.asarray(stretch_to_8_bits(-levels if is_inverse else levels, is_shown)), is_shown


def _padding(file, stored: np.ndarray) -> np.ndarray:
    """Return the (H, W) bool array of stored values that stand for no measurement, by value or by range."""
    value = attribute(file, "PixelPaddingValue")
    if not isinstance(value, int):
        return np.zeros(stored.shape, bool)
    limit = attribute(file, "PixelPaddingRangeLimit")
    bounds = np.array([value, limit if isinstance(limit, int) else value])
    if stored.itemsize == 1 and (bounds.max() > 255 or bounds.min() < -128):  # bytes cannot hold it
        return np.zeros(stored.shape, bool)
    # Files of signed pixels may state the value as if they were unsigned, and the other way round.
    bounds = bounds.astype(stored.dtype)
    return (stored >= bounds.min()) & (stored <= bounds.max())


def _windowed(file, levels: np.ndarray, is_shown: np.ndarray) -> np.ndarray | None:
    """Return levels after the VOI LUT or the first window that shows something, None where the file has neither.

    The window functions are those of DICOM part 3, C.11.2.1.2 and C.11.2.1.3; other names count as `LINEAR`. Computed
    here, because pydicom inverts the image where the rescale slope is negative.
    """
    for table in items(file, "VOILUTSequence"):
        with suppress(UnreadableDicom):  # a broken table is no reason not to use the window
            looked_up = _looked_up(file, table, levels)
            if np.ptp(looked_up[is_shown]) > 0:
                return looked_up
    function = text(file, "VOILUTFunction")
    for center, width in zip(_numbers(file, "WindowCenter"), _numbers(file, "WindowWidth"), strict=False):
        if center is None or width is None:
            continue
        if function == "SIGMOID" and width > 0:
            windowed = 1 / (1 + np.exp(np.clip(-4 * (levels - center) / width, -700, 700)))
        elif function == "LINEAR_EXACT" and width > 0:
            windowed = np.clip((levels - center) / width + 0.5, 0, 1)
        elif width >= 1:
            windowed = np.clip((levels - (center - 0.5)) / max(width - 1, 1e-6) + 0.5, 0, 1)
        else:
            continue
        if np.ptp(windowed[is_shown]) > 0:
            return windowed
    return None


def _looked_up(file, table, levels: np.ndarray) -> np.ndarray:
    """Return levels after a lookup table (DICOM part 3, C.11.2.1.1), (H, W) float64.

    Computed here, because pydicom's index overflows where a table of 8 bits is for pixels of more.
    """
    with pydicom_errors():
        count, first, _ = table.LUTDescriptor
        count, data = count or 2**16, table.LUTData
        if isinstance(data, bytes):
            order = "<" if file.file_meta.TransferSyntaxUID.is_little_endian else ">"
            data = np.frombuffer(data, f"{order}u2" if len(data) >= 2 * count else "u1")
        if file.PixelRepresentation and first >= 2**15:
            first -= 2**16
        entries = np.asarray(data, np.float64)[:count]
        return entries[np.clip(np.rint(levels).astype(np.int64) - first, 0, len(entries) - 1)]


def _numbers(file, name: str) -> list[float | None]:
    """Return the values of an attribute of numbers, None for a value that is something else."""
    try:
        values = attribute(file, name)
    except UnreadableDicom:
        return []
    values = values if isinstance(values, Sequence) else [values]
    return [float(value) if isinstance(value, (int, float)) else None for value in values]


def _palette_colors(file, stored: np.ndarray) -> np.ndarray:
    """Return the (H, W, 3) uint8 colors that a palette gives to stored values."""
    from pydicom.pixels import apply_color_lut

    with pydicom_errors():
        channels = apply_color_lut(stored, file)
        is_little_endian = file.file_meta.TransferSyntaxUID.is_little_endian
    if channels.itemsize == 1:
        return channels
    if not is_little_endian and "RedPaletteColorLookupTableData" in file:  # pydicom swaps only a segmented palette
        channels = channels.byteswap()
    # A palette states what is shown, not what was measured: its 65535 is white. Some have 8 bits in entries of 16.
    return (channels / (257 if channels.max() > 255 else 1)).round().astype(np.uint8)


def _picture_of_colors(file) -> tuple[np.ndarray, bool]:
    """Return the (H, W) uint8 picture of a color file, and whether it shows colors."""
    with pydicom_errors():
        channels, bits = file.pixel_array, int(file.BitsStored)
    if text(file, "PhotometricInterpretation") == "PALETTE COLOR":
        channels, bits = _palette_colors(file, channels), 8
    check_shape(file, channels)
    gray = luma(channels)
    is_color = shows_color(channels[..., :3] * (255.0 / (2**bits - 1)))
    return (np.rint(gray).astype(np.uint8) if bits == 8 else np.asarray(stretch_to_8_bits(gray))), is_color
