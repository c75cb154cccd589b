"""Simulated chest radiographs: a thorax of simple shapes, and findings drawn where they are read.

This is a sketch that teaches a network something, not yet a likeness: grey ellipses and bands with noise.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter


@dataclass(frozen=True)
class Sign:
    """How a finding shows in a lung: `count` blobs of `radius` around (`x`, `y`), in shares of the lung's half axes."""

    y: float
    radius: float
    count: int
    both_lungs: bool = False
    texture: float = 1.0  # pixels of blur of what fills the blob, at 128 pixels a side
    spread: float = 0.35
    x: float = 0.0


# The interface for findings: a name, drawn at a severity of 0 to 1.
SIGNS = {
    "bacterial_pneumonia": Sign(y=0.35, radius=0.55, count=1, texture=2.0),
    "viral_pneumonia": Sign(y=0.1, radius=0.75, count=2, both_lungs=True, texture=1.0),
    "tuberculosis": Sign(y=-0.5, radius=0.3, count=3, texture=1.0, spread=0.25),
    "covid": Sign(y=0.45, radius=0.4, count=2, both_lungs=True, texture=2.5, x=0.45),
    "lung_opacity": Sign(y=0.2, radius=0.6, count=1, both_lungs=True, texture=3.0),
    "Atelectasis": Sign(y=0.6, radius=0.35, count=1, texture=4.0),
    "Cardiomegaly": Sign(y=0.0, radius=0.0, count=0),
    "Effusion": Sign(y=0.95, radius=0.5, count=1, texture=6.0, spread=0.05),
    "Infiltration": Sign(y=0.2, radius=0.5, count=2, texture=1.0),
    "Mass": Sign(y=0.0, radius=0.28, count=1, texture=8.0, spread=0.5),
    "Nodule": Sign(y=0.0, radius=0.12, count=1, texture=8.0, spread=0.6),
    "Pneumonia": Sign(y=0.35, radius=0.55, count=1, texture=2.0),
    "Pneumothorax": Sign(y=-0.6, radius=0.0, count=0),
    "Consolidation": Sign(y=0.3, radius=0.45, count=1, texture=5.0),
    "Edema": Sign(y=0.0, radius=0.7, count=2, both_lungs=True, texture=2.0),
    "Emphysema": Sign(y=0.0, radius=0.0, count=0),
    "Fibrosis": Sign(y=0.5, radius=0.5, count=2, both_lungs=True, texture=0.7),
    "Pleural_Thickening": Sign(y=-0.1, radius=0.25, count=2, texture=6.0, x=0.9, spread=0.1),
    "Hernia": Sign(y=0.9, radius=0.3, count=1, texture=8.0, x=-0.9, spread=0.05),
}


@dataclass(frozen=True)
class Patient:
    """What stays the same from one radiograph of a person to the next: shares of the image's side, and a seed."""

    width: float
    height: float
    heart: float
    rib_spacing: float
    seed: int

    @classmethod
    def random(cls, random: np.random.Generator) -> "Patient":
        return cls(
            width=random.uniform(0.15, 0.19),
            height=random.uniform(0.29, 0.37),
            heart=random.uniform(0.10, 0.14),
            rib_spacing=random.uniform(0.065, 0.085),
            seed=int(random.integers(2**32)),
        )


