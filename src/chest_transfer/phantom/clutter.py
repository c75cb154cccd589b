"""What else is on radiographs: leads, tubes and clips on the patient; letters, borders and blanks on the picture.

None of it depends on what the patient has: that would be a shortcut to learn.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from chest_transfer.phantom.curves import smoothstep
from chest_transfer.phantom.raster import draw_lines
from chest_transfer.phantom.shapes import ellipse_radius_squared
from chest_transfer.phantom.thorax import Thorax


def project_devices(thorax: Thorax, rng: np.random.Generator) -> np.ndarray:
    """Weakening of the beam by wires, tubes and buttons; on most patients, nothing."""
    plane, wide = thorax.plane, thorax.anatomy.patient.half_width
    metal = np.zeros(plane.shape, np.float32)
    tall = thorax.anatomy.patient.lung_height
    ill = thorax.anatomy.pose.view == "AP"
    if rng.random() < (0.16 if ill else 0.06):  # leads of a monitor, each to its electrode
        for _ in range(rng.integers(1, 5)):
            start = rng.uniform((-0.9, 0.1), (0.9, 0.9)) * (wide, tall)
            end = (rng.choice([-1.3, 1.3]) * wide, rng.uniform(0.2, 1.4) * tall)
            metal = np.maximum(metal, 0.8 * _cord(plane, start, end, rng, wide, 0.016))
            metal = np.maximum(
                metal, 0.9 * smoothstep(4 * (1 - ellipse_radius_squared(plane, *start, 0.05 * wide, 0.05 * wide)))
            )
    if rng.random() < (0.12 if ill else 0.02):  # a tube in the windpipe or the gullet
        deep = rng.uniform(0.1, 0.32) * tall if rng.random() < 0.6 else 1.15 * tall
        metal = np.maximum(metal, 0.5 * _cord(plane, (0.02 * wide, -0.8 * wide), (0.05 * wide, deep), rng, wide, 0.03))
    if rng.random() < (0.08 if ill else 0.05):  # a line into a great vein
        side = rng.choice([-1, 1])
        metal = np.maximum(
            metal, 0.6 * _cord(plane, (side * 0.9 * wide, -0.05 * tall), (-0.1 * wide, 0.4 * tall), rng, wide, 0.02)
        )
    if rng.random() < 0.02 and thorax.anatomy.patient.age > 45:  # a pacemaker
        x, z = rng.choice([-1, 1]) * 0.72 * wide, 0.22 * tall
        metal = np.maximum(
            metal, 2.5 * smoothstep(5 * (1 - np.square(ellipse_radius_squared(plane, x, z, 0.17 * wide, 0.15 * wide))))
        )
        metal = np.maximum(metal, 0.9 * _cord(plane, (x, z), (0.25 * wide, 0.8 * tall), rng, wide, 0.014))
    if rng.random() < 0.06:  # buttons, hair clips
        for _ in range(rng.integers(1, 4)):
            x, z = rng.uniform((-0.8, -0.2), (0.8, 1.0)) * (wide, tall)
            metal = np.maximum(
                metal, 1.2 * smoothstep(3 * (1 - ellipse_radius_squared(plane, x, z, 0.03 * wide, 0.03 * wide)))
            )
    return metal


def _cord(plane, start, end, rng: np.random.Generator, wide: float, width: float) -> np.ndarray:
    """A bent wire or tube between two points."""
    along = np.linspace(0, 1, 24)[:, np.newaxis]
    points = np.asarray(start) * (1 - along) + np.asarray(end) * along
    points = points + rng.normal(0, 0.14 * wide, 2) * np.sin(np.pi * along)
    lines = np.concatenate([points[:-1], points[1:]], axis=1)
    return np.minimum(draw_lines(plane, lines, np.ones(len(lines)), np.full(len(lines), width * wide)), 1)


def burn_in_markings(grey: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The picture with its markers: a letter for the side, borders of the film or the collimator, blanked-out names."""
    image = Image.fromarray(grey)
    draw = ImageDraw.Draw(image)
    height, width = grey.shape
    if rng.random() < 0.18:  # a border, dark or bright, of unequal sides
        level = rng.choice([2.0, 4.0, 245.0])
        for side, share in enumerate(np.abs(rng.normal(0, 0.035, 4)).tolist()):
            depth = round(share * min(height, width))
            if depth:
                corners = ((0, 0, width, depth - 1), (0, height - depth, width, height), (0, 0, depth - 1, height),
                           (width - depth, 0, width, height))[side]  # fmt: skip
                draw.rectangle(corners, fill=level)
    if rng.random() < 0.75:
        size = int(max(8, rng.uniform(0.035, 0.075) * height))
        left = rng.random() < 0.3  # the patient's left is on the right of the picture
        x = (rng.uniform(0.86, 0.96) if left else rng.uniform(0.02, 0.1)) * width
        y = rng.uniform(0.02, 0.3) * height
        _letters(image, "L" if left else "R", x, y, size, rng.uniform(190, 255))
    if rng.random() < 0.12:
        text = rng.choice(["PORTABLE", "AP", "PA", "SUPINE", "ERECT", "A-P"])
        _letters(image, str(text), rng.uniform(0.02, 0.7) * width, rng.uniform(0.01, 0.06) * height,
                 int(max(8, 0.04 * height)), rng.uniform(180, 255))  # fmt: skip
    if rng.random() < 0.06:  # a name blanked out
        x, y = rng.uniform(0, 0.6) * width, rng.choice([0.0, 0.93]) * height
        draw.rectangle((x, y, x + rng.uniform(0.1, 0.4) * width, y + 0.07 * height), fill=float(rng.choice([0, 255])))
    return np.asarray(image)


def _letters(image: Image.Image, text: str, x: float, y: float, size: int, level: float) -> None:
    font = ImageFont.load_default(size)
    mask = font.getmask(text, mode="L")
    glyphs = Image.frombytes("L", mask.size, bytes(mask))
    image.paste(level, (round(x), round(y)), glyphs)
