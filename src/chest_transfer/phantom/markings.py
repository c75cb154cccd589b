"""What is burned into the image after exposure: side markers, annotations, borders, blanked-out names.

None of it depends on the findings: that would be a shortcut for a classifier to learn.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# All numbers were chosen for appearance. Positions and sizes are fractions of the image's width and height; gray levels
# run from 0 to 255; pairs are (lowest, highest).

BORDER_PROBABILITY, BORDER_GRAY_LEVELS, BORDER_DEPTH_SD = 0.18, (2.0, 4.0, 245.0), 0.035

MIN_LETTER_HEIGHT = 8  # pixels
SIDE_MARKER_PROBABILITY, LEFT_MARKER_PROBABILITY = 0.75, 0.3
SIDE_MARKER_HEIGHT, SIDE_MARKER_GRAY_LEVELS = (0.035, 0.075), (190, 255)
# The patient's left is on the right of the image.
LEFT_MARKER_X, RIGHT_MARKER_X, SIDE_MARKER_Y = (0.86, 0.96), (0.02, 0.1), (0.02, 0.3)

ANNOTATION_PROBABILITY, ANNOTATIONS = 0.12, ("PORTABLE", "AP", "PA", "SUPINE", "ERECT", "A-P")
ANNOTATION_X, ANNOTATION_Y, ANNOTATION_HEIGHT, ANNOTATION_GRAY_LEVELS = (0.02, 0.7), (0.01, 0.06), 0.04, (180, 255)

# A rectangle over the patient's name, at the top or the bottom.
BLANK_PROBABILITY, BLANK_X, BLANK_Y, BLANK_WIDTH, BLANK_HEIGHT = 0.06, (0, 0.6), (0.0, 0.93), (0.1, 0.4), 0.07
BLANK_GRAY_LEVELS = (0, 255)


def burn_in_markings(gray_levels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sample markings and draw them over an image.

    Args:
        gray_levels: (H, W) float32, 0-255.
        rng: numpy Generator.

    Returns:
        (H, W) float32, 0-255.
    """
    image = Image.fromarray(gray_levels)
    if rng.random() < BORDER_PROBABILITY:
        _draw_border(image, rng)
    if rng.random() < SIDE_MARKER_PROBABILITY:
        _draw_side_marker(image, rng)
    if rng.random() < ANNOTATION_PROBABILITY:
        _draw_annotation(image, rng)
    if rng.random() < BLANK_PROBABILITY:
        _blank_name(image, rng)
    return np.asarray(image)


def _draw_border(image: Image.Image, rng: np.random.Generator) -> None:
    """Draw a dark or bright border whose four sides differ in depth."""
    width, height = image.size
    draw = ImageDraw.Draw(image)
    gray_level = rng.choice(BORDER_GRAY_LEVELS)
    fractions = np.abs(rng.normal(0, BORDER_DEPTH_SD, 4)).tolist()
    top, bottom, left, right = (round(fraction * min(height, width)) for fraction in fractions)
    sides = (
        (top, (0, 0, width, top - 1)),
        (bottom, (0, height - bottom, width, height)),
        (left, (0, 0, left - 1, height)),
        (right, (width - right, 0, width, height)),
    )
    for depth, corners in sides:
        if depth:
            draw.rectangle(corners, fill=gray_level)


def _draw_side_marker(image: Image.Image, rng: np.random.Generator) -> None:
    width, height = image.size
    letter_height = _letter_height(rng.uniform(*SIDE_MARKER_HEIGHT), image)
    left = rng.random() < LEFT_MARKER_PROBABILITY
    x = rng.uniform(*(LEFT_MARKER_X if left else RIGHT_MARKER_X)) * width
    y = rng.uniform(*SIDE_MARKER_Y) * height
    _draw_letters(image, "L" if left else "R", x, y, letter_height, rng.uniform(*SIDE_MARKER_GRAY_LEVELS))


def _draw_annotation(image: Image.Image, rng: np.random.Generator) -> None:
    width, height = image.size
    text = str(rng.choice(ANNOTATIONS))
    x, y = rng.uniform(*ANNOTATION_X) * width, rng.uniform(*ANNOTATION_Y) * height
    letter_height = _letter_height(ANNOTATION_HEIGHT, image)
    _draw_letters(image, text, x, y, letter_height, rng.uniform(*ANNOTATION_GRAY_LEVELS))


def _blank_name(image: Image.Image, rng: np.random.Generator) -> None:
    width, height = image.size
    x, y = rng.uniform(*BLANK_X) * width, rng.choice(BLANK_Y) * height
    corners = (x, y, x + rng.uniform(*BLANK_WIDTH) * width, y + BLANK_HEIGHT * height)
    ImageDraw.Draw(image).rectangle(corners, fill=float(rng.choice(BLANK_GRAY_LEVELS)))


def _letter_height(fraction: float, image: Image.Image) -> int:
    return int(max(MIN_LETTER_HEIGHT, fraction * image.height))


def _draw_letters(image: Image.Image, text: str, x: float, y: float, letter_height: int, gray_level: float) -> None:
    """Draw a text over an image.

    Args:
        image: Image of mode F to draw on.
        text: str.
        x, y: float, upper left corner, pixels.
        letter_height: int, pixels.
        gray_level: float, 0-255.
    """
    mask = ImageFont.load_default(letter_height).getmask(text, mode="L")
    glyphs = Image.frombytes("L", mask.size, bytes(mask))
    image.paste(gray_level, (round(x), round(y)), glyphs)