def radiograph(patient: Patient, findings: tuple[str, ...], random: np.random.Generator, size: int) -> np.ndarray:
    """One frontal radiograph.

    Args:
        patient: whose thorax.
        findings: names in `SIGNS`; drawn at a random severity.
        random: decides position, severity and noise.
        size: pixels a side.

    Returns:
        (size, size) uint8, bright where little gets through.
    """
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    y = y - random.normal(0, 0.012)
    x = x - random.normal(0, 0.012)
    lean = random.normal(0, 0.03)
    x = x + lean * (y - 0.5)
    inspiration = random.uniform(0.94, 1.06) * (1.12 if "Emphysema" in findings else 1.0)

    lungs = [_lung(patient, inspiration, x, y, side) for side in (-1, 1)]
    air = np.maximum(*(lung.air for lung in lungs))
    body = 1 - ((x - 0.5) / 0.54) ** 4 - ((y - 0.95) / 0.95) ** 4
    image = 0.62 * np.clip(body * 4, 0, 1) - 0.42 * air
    image += _bones(patient, x, y) * np.clip(body * 4, 0, 1)
    heart_width = patient.heart * (1.6 if "Cardiomegaly" in findings else 1.0)
    image += 0.3 * np.clip(3 * _ellipse(x, y, 0.54, 0.62, heart_width, 0.15), 0, 1) * air
    vessels = gaussian_filter(np.random.default_rng(patient.seed).normal(size=(size, size)), size / 90)
    image += 0.25 * vessels.astype(np.float32) * air
    for finding in findings:
        image += _drawn(SIGNS[finding], lungs, random, x, y, size)
    if "Pneumothorax" in findings:
        lung = lungs[random.integers(2)]
        beyond = np.clip((lung.top + 0.35 * (lung.bottom - lung.top) - y) * 60, 0, 1) * lung.air
        image -= (0.12 + 0.25 * vessels.astype(np.float32)) * beyond

    image = gaussian_filter(image, 0.006 * size)
    exposure, contrast = random.normal(0.08, 0.04), random.normal(1.0, 0.08)
    image = np.clip(contrast * image + exposure, 0, 1)
    image = image + random.normal(size=image.shape) * 0.02
    return np.clip(np.rint(255 * image), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class _Lung:
    air: np.ndarray
    centre: tuple[float, float]
    half_width: float
    top: float
    bottom: float
    side: int


def _lung(patient: Patient, inspiration: float, x: np.ndarray, y: np.ndarray, side: int) -> _Lung:
    half_height = patient.height * inspiration
    centre = (0.5 + side * (patient.width + 0.05), 0.48)
    bottom = centre[1] + 0.8 * half_height
    dome = bottom - 0.04 + 4.0 * (x - centre[0]) ** 2
    air = np.clip(6 * _ellipse(x, y, *centre, patient.width, half_height), 0, 1) * np.clip((dome - y) * 50, 0, 1)
    return _Lung(air, centre, patient.width, centre[1] - half_height, bottom, side)


def _ellipse(x: np.ndarray, y: np.ndarray, cx: float, cy: float, rx: float, ry: float) -> np.ndarray:
    """1 at the centre, 0 on the outline, negative outside."""
    return (1 - ((x - cx) / rx) ** 2 - ((y - cy) / ry) ** 2).astype(np.float32)


def _bones(patient: Patient, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    spine = np.exp(-(((x - 0.5) / 0.035) ** 2)) * (0.22 + 0.03 * np.cos(2 * np.pi * y / 0.055))
    outwards = np.abs(x - 0.5)
    back = np.cos(2 * np.pi * (y + 0.5 * outwards - 2.2 * outwards**2) / patient.rib_spacing)
    front = np.cos(2 * np.pi * (y - 0.9 * outwards) / (1.3 * patient.rib_spacing))
    within = np.clip((0.37 - outwards) * 20, 0, 1) * np.clip((0.9 - y) * 8, 0, 1) * np.clip(y * 8, 0, 1)
    ribs = 0.10 * np.clip(3 * back - 1.2, 0, 1) + 0.06 * np.clip(3 * front - 1.6, 0, 1)
    clavicles = 0.1 * np.exp(-(((y - 0.17 + 0.25 * (outwards - 0.2)) / 0.014) ** 2)) * (outwards < 0.36)
    return (spine + ribs * within + clavicles).astype(np.float32)


def _drawn(
    sign: Sign, lungs: list[_Lung], random: np.random.Generator, x: np.ndarray, y: np.ndarray, size: int
) -> np.ndarray:
    severity = random.uniform(0.35, 1.0)
    opacity = np.zeros_like(x)
    chosen = lungs if sign.both_lungs else [lungs[random.integers(2)]]
    for lung in chosen:
        half_height = (lung.bottom - lung.top) / 2
        for _ in range(sign.count):
            cx = lung.centre[0] + lung.half_width * (lung.side * sign.x + sign.spread * random.uniform(-1, 1))
            cy = (lung.top + lung.bottom) / 2 + half_height * (sign.y + sign.spread * random.uniform(-1, 1))
            radius = sign.radius * random.uniform(0.8, 1.25)
            blob = np.clip(2 * _ellipse(x, y, cx, cy, radius * lung.half_width, radius * half_height), 0, 1)
            opacity = np.maximum(opacity, blob * np.maximum(lung.air, 0.15))
    texture = gaussian_filter(random.normal(size=x.shape), sign.texture * size / 128)
    texture = 0.75 + 0.35 * texture / (np.abs(texture).mean() + 1e-6)
    return (0.3 * severity * opacity * np.clip(texture, 0, 2)).astype(np.float32)
