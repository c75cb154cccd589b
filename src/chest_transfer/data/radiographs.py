"""Decoding: the bytes of an image file become one grayscale channel of 8 bits, upright.

Pillow decodes, not OpenCV, which returns half a truncated JPEG without an error. Pillow raises, knows CMYK, palettes
and EXIF orientation, limits decompression bombs, and decodes a large JPEG at the smallest scale that is large enough.
PNGs of 8 bits go to kornia-rs first, which needs less than half of Pillow's time for the same pixels.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from kornia_rs.io import decode_image_png_u8
from PIL import Image, ImageOps

from chest_transfer.data.dicom import NEGATIVE, is_dicom, read_dicom
from chest_transfer.data.dicom_attributes import UnreadableDicom
from chest_transfer.data.file_kinds import described
from chest_transfer.data.gray_levels import luma, shows_color, stretch_to_8_bits
from chest_transfer.data.regions import WHOLE, Window
from chest_transfer.data.sixteen_bits import sixteen_bit_channels
from chest_transfer.data.squares import RESAMPLING, make_square

# Of Pillow's formats those that radiographs come in: some of the others start programs, the rest are hardly ever used.
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "JPEG2000", "PPM")
_FAST_PNG_MODES = {"L": "mono", "RGB": "rgb", "RGBA": "rgba"}  # Pillow's modes, as kornia-rs calls them
_ORIENTATION_CHUNKS = (b"eXIf", b"Raw profile type")  # of a PNG that may state an orientation
_MAY_HOLD_SEVERAL = ("TIFF", "GIF", "WEBP", "PNG")
_SIXTEEN_BIT_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")


class UnreadableImage(ValueError):
    """The bytes are not a complete image; the message starts with the kind: truncated, broken, bomb or dicom."""


@dataclass(frozen=True)
class FileFacts:
    """Properties of a radiograph's file, before it is decoded; they alone can tell classes apart.

    Args:
        width: int, pixels.
        height: int, pixels.
        mode: str, Pillow's color mode, or `DICOM`, or `DICOM negative`.
        bytes: int, size of the file.
    """

    width: int
    height: int
    mode: str
    bytes: int


@dataclass(frozen=True)
class DecodedImage:
    """A radiograph's file, decoded.

    Args:
        gray: Pillow image of mode L, upright, in the radiograph's own shape.
        facts: FileFacts.
        warnings: what a DICOM file states that is unusual for a frontal chest radiograph.
    """

    gray: Image.Image
    facts: FileFacts
    warnings: tuple[str, ...] = ()

    def square(self, size: int, fit: str = "squeeze", window: Window = WHOLE) -> np.ndarray:
        """Return a window of it as (size, size) uint8, 0-255; `fit` is a key of `squares.SQUARE_FITS`."""
        shown = np.asarray(make_square(self.gray, size, fit, window), dtype=np.uint8)
        if window.mask is None:
            return shown
        mask = Image.fromarray(window.mask).resize(self.gray.size, Image.Resampling.BILINEAR)
        return np.where(np.asarray(make_square(mask, size, fit, window)) > 127, shown, np.uint8(0))

    def thumbnail(self, longest_side: int) -> np.ndarray:
        """Return (H, W) uint8, 0-255, in its own shape, with a longer side of at most `longest_side` pixels."""
        small = self.gray.copy()
        small.thumbnail((longest_side, longest_side), RESAMPLING)
        return np.asarray(small, dtype=np.uint8)


def decode_image(content: bytes, size: int) -> DecodedImage:
    """Decode one radiograph.

    Images of 16 bits are stretched from their own darkest to their own brightest pixel, because scanners use 10 to 16
    of the bits; 8-bit gray levels stay as they are. Transparency is ignored: the archives' RGBA files are opaque.

    Args:
        content: bytes of a DICOM file, or of a file in one of `FORMATS`.
        size: int, pixels a side that are needed; a JPEG is decoded at 1/2, 1/4 or 1/8 scale where twice that remains.

    Raises:
        UnreadableImage: the image is truncated, broken, or unpacks to more pixels than a radiograph has.
    """
    if is_dicom(content):
        return _from_dicom(content)
    with _decoder_errors(content), Image.open(io.BytesIO(content), formats=FORMATS) as image:
        _check_single_image(image)
        facts = FileFacts(*image.size, image.mode, len(content))
        upright = _decode_png(content, image)
        if upright is None:
            image.draft("L", (2 * size, 2 * size))
            upright = ImageOps.exif_transpose(image)
            upright.load()
        channels, is_negative = sixteen_bit_channels(content, image), _is_negative_tiff(image)
    if channels is not None:
        return DecodedImage(_upright(stretch_to_8_bits(_gray_of(channels)), image), facts)
    gray = _grayscale(upright)
    return DecodedImage(ImageOps.invert(gray) if is_negative else gray, facts)


def decode_square(content: bytes, size: int, fit: str = "squeeze", window: Window = WHOLE) -> np.ndarray:
    """Decode a window of one radiograph to (size, size) uint8, 0-255; raises as `decode_image`."""
    return decode_image(content, window.whole_side(size)).square(size, fit, window)


def is_color(content: bytes) -> bool:
    """Return whether an image file (not DICOM) shows colors; a gray image in three channels does not.

    Raises:
        UnreadableImage: as `decode_image`.
    """
    with _decoder_errors(content), Image.open(io.BytesIO(content), formats=FORMATS) as image:
        if image.mode in ("L", "LA", "1", *_SIXTEEN_BIT_MODES):
            return False
        channels = sixteen_bit_channels(content, image)
        image.thumbnail((64, 64))
        small = image.convert("RGB")  # while the file is open: an image this small already is only decoded now
    if channels is not None:
        colors = channels[..., :3] if channels.shape[-1] > 2 else channels[..., :1]
        return shows_color(colors * (255.0 / max(colors.max(), 1)))
    return shows_color(np.asarray(small))


@contextmanager
def _decoder_errors(content: bytes) -> Iterator[None]:
    """Turn whatever a decoder raises into `UnreadableImage`: put nothing but a decoder's calls inside."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd tags
            # Above 89 million pixels Pillow warns of a decompression bomb, above twice that it raises: here both raise.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableImage(f"bomb: {error}") from None
    except Exception as error:  # decoders fail on broken files with any exception
        message = " ".join(str(error).split()) or type(error).__name__
        kind = "bomb" if "too large" in message else "truncated" if "truncated" in message.lower() else "broken"
        if "cannot identify" in message:  # Pillow's text has a memory address
            message = described(content) or f"not an image in one of the formats {', '.join(FORMATS)}, DICOM"
        raise UnreadableImage(f"{kind}: {message}") from None


