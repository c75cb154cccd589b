"""Overlays: a heat map as an image that lies exactly over the radiograph that it explains."""

import io

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageOps

from chest_transfer.data.regions import WHOLE, Window

COLORMAP = mpl.colormaps["inferno"]
MAX_DISPLAY_SIDE = 768  # pixels, the longest side of a radiograph on the page


def encode_png(pixels: np.ndarray) -> bytes:
    """Encode (H, W) grayscale or (H, W, 4) RGBA uint8 pixels as PNG."""
    content = io.BytesIO()
    # Level 1 takes a fifth of the default level's time, for a sixth more bytes.
    Image.fromarray(pixels).save(content, "PNG", compress_level=1)
    return content.getvalue()


def heat_map_overlay(heat_map: np.ndarray, width: int, height: int, fit: str, window: Window = WHOLE) -> np.ndarray:
    """Map a heat map of the model's square input back to the shape of the radiograph.

    Args:
        heat_map: (size, size) float32 array, values from 0 to 1.
        width: Integer, width of the radiograph in pixels.
        height: Integer, height of the radiograph in pixels.
        fit: String, how the radiograph was made square: `"squeeze"`, `"pad"` or `"crop"`.
        window: Window, the part of the radiograph that was made square.

    Returns:
        (height, width, 4) uint8 array, RGBA. The higher the value, the more opaque; transparent where the model did
        not see the radiograph.
    """
    left, top, right, bottom = window.pixels(width, height)
    part = _in_shape(Image.fromarray(heat_map), right - left, bottom - top, fit)
    values = np.zeros((height, width), np.float32)
    values[top:bottom, left:right] = np.clip(np.asarray(part), 0, 1)
    rgba = COLORMAP(values)
    rgba[..., 3] = values
    return np.rint(255 * rgba).astype(np.uint8)


def _in_shape(image: Image.Image, width: int, height: int, fit: str) -> Image.Image:
    if fit == "pad":
        side = max(width, height)
        square = image.resize((side, side), Image.Resampling.BILINEAR)
        return ImageOps.fit(square, (width, height))
    if fit == "crop":
        side = min(width, height)
        square = image.resize((side, side), Image.Resampling.BILINEAR)
        return ImageOps.pad(square, (width, height), color=0)
    return image.resize((width, height), Image.Resampling.BILINEAR)
