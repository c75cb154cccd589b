"""The branching vessels of the lungs, from the hilum to the pleura."""

from dataclasses import dataclass

import numpy as np

from chest_transfer.phantom.raster import draw_lines, gaussian_blur
from chest_transfer.phantom.thorax import Lung, Thorax

GENERATIONS = 5


@dataclass(frozen=True)
class Vessels:
    """The branches of both lungs, thinnest first: n straight pieces.

    Args:
        lines: (n, 4): x0, z0, x1, z1 in cm.
        widths: (n,) cm.
        generation: (n,) 0 at the hilum.
    """

    lines: np.ndarray
    widths: np.ndarray
    generation: np.ndarray


def grow_vessels(thorax: Thorax) -> Vessels:
    """A patient's vessels: his own, from one exposure to the next."""
    rng = np.random.default_rng(thorax.anatomy.patient.vessel_seed)
    lines, widths, generation = [], [], []
    for lung in (*thorax.lungs, *thorax.lungs):  # arteries and veins
        for number, (line, width) in enumerate(_tree(thorax, lung, rng)):
            lines.append(line)
            widths.append(width)
            generation.append(np.full(len(line), number))
    lines, widths, generation = np.concatenate(lines), np.concatenate(widths), np.concatenate(generation)
    order = np.argsort(widths, kind="stable")
    return Vessels(lines[order], widths[order] * thorax.anatomy.vessel_caliber, generation[order])


def blood_path(thorax: Thorax, vessels: Vessels) -> np.ndarray:
    """(h, w) float32: cm of blood along the beam."""
    wide = thorax.anatomy.patient.half_width
    drawn = draw_lines(thorax.plane, vessels.lines, vessels.widths, vessels.widths)
    return gaussian_blur(drawn, 0.006 * wide / thorax.plane.pixel_size + 0.3) * np.minimum(
        thorax.lung_path / (0.25 * wide), 1
    )


def airways(thorax: Thorax, vessels: Vessels) -> np.ndarray:
    """(h, w) float32: 1 on the large airways, which run beside the first branches; 0 away from them."""
    large = (vessels.generation > 0) & (vessels.generation < 3)
    drawn = draw_lines(thorax.plane, vessels.lines[large], np.ones(large.sum()), 0.7 * vessels.widths[large])
    return gaussian_blur(drawn, 0.012 * thorax.anatomy.patient.half_width / thorax.plane.pixel_size)


def _tree(thorax: Thorax, lung: Lung, rng: np.random.Generator):
    """Generations of branches: each an (n, 4) array of lines in cm, and their widths."""
    patient = thorax.anatomy.patient
    wide, height = patient.half_width, patient.lung_height
    x = thorax.anatomy.mediastinal_shift + lung.side * 0.16 * wide - 0.3 * thorax.anatomy.pose.rotation
    dome = thorax.anatomy.dome_z[lung.index]
    count = 12
    # Angles from straight up (0) over sideways (90) to straight down (180).
    angle = np.radians(np.linspace(12, 168, count) + rng.normal(0, 7, count))
    start = np.stack([np.full(count, x), 0.46 * height + np.linspace(-0.1, 0.12, count) * wide], axis=1)
    length = wide * rng.uniform(0.08, 0.2, count) * (1 + 0.35 * np.abs(np.cos(angle)))
    width = wide * rng.uniform(0.025, 0.05, count) * np.where(angle > 1.6, 1.1, 0.8)
    for _ in range(GENERATIONS):
        end = start + length[:, None] * np.stack([lung.side * np.sin(angle), -np.cos(angle)], axis=1)
        yield np.concatenate([start, end], axis=1), width
        spread = np.radians(rng.uniform(8, 42, (2, len(angle)))) * np.array([[-1.0], [1.0]])
        shrink = rng.uniform(0.5, 0.8, (2, len(angle)))
        start = np.tile(end, (2, 1))
        angle = (angle + spread).ravel()
        width = (width * shrink).ravel()
        length = (length * rng.uniform(0.6, 1.05, (2, len(angle) // 2))).ravel()
        inside = (np.abs(start[:, 0]) < 0.97 * wide) & (start[:, 1] > 0) & (start[:, 1] < 1.25 * dome)
        start, angle, width, length = start[inside], angle[inside], width[inside], length[inside]
