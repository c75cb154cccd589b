"""Findings as they are read on a radiograph: how each one changes the anatomy, and what it adds to the lungs."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from chest_transfer.phantom.anatomy import Anatomy
from chest_transfer.phantom.curves import Linear
from chest_transfer.phantom.focal_lesions import add_hernia, add_mass, add_nodule
from chest_transfer.phantom.infections import (
    add_bronchopneumonia,
    add_consolidation,
    add_covid,
    add_infiltration,
    add_lobar_pneumonia,
    add_pneumonia,
    add_viral_pneumonia,
)
from chest_transfer.phantom.parenchyma import add_atelectasis, add_bullae, add_edema, add_fibrosis
from chest_transfer.phantom.pathology import Pathology
from chest_transfer.phantom.pleura import add_effusion, add_pleural_thickening, add_pneumothorax
from chest_transfer.phantom.tuberculosis import add_tuberculosis

# All numbers were chosen for appearance, except that an enlarged heart is wider than half the chest (cardiothoracic
# ratio above 0.5). `Linear` values depend on the severity and are factors of the normal anatomy unless noted.
ENLARGED_HEART, MIN_ENLARGED_RATIO = Linear(1.1, 0.3), Linear(0.52, 0.12)
# Emphysema: long dark lungs, low flat domes, a narrow heart, few vessels.
EMPHYSEMA_DOME_Z, EMPHYSEMA_DOME_DROP, EMPHYSEMA_DENSITY = Linear(1.02, 0.06), Linear(0.6, -0.5), Linear(0.72, -0.3)
EMPHYSEMA_HEART, EMPHYSEMA_VESSELS = Linear(0.9, -0.15), 0.7
AIR_TRAPPING_PROBABILITY, TRAPPED_AIR_DOME_Z, TRAPPED_AIR_DOME_DROP = 0.5, Linear(1, 0.04), 0.75
FIBROSIS_DOME_Z = Linear(1, -0.08)
COLLAPSE_DOME_Z, COLLAPSE_SHIFT = Linear(1, -0.09), 0.07  # the shift is in half widths of the rib cage


# Changes of the anatomy, with the arguments of `Finding.change_anatomy`: Anatomy, severity (0-1), numpy Generator.


def _enlarge_heart(anatomy: Anatomy, severity: float, rng: np.random.Generator) -> Anatomy:
    """Make the heart wider than half the chest."""
    ratio = max(anatomy.cardiothoracic_ratio * ENLARGED_HEART(severity), MIN_ENLARGED_RATIO(severity))
    return replace(anatomy, cardiothoracic_ratio=ratio)


def _hyperinflate(anatomy: Anatomy, severity: float, rng: np.random.Generator) -> Anatomy:
    """Inflate both lungs permanently, as emphysema does."""
    return replace(
        _with_scaled_domes(anatomy, EMPHYSEMA_DOME_Z(severity)),
        dome_drop=tuple(drop * EMPHYSEMA_DOME_DROP(severity) for drop in anatomy.dome_drop),
        lung_density=tuple(density * EMPHYSEMA_DENSITY(severity) for density in anatomy.lung_density),
        cardiothoracic_ratio=anatomy.cardiothoracic_ratio * EMPHYSEMA_HEART(severity),
        vessel_caliber=anatomy.vessel_caliber * EMPHYSEMA_VESSELS,
    )


def _trap_air(anatomy: Anatomy, severity: float, rng: np.random.Generator) -> Anatomy:
    """Trap air behind a child's swollen small airways, in half of the cases."""
    if rng.random() < AIR_TRAPPING_PROBABILITY:
        return anatomy
    lowered = _with_scaled_domes(anatomy, TRAPPED_AIR_DOME_Z(severity))
    return replace(lowered, dome_drop=tuple(TRAPPED_AIR_DOME_DROP * drop for drop in anatomy.dome_drop))


def _reduce_lung_volume(anatomy: Anatomy, severity: float, rng: np.random.Generator) -> Anatomy:
    """Raise both domes of the diaphragm, as shrunken fibrotic lungs do."""
    return _with_scaled_domes(anatomy, FIBROSIS_DOME_Z(severity))


def _collapse_one_side(anatomy: Anatomy, severity: float, rng: np.random.Generator) -> Anatomy:
    """Pull heart and trachea to one side and that side's dome upward, as a loss of volume does."""
    index = int(rng.integers(2))
    dome_z = list(anatomy.dome_z)
    dome_z[index] *= COLLAPSE_DOME_Z(severity)
    shift = (COLLAPSE_SHIFT if index else -COLLAPSE_SHIFT) * severity * anatomy.patient.half_width
    return replace(anatomy, dome_z=tuple(dome_z), mediastinal_shift=anatomy.mediastinal_shift + shift)


def _with_scaled_domes(anatomy: Anatomy, factor: float) -> Anatomy:
    right, left = anatomy.dome_z
    return replace(anatomy, dome_z=(right * factor, left * factor))


def _add_lung_opacity(pathology: Pathology, severity: float) -> None:
    """Add an opacity of no particular disease."""
    kinds = [add_bronchopneumonia, add_lobar_pneumonia, add_infiltration, add_edema]
    pathology.rng.choice(kinds)(pathology, severity)


@dataclass(frozen=True)
class Finding:
    """How a finding is simulated; either part may be missing.

    Args:
        change_anatomy: function of an Anatomy, a severity (0-1) and a numpy Generator that returns the changed Anatomy
            from which the thorax is projected.
        add_signs: function of a Pathology and a severity (0-1) that adds the finding's signs to the Pathology.
    """

    change_anatomy: Callable[[Anatomy, float, np.random.Generator], Anatomy] | None = None
    add_signs: Callable[[Pathology, float], None] | None = None


FINDINGS = {
    "bacterial_pneumonia": Finding(add_signs=add_pneumonia),
    "viral_pneumonia": Finding(_trap_air, add_viral_pneumonia),
    "tuberculosis": Finding(_collapse_one_side, add_tuberculosis),
    "covid": Finding(add_signs=add_covid),
    "lung_opacity": Finding(add_signs=_add_lung_opacity),
    "Atelectasis": Finding(_collapse_one_side, add_atelectasis),
    "Cardiomegaly": Finding(_enlarge_heart),
    "Effusion": Finding(add_signs=add_effusion),
    "Infiltration": Finding(add_signs=add_infiltration),
    "Mass": Finding(add_signs=add_mass),
    "Nodule": Finding(add_signs=add_nodule),
    "Pneumonia": Finding(add_signs=add_pneumonia),
    "Pneumothorax": Finding(add_signs=add_pneumothorax),
    "Consolidation": Finding(add_signs=add_consolidation),
    "Edema": Finding(_enlarge_heart, add_edema),
    "Emphysema": Finding(_hyperinflate, add_bullae),
    "Fibrosis": Finding(_reduce_lung_volume, add_fibrosis),
    "Pleural_Thickening": Finding(add_signs=add_pleural_thickening),
    "Hernia": Finding(add_signs=add_hernia),
}
