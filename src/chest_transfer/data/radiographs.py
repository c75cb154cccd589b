"""Decoding: the bytes of an image file become one grey channel of 8 bits, upright and square.

Pillow, not OpenCV: OpenCV hands back half a truncated JPEG without an error. Pillow refuses it, knows CMYK, palettes
and EXIF rotation, bounds decompression bombs, and decodes a large JPEG at the smallest scale that is still enough.
"""

import io
import warnings
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from chest_transfer.data.dicom import NEGATIVE, RefusedDicom, is_dicom, read_dicom

# Above 89 million pixels Pillow warns of a decompression bomb, above twice that it refuses: here both refuse.
warnings.simplefilter("error", Image.DecompressionBombWarning)

_RESAMPLING = Image.Resampling.BICUBIC  # Pillow widens the kernel when it shrinks: no aliasing of ribs or vessels
COLOUR = 12  # grey levels between the channels, on average: above what JPEG does to a grey picture
_SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")


class UnreadableImage(ValueError):
    """The bytes are no whole image; the first word of the message is the kind: truncated, broken, bomb or dicom."""


def decode(content: bytes, size: int, fit: str = "squeeze") -> np.ndarray:
    """One radiograph as a square grey image.

    Images of 16 bits are stretched from their own darkest to their own brightest pixel, since scanners use 10 to 16 of
    them; 8-bit grey levels stay as they are. Transparency is ignored: the archives' RGBA files are opaque.

    Args:
        content: the bytes of a PNG, JPEG, DICOM or any other file that Pillow reads.
        size: pixels a side of the result.
        fit: `squeeze` (the whole image, distorted), `pad` (the whole image with black bars) or `crop` (its centre).

    Returns:
        (size, size) uint8, 0-255.

    Raises:
        UnreadableImage: the image is truncated, broken, or unpacks to more pixels than a radiograph has.
    """
    return np.asarray(_square(_opened(content, size), size, fit), dtype=np.uint8)


def upright(content: bytes, longest: int) -> np.ndarray:
    """One radiograph in its own shape, its longer side of at most `longest` pixels: (H, W) uint8, 0-255.

    Raises:
        UnreadableImage: as of `decode`.
    """
    grey = _opened(content, longest)
    grey.thumbnail((longest, longest), _RESAMPLING)
    return np.asarray(grey, dtype=np.uint8)


def _opened(content: bytes, size: int) -> Image.Image:
    """Grey and upright, at least `size` pixels a side if the file has them."""
    if is_dicom(content):
        return _from_dicom(content)
    try:
        with Image.open(io.BytesIO(content)) as image:
            # A JPEG decoded at 1/2, 1/4 or 1/8 scale, still at least twice the size that is wanted.
            image.draft("L", (2 * size, 2 * size))
            return _grey(ImageOps.exif_transpose(image))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableImage(f"bomb: {error}") from None
    except ValueError as error:
        kind = "bomb" if "too large" in str(error) else "broken"
        raise UnreadableImage(f"{kind}: {error}") from None
    except (OSError, SyntaxError, EOFError, IndexError, TypeError, zlib.error, MemoryError) as error:
        kind = "truncated" if "truncated" in str(error).lower() else "broken"
        reason = "no image" if "cannot identify" in str(error) else str(error)  # that one names a memory address
        raise UnreadableImage(f"{kind}: {reason}") from None


@dataclass(frozen=True)
class FileFacts:
    """What a radiograph's file looks like before it is decoded; such facts alone can tell classes apart."""

    width: int
    height: int
    mode: str
    bytes: int


def file_facts(content: bytes) -> FileFacts:
    """Of the bytes of an image that `decode` accepts."""
    if is_dicom(content):
        levels, _, unusual = read_dicom(content)
        mode = "DICOM negative" if NEGATIVE in unusual else "DICOM"
        return FileFacts(levels.shape[1], levels.shape[0], mode, len(content))
    with Image.open(io.BytesIO(content)) as image:
        return FileFacts(*image.size, image.mode, len(content))


def coloured(content: bytes) -> bool:
    """Whether the bytes of an image that `decode` accepts show colours; a grey one in three channels does not."""
    with Image.open(io.BytesIO(content)) as image:
        if image.mode in ("L", "LA", "1", *_SIXTEEN_BIT):
            return False
        image.thumbnail((64, 64))
        channels = np.asarray(image.convert("RGB"), dtype=np.int16)
    return bool(np.ptp(channels, axis=-1).mean() > COLOUR)


def in_square(
    left: float, top: float, right: float, bottom: float, width: int, height: int, fit: str
) -> tuple[float, float, float, float]:
    """A box in an image's pixels as shares of the square that `decode` makes of it, each within 0-1."""
    sides = {"squeeze": (width, height), "pad": (max(width, height),) * 2, "crop": (min(width, height),) * 2}[fit]
    inside = []
    for edge, length, side in ((left, width, 0), (top, height, 1), (right, width, 0), (bottom, height, 1)):
        inside.append(min(max((edge + (sides[side] - length) / 2) / sides[side], 0.0), 1.0))
    return inside[0], inside[1], inside[2], inside[3]


def _from_dicom(content: bytes) -> Image.Image:
    try:
        levels, plain, _ = read_dicom(content)
    except RefusedDicom as error:
        raise UnreadableImage(f"dicom: {error}") from None
    return Image.fromarray(levels.astype(np.uint8)) if plain else _stretched(levels)


def _grey(image: Image.Image) -> Image.Image:
    if image.mode not in _SIXTEEN_BIT:
        return image.convert("L")
    return _stretched(np.asarray(image, dtype=np.float32))


def _stretched(levels: np.ndarray) -> Image.Image:
    darkest, brightest = float(levels.min()), float(levels.max())
    if brightest > darkest:
        levels = (levels - darkest) * (255.0 / (brightest - darkest))
    return Image.fromarray(np.clip(np.rint(levels), 0, 255).astype(np.uint8))


def _square(grey: Image.Image, size: int, fit: str) -> Image.Image:
    if fit == "pad":
        return ImageOps.pad(grey, (size, size), _RESAMPLING, color=0)
    if fit == "crop":
        return ImageOps.fit(grey, (size, size), _RESAMPLING)
    return grey.resize((size, size), _RESAMPLING)
