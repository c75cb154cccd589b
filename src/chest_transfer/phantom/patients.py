"""Patients, and how they stood before the detector: what varies from one thorax and one exposure to the next."""

from dataclasses import dataclass, replace

import numpy as np


def child_factor(age: int) -> float:
    """1 for an infant, 0 for an adult: how far the proportions are a child's."""
    return float(np.clip((16 - age) / 14, 0, 1))


@dataclass(frozen=True)
class Patient:
    """What stays the same from one radiograph of a person to the next. Lengths in cm.

    Args:
        half_width, lung_height, depth: the inside of the rib cage: widest half, apex to dome, half of front to back.
        fat: soft tissue over the ribs.
        breast: radius of a breast's shadow; 0 for none.
        heart: the heart's width as a share of the cage's (the cardiothoracic ratio).
        mediastinal_depth: how far heart and great vessels reach from front to back, as a share of the cage's depth.
        rib_spacing: cm from one rib to the next at the spine.
        rib_drop: how far a rib falls from the spine to the side, as a share of `half_width`.
        bone: density of bone, 1 for a young adult.
        scoliosis: how far the spine bends sideways.
        vessel_seed: of what is his alone, such as the branching of his vessels.
    """

    age: int
    sex: str
    half_width: float
    lung_height: float
    half_depth: float
    fat_thickness: float
    breast_radius: float
    cardiothoracic_ratio: float
    mediastinal_depth: float
    rib_spacing: float
    rib_drop: float
    bone_density: float
    scoliosis: float
    thymus_size: float
    vessel_seed: int

    @property
    def child_factor(self) -> float:
        return child_factor(self.age)

    @classmethod
    def random(cls, rng: np.random.Generator, ages: tuple[int, int] = (18, 89)) -> "Patient":
        """Somebody of an age (years) between `ages`, both included."""
        youngest, oldest = ages
        middle = (youngest + oldest) / 2
        age = int(np.clip(rng.normal(middle, (oldest - youngest) / 4), youngest, oldest))
        sex = "M" if rng.random() < 0.55 else "F"
        child = child_factor(age)
        grown = 13.4 if sex == "M" else 12.1
        half_width = (grown * (1 - child) + 7.6 * child) * rng.normal(1, 0.06)
        habitus = rng.normal()  # slim to stout
        lung_height = half_width * ((1.78 - 0.48 * child) * rng.normal(1, 0.05 + 0.03 * child) - 0.05 * habitus)
        return cls(
            age=age,
            sex=sex,
            half_width=half_width,
            lung_height=lung_height,
            half_depth=half_width * rng.normal(0.66 + 0.12 * child, 0.04),
            fat_thickness=half_width * float(np.clip(0.17 + 0.07 * habitus, 0.06, 0.5)),
            breast_radius=half_width * rng.uniform(0.25, 0.62) * (sex == "F" and age > 13),
            cardiothoracic_ratio=float(
                np.clip(rng.normal(0.44 + 0.07 * child, 0.025 + 0.035 * child) + 0.01 * habitus, 0.36, 0.62)
            ),
            mediastinal_depth=float(np.clip(rng.normal(0.85 - 0.2 * child, 0.08), 0.45, 0.95)),
            rib_spacing=lung_height / rng.normal(9.3 - 0.4 * child, 0.5),
            rib_drop=rng.normal(0.42 - 0.1 * child, 0.05) - 0.03 * habitus,
            bone_density=float(np.clip(np.exp(rng.normal(0, 0.2 + 0.15 * child)), 0.5, 2))
            * (1 - 0.25 * max(0, age - 60) / 30),
            scoliosis=rng.normal(0, 0.025) * half_width,
            thymus_size=max(0.0, rng.normal(0.7, 0.9)) * child,
            vessel_seed=int(rng.integers(2**32)),
        )


