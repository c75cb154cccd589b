"""The signs of what is no infection: fluid, air, collapse, tumours, scars; each is drawn at a severity of 0 to 1."""

import numpy as np

from chest_transfer.phantom.infections import bronchopneumonia, infiltration, lobar_pneumonia
from chest_transfer.phantom.shadows import Shadows, haze, meniscus
from chest_transfer.phantom.shapes import capsule, drawn_lines, ellipse, ramp


def lung_opacity(shadows: Shadows, severity: float) -> None:
    """Any opacity that is more opaque than it should be, of no named disease."""
    shadows.random.choice([bronchopneumonia, lobar_pneumonia, infiltration, edema])(shadows, severity)


def edema(shadows: Shadows, severity: float) -> None:
    """Wings of a bat about both hila, wide vessels, short lines at the edge (Kerley B)."""
    for lung in shadows.thorax.lungs:
        wings = np.exp(-np.square((lung.lateral - 0.35) / 0.3) - np.square((lung.height - 0.58) / 0.33))
        wings = wings * (1 + 0.25 * shadows.coarse)
        shadows.fill(lung, shadows.patchy(wings, 0.2, 0.15) * np.float32(0.12 + 0.38 * severity))
        shadows.vessels += np.float32(0.5) * (lung.height < 0.6)
        count = 9
        heights = np.linspace(0.62, 0.97, count) + shadows.random.normal(0, 0.01, count)
        starts = np.array([shadows.place(lung, 0.97, height) for height in heights])
        lines = np.concatenate([starts, starts - [lung.side * 0.13 * shadows.wide, 0]], axis=1)
        shadows.tissue += drawn_lines(
            shadows.plane, lines, np.full(count, 0.5 + severity), np.full(count, 0.014 * shadows.wide)
        )
    haze(shadows, 0.08 + 0.12 * severity)
    if shadows.between(0, 1) < 0.4:
        for lung in shadows.thorax.lungs:
            meniscus(shadows, lung, 0.1 * severity)


def effusion(shadows: Shadows, severity: float) -> None:
    """Fluid below, its upper border a meniscus that climbs the chest wall; the angle is blunted first."""
    for side in (-1, 1) if shadows.between(0, 1) < 0.35 else [shadows.side()]:
        meniscus(shadows, shadows.lung(side), severity * shadows.between(0.6, 1.0))


def lesion(shadows: Shadows, severity: float, smallest: float, largest: float, many: float) -> None:
    count = 1 if shadows.between(0, 1) > many else int(shadows.random.integers(2, 6))
    for _ in range(count):
        lung = shadows.lung()
        x, z = shadows.clear_place(lung)
        # 3 cm divides nodules from masses in an adult; a child's are smaller with him.
        radius = shadows.between(smallest, largest) * shadows.wide / 13 * (0.75 + 0.25 * severity)
        ball = shadows.ball(
            x,
            z,
            radius,
            shadows.between(0.06, 0.2),
            shadows.between(0, 180),
            shadows.between(1, 1.25),
        )
        shadows.tissue += np.minimum(ball, lung.path) * np.float32(0.7 if smallest > 1 else 1.2)


def nodule(shadows: Shadows, severity: float) -> None:
    """A round spot of at most 3 cm."""
    lesion(shadows, severity, 0.7, 1.5, many=0.3)


def mass(shadows: Shadows, severity: float) -> None:
    """A round shadow of more than 3 cm, often lobulated."""
    lesion(shadows, severity, 1.9, 3.6, many=0.1)


def pneumothorax(shadows: Shadows, severity: float) -> None:
    """The fine white line of the pleura, and nothing beyond it: no vessels, and black."""
    lung = shadows.lung()
    # The lung sinks towards its hilum: away from the apex most, least at the dome.
    top = np.float32(0.03 + 0.22 * severity)
    round_top = np.sqrt(1 - np.square(1 - np.clip((lung.height - top) / 0.45, 0, 1)))
    width = (0.05 + 0.34 * severity) * (1.1 - 0.75 * np.clip(lung.height, 0, 1.1)) + 0.02 * shadows.coarse * severity
    inside = (1 - width) * round_top - lung.lateral
    pixel = np.float32(shadows.plane.pitch / shadows.wide)
    beyond = ramp(-inside / (2 * pixel)) * (lung.path > 0)
    line = np.exp(-np.square(inside / np.maximum(0.012, 0.8 * pixel))) * (lung.path > 0) * (lung.height < 0.97)
    shadows.emptied = np.maximum(shadows.emptied, beyond)
    shadows.filled = shadows.filled * (1 - beyond) - np.float32(0.38) * beyond
    shadows.tissue += np.float32(0.075 * shadows.wide) * line
    shadows.fill(lung, np.float32(0.02 + 0.14 * severity) * (1 - beyond))


