"""Findings as they are read on a radiograph: one row each, of how it changes the anatomy and what shadows it casts."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from chest_transfer.phantom.anatomy import Anatomy
from chest_transfer.phantom.infections import (
    consolidation,
    covid,
    infiltration,
    pneumonia,
    tuberculosis,
    viral_pneumonia,
)
from chest_transfer.phantom.pathology import Pathology
from chest_transfer.phantom.signs import (
    atelectasis,
    bullae,
    edema,
    effusion,
    fibrosis,
    hernia,
    lung_opacity,
    mass,
    nodule,
    pleural_thickening,
    pneumothorax,
)

Random = np.random.Generator


def wide_heart(anatomy: Anatomy, severity: float, rng: Random) -> Anatomy:
    """A heart of more than half the chest's width."""
    return replace(
        anatomy, cardiothoracic_ratio=max(anatomy.cardiothoracic_ratio * (1.1 + 0.3 * severity), 0.52 + 0.12 * severity)
    )


def blown_up(anatomy: Anatomy, severity: float, rng: Random) -> Anatomy:
    """Long dark lungs, flat low domes, a narrow heart, few vessels."""
    low = 1.02 + 0.06 * severity
    return replace(
        anatomy,
        dome_z=(anatomy.dome_z[0] * low, anatomy.dome_z[1] * low),
        dome_drop=tuple(curve * (0.6 - 0.5 * severity) for curve in anatomy.dome_drop),
        lung_density=tuple(density * (0.72 - 0.3 * severity) for density in anatomy.lung_density),
        cardiothoracic_ratio=anatomy.cardiothoracic_ratio * (0.9 - 0.15 * severity),
        vessel_caliber=anatomy.vessel_caliber * 0.7,
    )


def overexpanded(anatomy: Anatomy, severity: float, rng: Random) -> Anatomy:
    """A child's lungs with swollen small airways trap air."""
    if rng.random() < 0.5:
        return anatomy
    low = 1 + 0.04 * severity
    return replace(anatomy, dome_z=(anatomy.dome_z[0] * low, anatomy.dome_z[1] * low),
                           dome_drop=tuple(0.75 * curve for curve in anatomy.dome_drop))  # fmt: skip


def shrunken(anatomy: Anatomy, severity: float, rng: Random) -> Anatomy:
    """Both domes high."""
    high = 1 - 0.08 * severity
    return replace(anatomy, dome_z=(anatomy.dome_z[0] * high, anatomy.dome_z[1] * high))


def pulled(anatomy: Anatomy, severity: float, rng: Random) -> Anatomy:
    """Heart and trachea drawn to one side, that side's dome up."""
    side = int(rng.integers(2))
    domes = list(anatomy.dome_z)
    domes[side] *= 1 - 0.09 * severity
    shift = (0.07 if side else -0.07) * severity * anatomy.patient.half_width
    return replace(anatomy, dome_z=tuple(domes), mediastinal_shift=anatomy.mediastinal_shift + shift)


@dataclass(frozen=True)
class Finding:
    """One finding.

    Args:
        change: of the anatomy, before the thorax is drawn.
        draw: into the lungs, after.
    """

    change: Callable[[Anatomy, float, Random], Anatomy] | None = None
    draw: Callable[[Pathology, float], None] | None = None


FINDINGS = {
    "bacterial_pneumonia": Finding(draw=pneumonia),
    "viral_pneumonia": Finding(overexpanded, viral_pneumonia),
    "tuberculosis": Finding(pulled, tuberculosis),
    "covid": Finding(draw=covid),
    "lung_opacity": Finding(draw=lung_opacity),
    "Atelectasis": Finding(pulled, atelectasis),
    "Cardiomegaly": Finding(wide_heart),
    "Effusion": Finding(draw=effusion),
    "Infiltration": Finding(draw=infiltration),
    "Mass": Finding(draw=mass),
    "Nodule": Finding(draw=nodule),
    "Pneumonia": Finding(draw=pneumonia),
    "Pneumothorax": Finding(draw=pneumothorax),
    "Consolidation": Finding(draw=consolidation),
    "Edema": Finding(wide_heart, edema),
    "Emphysema": Finding(blown_up, bullae),
    "Fibrosis": Finding(shrunken, fibrosis),
    "Pleural_Thickening": Finding(draw=pleural_thickening),
    "Hernia": Finding(draw=hernia),
}