def _decode_png(content: bytes, image: Image.Image) -> Image.Image | None:
    """Decode a PNG of 8 bits with kornia-rs; None for other files, and for those that it refuses.

    It is the stricter decoder: whether such a file is broken, and why, is then for Pillow to say.
    """
    if image.format != "PNG" or image.mode not in _FAST_PNG_MODES or any(c in content for c in _ORIENTATION_CHUNKS):
        return None
    try:
        pixels = decode_image_png_u8(content, image.size[::-1], _FAST_PNG_MODES[image.mode])
    except Exception:  # it raises no narrower class
        return None
    return Image.fromarray(pixels[..., 0] if image.mode == "L" else pixels)


def _from_dicom(content: bytes) -> DecodedImage:
    try:
        gray, unusual = read_dicom(content)
    except UnreadableDicom as error:
        raise UnreadableImage(f"dicom: {error}") from None
    mode = "DICOM negative" if NEGATIVE in unusual else "DICOM"
    facts = FileFacts(gray.shape[1], gray.shape[0], mode, len(content))
    return DecodedImage(Image.fromarray(gray), facts, unusual)


def _check_single_image(image: Image.Image) -> None:
    """Refuse a file of several images; a TIFF's smaller copies of its first page are no images of their own.

    Raises:
        ValueError: it is refused.
    """
    try:
        frames = getattr(image, "n_frames", 1) if image.format in _MAY_HOLD_SEVERAL else 1
    except Exception:  # what is behind the first image of a TIFF is broken
        image.seek(0)
        return
    if image.format == "TIFF":
        frames -= sum(_is_no_radiograph(image, page) for page in range(1, frames))
        image.seek(0)
    if frames > 1:
        raise ValueError(f"it holds {frames} images, not one radiograph; save one of them as PNG")


def _is_no_radiograph(image: Image.Image, page: int) -> bool:
    """Return whether a page of a TIFF is a smaller copy or a mask, by its (new) subfile type."""
    image.seek(page)
    return bool(image.tag_v2.get(254, 0) & 5) or image.tag_v2.get(255) == 2


def _is_negative_tiff(image: Image.Image) -> bool:
    """Return whether white is zero in a TIFF of more than 8 bits, which Pillow leaves as it is.

    Raises:
        ValueError: a TIFF of signed bytes, which Pillow returns as unsigned ones.
    """
    if image.format != "TIFF":
        return False
    if image.mode == "L" and image.tag_v2.get(339) == (2,):  # SampleFormat
        raise ValueError("a TIFF of signed bytes; save it as PNG")
    return image.mode in _SIXTEEN_BIT_MODES and image.tag_v2.get(262) == 0  # PhotometricInterpretation


def _gray_of(channels: np.ndarray) -> np.ndarray:
    return luma(channels) if channels.shape[-1] > 2 else channels[..., 0].astype(np.float32)


def _upright(gray: Image.Image, image: Image.Image) -> Image.Image:
    """Return a picture turned as the file states that it was decoded from."""
    gray.info["exif"] = image.getexif().tobytes()
    return ImageOps.exif_transpose(gray)


def _grayscale(image: Image.Image) -> Image.Image:
    if image.mode in _SIXTEEN_BIT_MODES:
        return stretch_to_8_bits(np.asarray(image, dtype=np.float32))
    with _decoder_errors(b""):  # Pillow converts some modes, such as LAB, not to gray
        return image.convert("L")
