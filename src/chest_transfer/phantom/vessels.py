"""The branching vessels of the lungs, from the hilum to the pleura."""

import numpy as np

from chest_transfer.phantom.shapes import drawn_lines, smooth
from chest_transfer.phantom.thorax import Lung, Thorax

GENERATIONS = 5


def vessels(thorax: Thorax) -> tuple[np.ndarray, np.ndarray]:
    """Path through vessels and where the large airways run beside them.

    Returns:
        (h, w) cm of blood along the beam, (h, w) 0-1 near the first branches; both float32.
    """
    anatomy, plane = thorax.anatomy, thorax.plane
    random = np.random.default_rng(anatomy.patient.seed)
    lines, widths, generation = [], [], []
    for lung in (*thorax.lungs, *thorax.lungs):  # arteries and veins
        for number, (line, width) in enumerate(_tree(thorax, lung, random)):
            lines.append(line)
            widths.append(width)
            generation.append(np.full(len(line), number))
    lines, widths, generation = np.concatenate(lines), np.concatenate(widths), np.concatenate(generation)
    order = np.argsort(widths, kind="stable")
    lines, widths, generation = lines[order], widths[order] * anatomy.vessels, generation[order]
    blood = drawn_lines(plane, lines, widths, widths)
    large = (generation > 0) & (generation < 3)
    airways = drawn_lines(plane, lines[large], np.ones(large.sum()), 0.7 * widths[large])
    airways = smooth(airways, 0.012 * anatomy.patient.half_width / plane.pitch)
    within = np.minimum(sum(lung.path for lung in thorax.lungs) / (0.25 * anatomy.patient.half_width), 1)
    return smooth(blood, 0.006 * anatomy.patient.half_width / plane.pitch + 0.3) * within, airways


def _tree(thorax: Thorax, lung: Lung, random: np.random.Generator):
    """Generations of branches: each an (n, 4) array of lines in cm, and their widths."""
    patient = thorax.anatomy.patient
    wide, height = patient.half_width, patient.lung_height
    x = thorax.anatomy.pull + lung.side * 0.16 * wide - 0.3 * thorax.anatomy.pose.rotation
    dome = thorax.anatomy.domes[(lung.side + 1) // 2]
    count = 12
    # Angles from straight up (0) over sideways (90) to straight down (180).
    angle = np.radians(np.linspace(12, 168, count) + random.normal(0, 7, count))
    start = np.stack([np.full(count, x), 0.46 * height + np.linspace(-0.1, 0.12, count) * wide], axis=1)
    length = wide * random.uniform(0.08, 0.2, count) * (1 + 0.35 * np.abs(np.cos(angle)))
    width = wide * random.uniform(0.025, 0.05, count) * np.where(angle > 1.6, 1.1, 0.8)
    for _ in range(GENERATIONS):
        end = start + length[:, None] * np.stack([lung.side * np.sin(angle), -np.cos(angle)], axis=1)
        yield np.concatenate([start, end], axis=1), width
        spread = np.radians(random.uniform(8, 42, (2, len(angle)))) * np.array([[-1.0], [1.0]])
        shrink = random.uniform(0.5, 0.8, (2, len(angle)))
        start = np.tile(end, (2, 1))
        angle = (angle + spread).ravel()
        width = (width * shrink).ravel()
        length = (length * random.uniform(0.6, 1.05, (2, len(angle) // 2))).ravel()
        inside = (np.abs(start[:, 0]) < 0.97 * wide) & (start[:, 1] > 0) & (start[:, 1] < 1.25 * dome)
        start, angle, width, length = start[inside], angle[inside], width[inside], length[inside]
