"""The signs of what is no infection: fluid, air, collapse, tumours, scars; each is drawn at a severity of 0 to 1."""

import numpy as np

from chest_transfer.phantom.curves import smoothstep
from chest_transfer.phantom.infections import bronchopneumonia, infiltration, lobar_pneumonia
from chest_transfer.phantom.pathology import Pathology, add_pleural_fluid, diffuse_haze
from chest_transfer.phantom.raster import draw_lines
from chest_transfer.phantom.shapes import capsule_path, ellipse_radius_squared


def lung_opacity(pathology: Pathology, severity: float) -> None:
    """Any opacity that is more opaque than it should be, of no named disease."""
    pathology.rng.choice([bronchopneumonia, lobar_pneumonia, infiltration, edema])(pathology, severity)


def edema(pathology: Pathology, severity: float) -> None:
    """Wings of a bat about both hila, wide vessels, short lines at the edge (Kerley B)."""
    for lung in pathology.thorax.lungs:
        wings = np.exp(-np.square((lung.lateral - 0.35) / 0.3) - np.square((lung.height - 0.58) / 0.33))
        wings = wings * (1 + 0.25 * pathology.coarse_noise)
        pathology.consolidate(lung, pathology.mottle(wings, 0.2, 0.15) * np.float32(0.12 + 0.38 * severity))
        pathology.vessel_gain += np.float32(0.5) * (lung.height < 0.6)
        count = 9
        heights = np.linspace(0.62, 0.97, count) + pathology.rng.normal(0, 0.01, count)
        starts = np.array([pathology.point_in_lung(lung, 0.97, height) for height in heights])
        lines = np.concatenate([starts, starts - [lung.side * 0.13 * pathology.half_width, 0]], axis=1)
        pathology.added_tissue += draw_lines(
            pathology.plane, lines, np.full(count, 0.5 + severity), np.full(count, 0.014 * pathology.half_width)
        )
    diffuse_haze(pathology, 0.08 + 0.12 * severity)
    if pathology.uniform(0, 1) < 0.4:
        for lung in pathology.thorax.lungs:
            add_pleural_fluid(pathology, lung, 0.1 * severity)


def effusion(pathology: Pathology, severity: float) -> None:
    """Fluid below, its upper border a meniscus that climbs the chest wall; the angle is blunted first."""
    for side in (-1, 1) if pathology.uniform(0, 1) < 0.35 else [pathology.random_side()]:
        add_pleural_fluid(pathology, pathology.choose_lung(side), severity * pathology.uniform(0.6, 1.0))


def lesion(pathology: Pathology, severity: float, smallest: float, largest: float, many: float) -> None:
    count = 1 if pathology.uniform(0, 1) > many else int(pathology.rng.integers(2, 6))
    for _ in range(count):
        lung = pathology.choose_lung()
        x, z = pathology.random_visible_point(lung)
        # 3 cm divides nodules from masses in an adult; a child's are smaller with him.
        radius = pathology.uniform(smallest, largest) * pathology.half_width / 13 * (0.75 + 0.25 * severity)
        ball = pathology.ball_path(
            x,
            z,
            radius,
            pathology.uniform(0.06, 0.2),
            pathology.uniform(0, 180),
            pathology.uniform(1, 1.25),
        )
        pathology.added_tissue += np.minimum(ball, lung.path) * np.float32(0.7 if smallest > 1 else 1.2)


def nodule(pathology: Pathology, severity: float) -> None:
    """A round spot of at most 3 cm."""
    lesion(pathology, severity, 0.7, 1.5, many=0.3)


def mass(pathology: Pathology, severity: float) -> None:
    """A round shadow of more than 3 cm, often lobulated."""
    lesion(pathology, severity, 1.9, 3.6, many=0.1)


def pneumothorax(pathology: Pathology, severity: float) -> None:
    """The fine white line of the pleura, and nothing beyond it: no vessels, and black."""
    lung = pathology.choose_lung()
    # The lung sinks towards its hilum: away from the apex most, least at the dome.
    top = np.float32(0.03 + 0.22 * severity)
    round_top = np.sqrt(1 - np.square(1 - np.clip((lung.height - top) / 0.45, 0, 1)))
    width = (0.05 + 0.34 * severity) * (
        1.1 - 0.75 * np.clip(lung.height, 0, 1.1)
    ) + 0.02 * pathology.coarse_noise * severity
    inside = (1 - width) * round_top - lung.lateral
    pixel = np.float32(pathology.plane.pixel_size / pathology.half_width)
    beyond = smoothstep(-inside / (2 * pixel)) * (lung.path > 0)
    line = np.exp(-np.square(inside / np.maximum(0.012, 0.8 * pixel))) * (lung.path > 0) * (lung.height < 0.97)
    pathology.vessel_loss = np.maximum(pathology.vessel_loss, beyond)
    pathology.airless_fraction = pathology.airless_fraction * (1 - beyond) - np.float32(0.38) * beyond
    pathology.added_tissue += np.float32(0.075 * pathology.half_width) * line
    pathology.consolidate(lung, np.float32(0.02 + 0.14 * severity) * (1 - beyond))


