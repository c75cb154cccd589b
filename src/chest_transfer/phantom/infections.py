"""The signs of infected lungs: pneumonias, tuberculosis, COVID; each is drawn at a severity of 0 to 1."""

import numpy as np

from chest_transfer.phantom.curves import smoothstep
from chest_transfer.phantom.pathology import Pathology, add_pleural_fluid, airspace_opacity, diffuse_haze
from chest_transfer.phantom.raster import draw_lines
from chest_transfer.phantom.thorax import Lung


def lobar_pneumonia(pathology: Pathology, severity: float) -> None:
    """One lobe, dense and even, sharp where a fissure ends it, with air bronchograms."""
    lung = pathology.choose_lung()
    # Lobes by height and depth: an upper one ends at the fissure, a lower one fades upward.
    upper = pathology.uniform(0, 1) < 0.35
    tilt = 0.08 * (1 - lung.lateral) * pathology.uniform(0, 1)
    edge = pathology.uniform(0.45, 0.56)
    if upper:
        lobe = smoothstep((edge + tilt - lung.height) / 0.02) * smoothstep((lung.height - 0.05) / 0.1)
        depth = 0.75
    else:
        lobe = smoothstep((lung.height - edge + 0.15 * pathology.coarse_noise) / 0.25)
        depth = 0.65
    part = smoothstep((pathology.coarse_noise + pathology.uniform(0.3, 2.2)) / 1.5)
    pathology.consolidate(
        lung, pathology.mottle(lobe * part, 0.08, 0.04) * np.float32(depth * (0.3 + 0.7 * severity)), 0.35
    )
    diffuse_haze(pathology, 0.5 * severity * pathology.uniform(0.3, 1))


def bronchopneumonia(pathology: Pathology, severity: float) -> None:
    """Several patches along the airways, more below, on one or both sides."""
    sides = [pathology.random_side()] if pathology.uniform(0, 1) < 0.45 else [-1, 1]
    for side in sides:
        for _ in range(pathology.rng.integers(1, 5)):
            airspace_opacity(
                pathology,
                severity=(0.3 + 0.6 * severity) * pathology.uniform(0.6, 1.0),
                lateral=(0.25, 0.75),
                height=(0.4, 1.0),
                size=(0.18, 0.6),
                side=side,
                bronchogram=0.3,
            )
    diffuse_haze(pathology, (0.1 + 0.5 * severity) * pathology.uniform(0.3, 1))


def pneumonia(pathology: Pathology, severity: float) -> None:
    (lobar_pneumonia if pathology.uniform(0, 1) < 0.4 else bronchopneumonia)(pathology, severity)


def viral_pneumonia(pathology: Pathology, severity: float) -> None:
    """Thickened airway walls fanning out from both hila, a net of fine lines, slight haze."""
    for lung in pathology.thorax.lungs:
        central = smoothstep(1.35 - lung.lateral - np.abs(lung.height - 0.55) + 0.15 * pathology.coarse_noise) * (
            lung.path > 0
        )
        pathology.vessel_gain += np.float32(1.3 * severity + 0.3) * central
        pathology.consolidate(lung, pathology.reticular_pattern() * central * np.float32(0.10 + 0.22 * severity))
        pathology.consolidate(lung, pathology.mottle(central, 0.25, 0.12) * np.float32(0.04 + 0.2 * severity))
    diffuse_haze(pathology, 0.05 + 0.35 * severity * pathology.uniform(0.3, 1))
    if pathology.uniform(0, 1) < 0.3:
        airspace_opacity(
            pathology,
            severity=0.25 + 0.3 * severity,
            lateral=(0.3, 0.6),
            height=(0.5, 0.9),
            size=(0.22, 0.22),
            side=pathology.random_side(),
            bronchogram=0.3,
        )


def tuberculosis(pathology: Pathology, severity: float) -> None:
    """Infiltrates of the upper lobes, cavities with walls, nodules, scars that pull the hilum up."""
    sides = [pathology.random_side()] if pathology.uniform(0, 1) < 0.5 else [-1, 1]
    kinds = pathology.rng.random(5)
    for side in sides:
        lung = pathology.choose_lung(side)
        for _ in range(pathology.rng.integers(1, 4)):
            airspace_opacity(
                pathology,
                severity=(0.22 + 0.45 * severity) * pathology.uniform(0.6, 1),
                lateral=(0.3, 0.8),
                height=(0.1, 0.42),
                size=(0.12, 0.26),
                side=side,
                bronchogram=0.2,
            )
        if kinds[0] < 0.45:
            cavity(pathology, lung, severity)
        if kinds[1] < 0.6:
            scars(pathology, lung, severity)
        for _ in range(pathology.rng.integers(3, 14)):
            x, z = pathology.point_in_lung(lung, pathology.uniform(0.25, 0.9), pathology.rng.beta(1.6, 3.0))
            pathology.added_tissue += pathology.ball_path(
                x, z, pathology.half_width * pathology.uniform(0.018, 0.05), 0.2
            ) * np.float32(1.6)
            if kinds[2] < 0.25:
                pathology.added_bone += pathology.ball_path(x, z, pathology.half_width * 0.018)
        if kinds[3] < 0.2:
            add_pleural_fluid(pathology, lung, 0.1 + 0.3 * severity)
    if kinds[4] < 0.06:
        miliary(pathology)


