"""Decoding: the bytes of an image file become one grey channel of 8 bits, upright and square.

Pillow, not OpenCV: OpenCV hands back half a truncated JPEG without an error. Pillow refuses it, knows CMYK, palettes
and EXIF rotation, bounds decompression bombs, and decodes a large JPEG at the smallest scale that is still enough.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from kornia_rs.io import decode_image_png_u8
from PIL import Image, ImageOps

from chest_transfer.data.dicom import NEGATIVE, RefusedDicom, is_dicom, read_dicom

# Above 89 million pixels Pillow warns of a decompression bomb, above twice that it refuses: here both refuse.
warnings.simplefilter("error", Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module="PIL")  # what it says of odd tags helps nobody

_RESAMPLING = Image.Resampling.BICUBIC  # Pillow widens the kernel when it shrinks: no aliasing of ribs or vessels
COLOUR = 12  # grey levels between the channels, on average: above what JPEG does to a grey picture
# Of Pillow's decoders those for what radiographs come in; some others start programs, or are hardly ever used.
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "JPEG2000", "PPM")
_FAST = {"L": "mono", "RGB": "rgb", "RGBA": "rgba"}  # Pillow's modes of PNGs, as the fast decoder calls them
_TURNED = (b"eXIf", b"Raw profile type")  # of a PNG that may state an orientation
_SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")


class UnreadableImage(ValueError):
    """The bytes are no whole image; the first word of the message is the kind: truncated, broken, bomb or dicom."""


@dataclass(frozen=True)
class FileFacts:
    """What a radiograph's file looks like before it is decoded; such facts alone can tell classes apart."""

    width: int
    height: int
    mode: str
    bytes: int


@dataclass(frozen=True)
class GreyImage:
    """A radiograph's file, decoded.

    Args:
        grey: one channel of 8 bits, upright, in the radiograph's own shape.
        facts: of the file.
        unusual: what a DICOM file says that is unusual for a frontal chest radiograph.
    """

    grey: Image.Image
    facts: FileFacts
    unusual: tuple[str, ...] = ()

    def square(self, size: int, fit: str = "squeeze") -> np.ndarray:
        """(size, size) uint8, 0-255: by `squeeze` the whole image, distorted; by `pad` the whole image with black
        bars; by `crop` its centre.
        """
        if fit == "pad":
            squared = ImageOps.pad(self.grey, (size, size), _RESAMPLING, color=0)
        elif fit == "crop":
            squared = ImageOps.fit(self.grey, (size, size), _RESAMPLING)
        else:
            # Where it shrinks fourfold or more, whole pixels are averaged first: half the time, 0.2 grey levels off.
            squared = self.grey.resize((size, size), _RESAMPLING, reducing_gap=2.0)
        return np.asarray(squared, dtype=np.uint8)

    def at_most(self, longest: int) -> np.ndarray:
        """(H, W) uint8, 0-255, in its own shape, the longer side of at most `longest` pixels."""
        small = self.grey.copy()
        small.thumbnail((longest, longest), _RESAMPLING)
        return np.asarray(small, dtype=np.uint8)


def read_grey(content: bytes, size: int) -> GreyImage:
    """One radiograph, decoded once for all that is asked of it.

    Images of 16 bits are stretched from their own darkest to their own brightest pixel, since scanners use 10 to 16 of
    them; 8-bit grey levels stay as they are. Transparency is ignored: the archives' RGBA files are opaque.

    Args:
        content: the bytes of a DICOM file, or of one of `FORMATS`.
        size: pixels a side that must be left; a larger JPEG is decoded at a smaller scale.

    Raises:
        UnreadableImage: the image is truncated, broken, or unpacks to more pixels than a radiograph has.
    """
    if is_dicom(content):
        return _from_dicom(content)
    with _open(content) as image:
        facts = FileFacts(*image.size, image.mode, len(content))
        # A JPEG decoded at 1/2, 1/4 or 1/8 scale, still at least twice the size that is wanted.
        image.draft("L", (2 * size, 2 * size))
        return GreyImage(_grey(_fast_png(content, image) or ImageOps.exif_transpose(image)), facts)


def decode(content: bytes, size: int, fit: str = "squeeze") -> np.ndarray:
    """One radiograph as a square grey image, (size, size) uint8, 0-255; `read_grey`, then `square`."""
    return read_grey(content, size).square(size, fit)


def coloured(content: bytes) -> bool:
    """Whether the bytes of an image, no DICOM file, show colours; a grey one in three channels does not.

    Raises:
        UnreadableImage: as of `read_grey`.
    """
    with _open(content) as image:
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


@contextmanager
def _open(content: bytes) -> Iterator[Image.Image]:
    """The image in a file; what fails in opening it, or in decoding it within the block, is its own fault."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableImage(f"bomb: {error}") from None
    except Exception as error:  # decoders meet broken files with any exception
        said = " ".join(str(error).split()) or type(error).__name__
        kind = "bomb" if "too large" in said else "truncated" if "truncated" in said.lower() else "broken"
        reason = "no image" if "cannot identify" in said else said  # that one names a memory address
        raise UnreadableImage(f"{kind}: {reason}") from None


def _from_dicom(content: bytes) -> GreyImage:
    try:
        levels, plain, unusual = read_dicom(content)
    except RefusedDicom as error:
        raise UnreadableImage(f"dicom: {error}") from None
    mode = "DICOM negative" if NEGATIVE in unusual else "DICOM"
    facts = FileFacts(levels.shape[1], levels.shape[0], mode, len(content))
    return GreyImage(Image.fromarray(levels.astype(np.uint8)) if plain else _stretched(levels), facts, unusual)


def _fast_png(content: bytes, image: Image.Image) -> Image.Image | None:
    """A PNG of 8 bits, decoded in less than half of Pillow's time to the same pixels.

    None for all others, and for what this decoder refuses: it is the stricter, and Pillow says what is wrong.
    """
    if image.format != "PNG" or image.mode not in _FAST or any(mark in content for mark in _TURNED):
        return None
    try:
        pixels = decode_image_png_u8(content, image.size[::-1], _FAST[image.mode])
    except Exception:  # of no other kind
        return None
    return Image.fromarray(pixels[..., 0] if image.mode == "L" else pixels)


def _grey(image: Image.Image) -> Image.Image:
    if image.mode not in _SIXTEEN_BIT:
        return image.convert("L")
    return _stretched(np.asarray(image, dtype=np.float32))


def _stretched(levels: np.ndarray) -> Image.Image:
    darkest, brightest = float(levels.min()), float(levels.max())
    if brightest > darkest:
        levels = (levels - darkest) * (255.0 / (brightest - darkest))
    return Image.fromarray(np.clip(np.rint(levels), 0, 255).astype(np.uint8))