def atelectasis(pathology: Pathology, severity: float) -> None:
    """Plates of airless lung, or a lobe that shrinks and pulls its fissure."""
    lung = pathology.choose_lung()
    if pathology.uniform(0, 1) < 0.55:
        for _ in range(pathology.rng.integers(1, 4)):
            x, z = pathology.point_in_lung(lung, pathology.uniform(0.3, 0.55), pathology.uniform(0.72, 0.98))
            length, tilt = pathology.half_width * pathology.uniform(0.25, 0.5), pathology.uniform(-0.25, 0.35)
            end = (x + lung.side * length, z + tilt * length)
            band = capsule_path(pathology.plane, (x, z), end, pathology.half_width * pathology.uniform(0.012, 0.03))
            pathology.added_tissue += band * np.float32(2.5 + 3 * severity)
        return
    if pathology.uniform(0, 1) < 0.5:  # an upper lobe: a wedge against the mediastinum, its fissure bowed up
        fissure = 0.22 + 0.16 * (1 - lung.lateral) - 0.05 * np.sin(np.pi * np.clip(lung.lateral, 0, 1))
        wedge = smoothstep((fissure * (0.7 + 0.5 * severity) - lung.height) / 0.02)
    else:  # a lower lobe: a triangle behind the heart, straight from the hilum to the dome
        reach = 0.2 + 0.42 * np.clip((lung.height - 0.45) / 0.55, 0, 1.3) * (0.6 + 0.5 * severity)
        wedge = smoothstep((reach - lung.lateral) / 0.03) * smoothstep((lung.height - 0.45) / 0.08)
    pathology.consolidate(lung, wedge * np.float32(0.5 + 0.4 * severity))


def fibrosis(pathology: Pathology, severity: float) -> None:
    """A coarse net below and at the edge of both lungs, down to honeycombs."""
    for lung in pathology.thorax.lungs:
        where = smoothstep((lung.height - 0.35 + 0.12 * pathology.coarse_noise) / 0.4) * smoothstep(
            (lung.lateral - 0.25) / 0.5
        )
        net = (
            np.float32(0.8) * pathology.reticular_pattern()
            + np.float32(0.3) * np.maximum(1 - 2.2 * np.abs(pathology.medium_noise), 0)
            + np.float32(0.25)
        )
        pathology.consolidate(lung, net * where * np.float32(0.15 + 0.27 * severity))
        pathology.vessel_gain += np.float32(0.5 * severity) * where


def pleural_thickening(pathology: Pathology, severity: float) -> None:
    """A band along the chest wall or over the apex, sometimes with calcium."""
    lung = pathology.choose_lung()
    top, length = pathology.uniform(-0.05, 0.5), pathology.uniform(0.25, 0.6)
    along = smoothstep((lung.height - top) / 0.06) * smoothstep((top + length - lung.height) / 0.1)
    thick = (0.04 + 0.12 * severity) * (1 + 0.3 * pathology.coarse_noise)
    band = smoothstep((lung.lateral - 1 + thick) / 0.03) * along * (lung.lateral < 1.02)
    apical = smoothstep((0.03 + 0.1 * severity - lung.height) / 0.03) * (top < 0.05)
    band = np.maximum(band, apical) * (lung.path > 0)
    pathology.consolidate(lung, np.float32(0.75) * band)
    pathology.added_tissue += np.float32(0.1 * pathology.half_width) * band
    if pathology.uniform(0, 1) < 0.3:
        pathology.added_bone += (
            np.float32(0.05 * pathology.half_width) * band * smoothstep(pathology.medium_noise - 0.3)
        )


def hernia(pathology: Pathology, severity: float) -> None:
    """The stomach slid up: a bubble with a wall and a fluid level behind the heart."""
    anatomy = pathology.thorax.anatomy
    radius = pathology.half_width * (0.14 + 0.2 * severity)
    x = pathology.rng.normal(0.08, 0.06) * pathology.half_width
    z = min(anatomy.dome_z) - 0.55 * radius
    outer, inner = (
        pathology.ball_path(x, z, radius, 0.05, 0, 1.15),
        pathology.ball_path(x, z, 0.86 * radius, 0.05, 0, 1.15),
    )
    pathology.added_tissue += 1.4 * (outer - inner)
    above = smoothstep((z + 0.1 * radius - pathology.plane.z) / (2 * pathology.plane.pixel_size) + 0.5)
    pathology.added_tissue += inner * (0.5 - 1.5 * above)


def bullae(pathology: Pathology, severity: float) -> None:
    """Round, thin-walled, empty spaces, some at the apex."""
    for _ in range(pathology.rng.integers(0, 4)):
        lung = pathology.choose_lung()
        x, z = pathology.point_in_lung(lung, pathology.uniform(0.4, 0.85), pathology.rng.beta(1.2, 2.5))
        radius = pathology.half_width * pathology.uniform(0.1, 0.22)
        inside = smoothstep(3 * (1 - ellipse_radius_squared(pathology.plane, x, z, radius, radius))) * (lung.path > 0)
        pathology.vessel_loss = np.maximum(pathology.vessel_loss, 0.9 * inside)
        pathology.airless_fraction = pathology.airless_fraction - np.float32(0.18 * severity) * inside
