"""Images of several channels with 16 bits each, of which Pillow returns the high bytes alone.

Scanners fill 10 to 16 of the bits, so that the high bytes of a radiograph of 12 bits are almost black.
"""

import io
import re
import struct
import zlib

import numpy as np
from kornia_rs.io import decode_image_png_u16
from PIL import Image

_CHANNELS = {"LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}  # of Pillow's modes
_HEADER = slice(16, 29)  # of a PNG: the content of IHDR, after which its checksum comes
_GRAY_ALPHA, _RGBA = 4, 6  # color types of a PNG


def sixteen_bit_channels(content: bytes, image: Image.Image) -> np.ndarray | None:
    """Return the channels (H, W, C) uint16 of a PNG; None for a file that Pillow reads in full.

    Args:
        content: bytes of the file.
        image: Pillow image of the same file.

    Raises:
        ValueError: another format with several channels of more than 8 bits.
    """
    if image.mode not in _CHANNELS or (depth := _depth(content, image)) <= 8:
        return None
    if image.format != "PNG":
        raise ValueError(
            f"a {image.format} of {_CHANNELS[image.mode]} channels with {depth} bits each; save it as PNG, or in gray"
        )
    if content[25] == _GRAY_ALPHA:
        return _gray_and_alpha(content)
    return decode_image_png_u16(content, image.size[::-1], image.mode.lower())


def _depth(content: bytes, image: Image.Image) -> int:
    """Return the bits of a channel."""
    if image.format == "PNG":
        return content[24]
    if image.format == "TIFF":
        return max(image.tag_v2.get(258, (8,)))  # BitsPerSample
    if image.format == "JPEG2000":
        size = content.find(b"\xff\x51")  # the marker of the image's size, before the first channel's depth
        return (content[size + 40] & 0x7F) + 1
    if image.format == "PPM":
        largest = re.sub(rb"#[^\n]*\n", b"", content[:512]).split(maxsplit=4)[3]  # without comments
        return 16 if largest.isdigit() and int(largest) > 255 else 8
    return 8


def _gray_and_alpha(content: bytes) -> np.ndarray:
    """Decode a PNG of gray and alpha with 16 bits each, which no library here does.

    Its rows have the same bytes as those of red, green, blue and alpha with 8 bits each, filters included: with another
    header Pillow returns the two bytes of each channel.
    """
    width, height, _, _, *rest = struct.unpack(">IIBBBBB", content[_HEADER])
    header = struct.pack(">IIBBBBB", width, height, 8, _RGBA, *rest)
    checksum = struct.pack(">I", zlib.crc32(b"IHDR" + header))
    with Image.open(io.BytesIO(content[: _HEADER.start] + header + checksum + content[33:]), formats=["PNG"]) as image:
        byte = np.asarray(image, np.uint16)
    return byte[..., ::2] << 8 | byte[..., 1::2]
