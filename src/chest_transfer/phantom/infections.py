"""The signs of infected lungs: pneumonias, tuberculosis, COVID; each is drawn at a severity of 0 to 1."""

import numpy as np

from chest_transfer.phantom.shadows import Shadows, airspace, haze, meniscus
from chest_transfer.phantom.shapes import drawn_lines, ramp
from chest_transfer.phantom.thorax import Lung


def lobar_pneumonia(shadows: Shadows, severity: float) -> None:
    """One lobe, dense and even, sharp where a fissure ends it, with air bronchograms."""
    lung = shadows.lung()
    # Lobes by height and depth: an upper one ends at the fissure, a lower one fades upward.
    upper = shadows.between(0, 1) < 0.35
    tilt = 0.08 * (1 - lung.lateral) * shadows.between(0, 1)
    edge = shadows.between(0.45, 0.56)
    if upper:
        lobe = ramp((edge + tilt - lung.height) / 0.02) * ramp((lung.height - 0.05) / 0.1)
        depth = 0.75
    else:
        lobe = ramp((lung.height - edge + 0.15 * shadows.coarse) / 0.25)
        depth = 0.65
    part = ramp((shadows.coarse + shadows.between(0.3, 2.2)) / 1.5)
    shadows.fill(lung, shadows.patchy(lobe * part, 0.08, 0.04) * np.float32(depth * (0.3 + 0.7 * severity)), 0.35)
    haze(shadows, 0.5 * severity * shadows.between(0.3, 1))


def bronchopneumonia(shadows: Shadows, severity: float) -> None:
    """Several patches along the airways, more below, on one or both sides."""
    sides = [shadows.side()] if shadows.between(0, 1) < 0.45 else [-1, 1]
    for side in sides:
        for _ in range(shadows.random.integers(1, 5)):
            airspace(
                shadows,
                severity=(0.3 + 0.6 * severity) * shadows.between(0.6, 1.0),
                lateral=(0.25, 0.75),
                height=(0.4, 1.0),
                size=(0.18, 0.6),
                side=side,
                bronchogram=0.3,
            )
    haze(shadows, (0.1 + 0.5 * severity) * shadows.between(0.3, 1))


def pneumonia(shadows: Shadows, severity: float) -> None:
    (lobar_pneumonia if shadows.between(0, 1) < 0.4 else bronchopneumonia)(shadows, severity)


def viral_pneumonia(shadows: Shadows, severity: float) -> None:
    """Thickened airway walls fanning out from both hila, a net of fine lines, slight haze."""
    for lung in shadows.thorax.lungs:
        central = ramp(1.35 - lung.lateral - np.abs(lung.height - 0.55) + 0.15 * shadows.coarse) * (lung.path > 0)
        shadows.vessels += np.float32(1.3 * severity + 0.3) * central
        shadows.fill(lung, shadows.net() * central * np.float32(0.10 + 0.22 * severity))
        shadows.fill(lung, shadows.patchy(central, 0.25, 0.12) * np.float32(0.04 + 0.2 * severity))
    haze(shadows, 0.05 + 0.35 * severity * shadows.between(0.3, 1))
    if shadows.between(0, 1) < 0.3:
        airspace(
            shadows,
            severity=0.25 + 0.3 * severity,
            lateral=(0.3, 0.6),
            height=(0.5, 0.9),
            size=(0.22, 0.22),
            side=shadows.side(),
            bronchogram=0.3,
        )


def tuberculosis(shadows: Shadows, severity: float) -> None:
    """Infiltrates of the upper lobes, cavities with walls, nodules, scars that pull the hilum up."""
    sides = [shadows.side()] if shadows.between(0, 1) < 0.5 else [-1, 1]
    kinds = shadows.random.random(5)
    for side in sides:
        lung = shadows.lung(side)
        for _ in range(shadows.random.integers(1, 4)):
            airspace(
                shadows,
                severity=(0.22 + 0.45 * severity) * shadows.between(0.6, 1),
                lateral=(0.3, 0.8),
                height=(0.1, 0.42),
                size=(0.12, 0.26),
                side=side,
                bronchogram=0.2,
            )
        if kinds[0] < 0.45:
            cavity(shadows, lung, severity)
        if kinds[1] < 0.6:
            scars(shadows, lung, severity)
        for _ in range(shadows.random.integers(3, 14)):
            x, z = shadows.place(lung, shadows.between(0.25, 0.9), shadows.random.beta(1.6, 3.0))
            shadows.tissue += shadows.ball(x, z, shadows.wide * shadows.between(0.018, 0.05), 0.2) * np.float32(1.6)
            if kinds[2] < 0.25:
                shadows.bone += shadows.ball(x, z, shadows.wide * 0.018)
        if kinds[3] < 0.2:
            meniscus(shadows, lung, 0.1 + 0.3 * severity)
    if kinds[4] < 0.06:
        miliary(shadows)