@dataclass(frozen=True)
class Pose:
    """One exposure: how the patient stood or lay, breathed and turned.

    Args:
        view: "PA" (standing, chest to the detector) or "AP" (lying or sitting, back to it).
        inspiration: 1 for a full breath; the lungs' height scales with it.
        rotation: cm by which what lies in front moves against what lies behind.
        lean: slope of the body's axis.
        shift: (x, z) of the image's centre, as shares of the cage's half width.
        width: of the field, as a multiple of the cage's half width.
        aspect: the field's height over its width.
        arms: 0 hanging, 1 raised beside the head; above 0.5 they cross the upper corners.
    """

    view: str
    inspiration: float
    rotation: float
    lean: float
    shift: tuple[float, float]
    width: float
    aspect: float
    arm_elevation: float

    @classmethod
    def random(cls, rng: np.random.Generator, patient: Patient, frontal_share: float = 0.6) -> "Pose":
        """A pose for a patient; `frontal_share` is the share of PA views among adults (NIH: 0.60)."""
        child = patient.child_factor
        view = "PA" if rng.random() < frontal_share * (1 - child) else "AP"
        supine = view == "AP"
        return cls(
            view=view,
            inspiration=float(np.clip(rng.normal(0.93 if supine else 1.0, 0.055), 0.76, 1.08)),
            rotation=rng.normal(0, 0.09 if supine else 0.035) * patient.half_width,
            lean=rng.normal(0, 0.05 if supine else 0.015),
            shift=(rng.normal(0, 0.05), rng.normal(0.09 * child, 0.11)),
            width=float(np.clip(rng.normal(2.42 + 0.3 * child, 0.2 + 0.06 * child), 2.1, 3.3)),
            aspect=float(np.clip(rng.normal(0.98 - 0.2 * child, 0.07), 0.62, 1.25)),
            arm_elevation=rng.uniform(0.3, 1.0) * child if child > 0.3 else 0.0,
        )


@dataclass(frozen=True)
class Anatomy:
    """A patient in a pose: the measures that the thorax is drawn from, and that a finding may change. Lengths in cm.

    Of pairs, the first is the patient's right side, on the left of the image.

    Args:
        domes: z of each dome of the diaphragm.
        dome_curve: how far each dome falls towards the side.
        lung: density of each lung as a share of water's.
        vessels: calibre of the vessels, 1 for normal.
        pull: x by which heart and trachea are drawn to the left.
        bubble: radius of air in the stomach.
    """

    patient: Patient
    pose: Pose
    dome_z: tuple[float, float]
    dome_drop: tuple[float, float]
    lung_density: tuple[float, float]
    cardiothoracic_ratio: float
    vessel_caliber: float
    mediastinal_shift: float
    gastric_bubble_radius: float

    @classmethod
    def of(cls, patient: Patient, pose: Pose, rng: np.random.Generator) -> "Anatomy":
        wide, supine = patient.half_width, pose.view == "AP"
        right = patient.lung_height * pose.inspiration
        density = float(np.clip(rng.normal(0.27, 0.035), 0.17, 0.42)) + 0.1 * (1 - pose.inspiration)
        return cls(
            patient=patient,
            pose=pose,
            dome_z=(right, right + wide * rng.normal(0.09, 0.04)),
            dome_drop=tuple(wide * max(0.12, rng.normal(0.34, 0.06)) for _ in range(2)),
            lung_density=(density, density * rng.normal(1, 0.02)),
            cardiothoracic_ratio=patient.cardiothoracic_ratio
            * (1 + 0.1 * (1 - patient.child_factor) * supine)
            * rng.normal(1, 0.02)
            * (1.25 - 0.25 * pose.inspiration),
            vessel_caliber=float(np.clip(np.exp(rng.normal(0, 0.3)), 0.5, 1.7)),
            mediastinal_shift=0.0,
            gastric_bubble_radius=wide * max(0.0, rng.normal(0.16, 0.12)),
        )

    def changed(self, **changes) -> "Anatomy":
        return replace(self, **changes)