def atelectasis(shadows: Shadows, severity: float) -> None:
    """Plates of airless lung, or a lobe that shrinks and pulls its fissure."""
    lung = shadows.lung()
    if shadows.between(0, 1) < 0.55:
        for _ in range(shadows.random.integers(1, 4)):
            x, z = shadows.place(lung, shadows.between(0.3, 0.55), shadows.between(0.72, 0.98))
            length, tilt = shadows.wide * shadows.between(0.25, 0.5), shadows.between(-0.25, 0.35)
            end = (x + lung.side * length, z + tilt * length)
            band = capsule(shadows.plane, (x, z), end, shadows.wide * shadows.between(0.012, 0.03))
            shadows.tissue += band * np.float32(2.5 + 3 * severity)
        return
    if shadows.between(0, 1) < 0.5:  # an upper lobe: a wedge against the mediastinum, its fissure bowed up
        fissure = 0.22 + 0.16 * (1 - lung.lateral) - 0.05 * np.sin(np.pi * np.clip(lung.lateral, 0, 1))
        wedge = ramp((fissure * (0.7 + 0.5 * severity) - lung.height) / 0.02)
    else:  # a lower lobe: a triangle behind the heart, straight from the hilum to the dome
        reach = 0.2 + 0.42 * np.clip((lung.height - 0.45) / 0.55, 0, 1.3) * (0.6 + 0.5 * severity)
        wedge = ramp((reach - lung.lateral) / 0.03) * ramp((lung.height - 0.45) / 0.08)
    shadows.fill(lung, wedge * np.float32(0.5 + 0.4 * severity))


def fibrosis(shadows: Shadows, severity: float) -> None:
    """A coarse net below and at the edge of both lungs, down to honeycombs."""
    for lung in shadows.thorax.lungs:
        where = ramp((lung.height - 0.35 + 0.12 * shadows.coarse) / 0.4) * ramp((lung.lateral - 0.25) / 0.5)
        net = (
            np.float32(0.8) * shadows.net()
            + np.float32(0.3) * np.maximum(1 - 2.2 * np.abs(shadows.medium), 0)
            + np.float32(0.25)
        )
        shadows.fill(lung, net * where * np.float32(0.15 + 0.27 * severity))
        shadows.vessels += np.float32(0.5 * severity) * where


def pleural_thickening(shadows: Shadows, severity: float) -> None:
    """A band along the chest wall or over the apex, sometimes with calcium."""
    lung = shadows.lung()
    top, length = shadows.between(-0.05, 0.5), shadows.between(0.25, 0.6)
    along = ramp((lung.height - top) / 0.06) * ramp((top + length - lung.height) / 0.1)
    thick = (0.04 + 0.12 * severity) * (1 + 0.3 * shadows.coarse)
    band = ramp((lung.lateral - 1 + thick) / 0.03) * along * (lung.lateral < 1.02)
    apical = ramp((0.03 + 0.1 * severity - lung.height) / 0.03) * (top < 0.05)
    band = np.maximum(band, apical) * (lung.path > 0)
    shadows.fill(lung, np.float32(0.75) * band)
    shadows.tissue += np.float32(0.1 * shadows.wide) * band
    if shadows.between(0, 1) < 0.3:
        shadows.bone += np.float32(0.05 * shadows.wide) * band * ramp(shadows.medium - 0.3)


def hernia(shadows: Shadows, severity: float) -> None:
    """The stomach slid up: a bubble with a wall and a fluid level behind the heart."""
    anatomy = shadows.thorax.anatomy
    radius = shadows.wide * (0.14 + 0.2 * severity)
    x = shadows.random.normal(0.08, 0.06) * shadows.wide
    z = min(anatomy.domes) - 0.55 * radius
    outer, inner = shadows.ball(x, z, radius, 0.05, 0, 1.15), shadows.ball(x, z, 0.86 * radius, 0.05, 0, 1.15)
    shadows.tissue += 1.4 * (outer - inner)
    above = ramp((z + 0.1 * radius - shadows.plane.z) / (2 * shadows.plane.pitch) + 0.5)
    shadows.tissue += inner * (0.5 - 1.5 * above)


def bullae(shadows: Shadows, severity: float) -> None:
    """Round, thin-walled, empty spaces, some at the apex."""
    for _ in range(shadows.random.integers(0, 4)):
        lung = shadows.lung()
        x, z = shadows.place(lung, shadows.between(0.4, 0.85), shadows.random.beta(1.2, 2.5))
        radius = shadows.wide * shadows.between(0.1, 0.22)
        inside = ramp(3 * (1 - ellipse(shadows.plane, x, z, radius, radius))) * (lung.path > 0)
        shadows.emptied = np.maximum(shadows.emptied, 0.9 * inside)
        shadows.filled = shadows.filled - np.float32(0.18 * severity) * inside