def cavity(shadows: Shadows, lung: Lung, severity: float) -> None:
    x, z = shadows.place(lung, shadows.between(0.35, 0.75), shadows.between(0.14, 0.36))
    radius = shadows.wide * shadows.between(0.09, 0.2)
    wall = shadows.between(0.62, 0.82)
    outer, inner = shadows.ball(x, z, radius, 0.12), shadows.ball(x, z, radius * wall, 0.12)
    shadows.tissue += np.float32(0.4 + 0.6 * severity) * (outer - inner) - np.float32(0.2) * inner


def scars(shadows: Shadows, lung: Lung, severity: float) -> None:
    hilum = shadows.place(lung, 0.22, 0.45)
    count = int(shadows.random.integers(3, 8))
    ends = np.array(
        [shadows.place(lung, shadows.between(0.35, 0.9), shadows.between(0.05, 0.35)) for _ in range(count)]
    )
    lines = np.concatenate(
        [np.tile(hilum, (count, 1)) + shadows.random.normal(0, 0.05 * shadows.wide, (count, 2)), ends], axis=1
    )
    shadows.tissue += drawn_lines(
        shadows.plane, lines, np.full(count, 0.7 + severity), np.full(count, 0.018 * shadows.wide)
    )


def miliary(shadows: Shadows) -> None:
    for lung in shadows.thorax.lungs:
        shadows.fill(lung, np.clip(shadows.fine - 0.6, 0, 1.2) * np.float32(0.22))


def covid(shadows: Shadows, severity: float) -> None:
    """Ground glass: hazy patches in both lungs, at the edge and below."""
    for side in (-1, 1):
        lung = shadows.lung(side)
        rim = ramp((lung.lateral - 0.45 + 0.1 * shadows.coarse) / 0.4) * ramp(
            (lung.height - 0.3 + 0.1 * shadows.coarse) / 0.4
        )
        shadows.fill(lung, shadows.patchy(rim, 0.15, 0.06) * np.float32(0.08 + 0.33 * severity))
        shadows.fill(lung, shadows.net() * rim * np.float32(0.15 * severity))
        for _ in range(shadows.random.integers(1, 4)):
            airspace(
                shadows,
                severity=(0.12 + 0.33 * severity) * shadows.between(0.6, 1),
                lateral=(0.6, 0.92),
                height=(0.45, 0.95),
                size=(0.15, 0.3),
                side=side,
                bronchogram=0.15,
            )


def infiltration(shadows: Shadows, severity: float) -> None:
    """Ill-defined shadows with streaks, thinner than a consolidation."""
    sides = [shadows.side()] if shadows.between(0, 1) < 0.5 else [-1, 1]
    for side in sides:
        lung = shadows.lung(side)
        x, z = shadows.place(lung, shadows.between(0.25, 0.65), shadows.between(0.35, 0.9))
        share = shadows.cloud(
            x,
            z,
            shadows.wide * shadows.between(0.2, 0.4),
            shadows.wide * shadows.between(0.2, 0.45),
            0.5,
            1.8,
        )
        shadows.fill(lung, shadows.patchy(share, 0.15, 0.15) * np.float32(0.12 + 0.3 * severity))
        shadows.vessels += np.float32(0.8 * severity) * share


def consolidation(shadows: Shadows, severity: float) -> None:
    """One dense patch in which vessels vanish and airways stay dark."""
    airspace(
        shadows,
        severity=0.6 + 0.35 * severity,
        lateral=(0.3, 0.75),
        height=(0.25, 0.95),
        size=(0.22, 0.42),
        side=shadows.side(),
        bronchogram=0.5,
    )
