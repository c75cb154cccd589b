"""Overlays: a radiograph and its heat map as two pictures that lie exactly over each other."""

import io

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageOps

HEAT = mpl.colormaps["inferno"]
LONGEST = 768  # pixels of a side that are shown


def png(pixels: np.ndarray) -> bytes:
    """(H, W) grey or (H, W, 4) colours and opacity, uint8, as the bytes of a PNG."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG", compress_level=1)  # a fifth of the time, a sixth more bytes
    return content.getvalue()


def laid_out(heat: np.ndarray, width: int, height: int, fit: str) -> np.ndarray:
    """A heat map of the square that a model sees, in the shape of the radiograph that was made square.

    Args:
        heat: (size, size) float32, 0-1.
        width, height: of the radiograph.
        fit: how it was made square: `squeeze`, `pad` or `crop`.

    Returns:
        (height, width, 4) uint8: the warmer, the less see-through; clear where the model saw nothing.
    """
    image = Image.fromarray(heat)
    if fit == "pad":
        image = ImageOps.fit(image.resize((max(width, height),) * 2, Image.Resampling.BILINEAR), (width, height))
    elif fit == "crop":
        side = min(width, height)
        image = ImageOps.pad(image.resize((side, side), Image.Resampling.BILINEAR), (width, height), color=0)
    else:
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    levels = np.clip(np.asarray(image), 0, 1)
    colours = HEAT(levels)
    colours[..., 3] = levels
    return np.rint(255 * colours).astype(np.uint8)
