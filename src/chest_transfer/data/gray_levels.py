"""Gray levels: of colors, and of any depth as 8 bits."""

import numpy as np
from PIL import Image

COLOR = "a color picture"  # a caution
COLOR_RANGE = 12  # mean difference between channels, in gray levels: above what JPEG does to a gray image
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue: ITU-R BT.601, as Pillow has it


def luma(channels: np.ndarray) -> np.ndarray:
    """Return the gray levels (H, W) float32 of red, green and blue, the first three of (H, W, C) channels."""
    return channels[..., :3].astype(np.float32) @ LUMA


def shows_color(channels: np.ndarray) -> bool:
    """Return whether (H, W, 3) channels of 0-255 differ by more than those of a gray image."""
    return bool(np.ptp(channels.astype(np.int16), axis=-1).mean() > COLOR_RANGE)


def stretch_to_8_bits(levels: np.ndarray, shown: np.ndarray | None = None) -> Image.Image:
    """Return levels of any range as 0-255, from the darkest to the brightest.

    Args:
        levels: (H, W) float32 array.
        shown: (H, W) bool array of the pixels that count; the others become black, as do those that are no number. None
            for all.
    """
    is_number = np.isfinite(levels)
    if not is_number.all():
        shown = is_number if shown is None else shown & is_number
        levels = np.where(is_number, levels, 0)
    counted = levels if shown is None else levels[shown]
    if not counted.size:
        return Image.fromarray(np.zeros(levels.shape, np.uint8))
    darkest, brightest = float(counted.min()), float(counted.max())
    if brightest > darkest:
        levels = (levels - darkest) * (255.0 / (brightest - darkest))
    gray = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return Image.fromarray(gray if shown is None else np.where(shown, gray, np.uint8(0)))
