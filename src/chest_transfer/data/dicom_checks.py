"""Which DICOM files are refused before their pixels are decoded: several images, unknown colors, bombs."""

import struct
import zlib

import numpy as np

from chest_transfer.data.archives import LARGEST_MEMBER
from chest_transfer.data.dicom_attributes import UnreadableDicom, attribute, pydicom_errors, text

GRAY = ("MONOCHROME1", "MONOCHROME2")
COLORS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")
CHANNELS = {**dict.fromkeys(COLORS, 3), **dict.fromkeys(GRAY, 1), "PALETTE COLOR": 1}
MOST_PIXELS = 89_000_000
MORE_THAN_STATED = "its pixel data do not match the rows and columns that it states"
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_JPEG_2000 = b"\xff\x4f\xff\x51"  # how its codestream begins, with the marker of the image's size
# Start-of-frame markers of JPEG, which the image's size follows; 0xF7 is JPEG-LS's.
_FRAME_MARKERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}


def check_not_deflated_bomb(content: bytes) -> None:
    """Refuse a deflated data set that unpacks to more than `LARGEST_MEMBER` bytes: pydicom unpacks it as a whole.

    Args:
        content: bytes of a DICOM file.

    Raises:
        UnreadableDicom: it is refused, with the reason.
    """
    end = _end_of_header(content)
    if _DEFLATED not in content[132:end]:
        return
    unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        unpacking.decompress(content[end:], LARGEST_MEMBER)
    except zlib.error:
        raise UnreadableDicom("its deflated data are damaged") from None
    if unpacking.unconsumed_tail:
        raise UnreadableDicom(f"it unpacks to more than {LARGEST_MEMBER:,} bytes")


def _end_of_header(content: bytes) -> int:
    """Return where the header of a file ends: behind its last element of group 2, whatever length it states."""
    position = 132
    while content[position : position + 2] == b"\x02\x00":
        is_long = content[position + 4 : position + 6] in (b"OB", b"UN", b"UT", b"OW", b"SQ")
        start, size = (position + 8, 4) if is_long else (position + 6, 2)
        position = start + size + int.from_bytes(content[start : start + size], "little")
    return position


def set_defaults(file) -> None:
    """Set required attributes that some programs leave out of a file to their usual values.

    Raises:
        UnreadableDicom: an attribute is damaged.
    """
    with pydicom_errors():
        channels = CHANNELS.get(text(file, "PhotometricInterpretation"), 1)
        defaults = {
            "SamplesPerPixel": channels, "PixelRepresentation": 0, "BitsStored": file.get("BitsAllocated"),
            **({"PlanarConfiguration": 0} if channels > 1 else {}),
        }  # fmt: skip
        for name, value in defaults.items():
            if file.get(name) is None and value is not None:
                setattr(file, name, value)


def check_single_image(file) -> None:
    """Refuse a parsed file that is not one image of known colors, or whose pixels unpack to more than it states.

    Raises:
        UnreadableDicom: it is refused, with the reason.
    """
    if "PixelData" not in file:
        raise UnreadableDicom("it holds no image")
    with pydicom_errors():
        frames = int(file.get("NumberOfFrames") or 1)
        pixels = int(file.Rows) * int(file.Columns)
        samples = int(file.get("SamplesPerPixel") or 1)
    if frames > 1:
        raise UnreadableDicom(f"it holds {frames} frames, not one radiograph")
    interpretation = text(file, "PhotometricInterpretation")
    if interpretation not in CHANNELS:
        raise UnreadableDicom(f"its photometric interpretation is none of {', '.join(CHANNELS)}")
    if samples != CHANNELS[interpretation]:
        raise UnreadableDicom(f"it states {samples} samples per pixel; {interpretation} has {CHANNELS[interpretation]}")
    if pixels > MOST_PIXELS:
        raise UnreadableDicom(f"it holds more than {MOST_PIXELS:,} pixels")
    if _compressed_pixels(file) > pixels:
        raise UnreadableDicom(MORE_THAN_STATED)


def check_shape(file, pixels: np.ndarray) -> None:
    """Refuse decoded pixels, (H, W) or (H, W, 3), that are not of the size that a file states.

    Raises:
        UnreadableDicom: it is refused, with the reason.
    """
    expected = attribute(file, "Rows"), attribute(file, "Columns")
    if pixels.shape[:2] != expected or pixels.ndim > (2 if text(file, "PhotometricInterpretation") in GRAY else 3):
        raise UnreadableDicom(MORE_THAN_STATED)


def _compressed_pixels(file) -> int:
    """Return how many pixels a JPEG, JPEG-LS or JPEG 2000 stream states to hold, 0 for other files."""
    from pydicom.encaps import generate_frames

    with pydicom_errors():
        if not file.file_meta.TransferSyntaxUID.is_encapsulated:
            return 0
        stream = next(generate_frames(file.PixelData, number_of_frames=1))
    start = stream.find(_JPEG_2000, 0, 512)
    if start >= 0:
        right, bottom, left, top = struct.unpack(">4I", stream[start + 8 : start + 24].ljust(16, b"\0"))
        return max(right - left, 0) * max(bottom - top, 0)
    position = 2
    while stream[position : position + 1] == b"\xff" and len(stream) > position + 9:
        if stream[position + 1] in _FRAME_MARKERS:
            height, width = struct.unpack(">HH", stream[position + 5 : position + 9])
            return height * width
        position += 2 + int.from_bytes(stream[position + 2 : position + 4], "big")
    return 0