def cavity(pathology: Pathology, lung: Lung, severity: float) -> None:
    x, z = pathology.point_in_lung(lung, pathology.uniform(0.35, 0.75), pathology.uniform(0.14, 0.36))
    radius = pathology.half_width * pathology.uniform(0.09, 0.2)
    wall = pathology.uniform(0.62, 0.82)
    outer, inner = pathology.ball_path(x, z, radius, 0.12), pathology.ball_path(x, z, radius * wall, 0.12)
    pathology.added_tissue += np.float32(0.4 + 0.6 * severity) * (outer - inner) - np.float32(0.2) * inner


def scars(pathology: Pathology, lung: Lung, severity: float) -> None:
    hilum = pathology.point_in_lung(lung, 0.22, 0.45)
    count = int(pathology.rng.integers(3, 8))
    ends = np.array(
        [
            pathology.point_in_lung(lung, pathology.uniform(0.35, 0.9), pathology.uniform(0.05, 0.35))
            for _ in range(count)
        ]
    )
    lines = np.concatenate(
        [np.tile(hilum, (count, 1)) + pathology.rng.normal(0, 0.05 * pathology.half_width, (count, 2)), ends], axis=1
    )
    pathology.added_tissue += draw_lines(
        pathology.plane, lines, np.full(count, 0.7 + severity), np.full(count, 0.018 * pathology.half_width)
    )


def miliary(pathology: Pathology) -> None:
    for lung in pathology.thorax.lungs:
        pathology.consolidate(lung, np.clip(pathology.fine_noise - 0.6, 0, 1.2) * np.float32(0.22))


def covid(pathology: Pathology, severity: float) -> None:
    """Ground glass: hazy patches in both lungs, at the edge and below."""
    for side in (-1, 1):
        lung = pathology.choose_lung(side)
        rim = smoothstep((lung.lateral - 0.45 + 0.1 * pathology.coarse_noise) / 0.4) * smoothstep(
            (lung.height - 0.3 + 0.1 * pathology.coarse_noise) / 0.4
        )
        pathology.consolidate(lung, pathology.mottle(rim, 0.15, 0.06) * np.float32(0.08 + 0.33 * severity))
        pathology.consolidate(lung, pathology.reticular_pattern() * rim * np.float32(0.15 * severity))
        for _ in range(pathology.rng.integers(1, 4)):
            airspace_opacity(
                pathology,
                severity=(0.12 + 0.33 * severity) * pathology.uniform(0.6, 1),
                lateral=(0.6, 0.92),
                height=(0.45, 0.95),
                size=(0.15, 0.3),
                side=side,
                bronchogram=0.15,
            )


def infiltration(pathology: Pathology, severity: float) -> None:
    """Ill-defined shadows with streaks, thinner than a consolidation."""
    sides = [pathology.random_side()] if pathology.uniform(0, 1) < 0.5 else [-1, 1]
    for side in sides:
        lung = pathology.choose_lung(side)
        x, z = pathology.point_in_lung(lung, pathology.uniform(0.25, 0.65), pathology.uniform(0.35, 0.9))
        share = pathology.ill_defined_patch(
            x,
            z,
            pathology.half_width * pathology.uniform(0.2, 0.4),
            pathology.half_width * pathology.uniform(0.2, 0.45),
            0.5,
            1.8,
        )
        pathology.consolidate(lung, pathology.mottle(share, 0.15, 0.15) * np.float32(0.12 + 0.3 * severity))
        pathology.vessel_gain += np.float32(0.8 * severity) * share


def consolidation(pathology: Pathology, severity: float) -> None:
    """One dense patch in which vessels vanish and airways stay dark."""
    airspace_opacity(
        pathology,
        severity=0.6 + 0.35 * severity,
        lateral=(0.3, 0.75),
        height=(0.25, 0.95),
        size=(0.22, 0.42),
        side=pathology.random_side(),
        bronchogram=0.5,
    )
