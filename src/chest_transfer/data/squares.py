"""How a radiograph of any shape becomes the square that a network takes."""

from PIL import Image, ImageOps

from chest_transfer.data.regions import WHOLE, Window

RESAMPLING = Image.Resampling.BICUBIC  # Pillow widens the kernel when it shrinks: no aliasing of ribs or vessels


def _squeeze(image: Image.Image, size: int) -> Image.Image:
    # Where it shrinks fourfold or more, whole pixels are averaged first: half the time, 0.2 gray levels off.
    return image.resize((size, size), RESAMPLING, reducing_gap=2.0)


def _pad(image: Image.Image, size: int) -> Image.Image:
    return ImageOps.pad(image, (size, size), RESAMPLING, color=0)


def _crop(image: Image.Image, size: int) -> Image.Image:
    return ImageOps.fit(image, (size, size), RESAMPLING)


# squeeze keeps the whole image and distorts it; pad keeps it with black bars; crop keeps the center.
SQUARE_FITS = {"squeeze": _squeeze, "pad": _pad, "crop": _crop}


def make_square(image: Image.Image, size: int, fit: str, window: Window = WHOLE) -> Image.Image:
    """Return the image, or a part of it, as a square.

    Args:
        image: Pillow image of any mode and shape.
        size: int, pixels a side.
        fit: str, a key of `SQUARE_FITS`.
        window: Window, the part.
    """
    part = image if window == WHOLE else image.crop(window.pixels(*image.size))
    return SQUARE_FITS[fit](part, size)


def box_in_square(
    box: tuple[float, float, float, float], width: int, height: int, fit: str, window: Window = WHOLE
) -> tuple[float, float, float, float]:
    """Return a box of an image as fractions of the square that `make_square` makes of it.

    Args:
        box: (left, top, right, bottom) in pixels of the image.
        width: int, of the image in pixels.
        height: int, of the image in pixels.
        fit: str, a key of `SQUARE_FITS`.
        window: Window, the part of the image that the square shows.

    Returns:
        (left, top, right, bottom), each clipped to 0-1.
    """
    first_column, first_row, last_column, last_row = window.pixels(width, height)
    box = box[0] - first_column, box[1] - first_row, box[2] - first_column, box[3] - first_row
    width, height = last_column - first_column, last_row - first_row
    box = tuple(min(max(edge, 0), side) for edge, side in zip(box, (width, height) * 2, strict=True))
    square_width, square_height = {
        "squeeze": (width, height),
        "pad": (max(width, height), max(width, height)),
        "crop": (min(width, height), min(width, height)),
    }[fit]
    left, right = (_fraction(edge, width, square_width) for edge in (box[0], box[2]))
    top, bottom = (_fraction(edge, height, square_height) for edge in (box[1], box[3]))
    return left, top, right, bottom


def _fraction(edge: float, length: int, square_side: int) -> float:
    margin = (square_side - length) / 2  # negative where the image is cropped
    return min(max((edge + margin) / square_side, 0.0), 1.0)
