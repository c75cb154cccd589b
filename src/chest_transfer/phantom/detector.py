"""From attenuation to gray levels: scatter, noise, blur, processing and tone curve, and each scanner's own."""

from dataclasses import dataclass

import numpy as np

from chest_transfer.phantom.raster import gaussian_blur
from chest_transfer.phantom.shapes import ImagePlane

SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0)
WATER, BONE = 0.20, 0.31  # attenuation a cm at about 60 keV: of water, and of bone beyond water


@dataclass(frozen=True)
class Scanner:
    """A hospital's way to make a radiograph: for each number, the middle and the spread over its images.

    Args:
        scatter: scattered over primary radiation behind the thorax, after the grid.
        noise: relative noise behind the thorax.
        blur: cm.
        detail: how much the processing lifts detail over wide shades; 0 for film.
        levels: grey levels (0-255) at the shares `SHARES` of an image's pixels, darkest first.
        spread: standard deviation of the middle levels from image to image.
    """

    scatter: tuple[float, float]
    noise: tuple[float, float]
    blur: tuple[float, float]
    detail: tuple[float, float]
    levels: tuple[float, ...]
    spread: float


def attenuation(tissue: np.ndarray, bone: np.ndarray) -> np.ndarray:
    """The beam's logarithm of weakening (Beer and Lambert) by cm of soft tissue and of bone."""
    return np.float32(WATER) * tissue + np.float32(BONE) * bone


def expose(weakening: np.ndarray, plane: ImagePlane, rng: np.random.Generator, scanner: Scanner) -> np.ndarray:
    """The logarithm of what reaches the detector, with scatter, noise and blur: bright where little gets through."""
    primary = np.exp(-weakening - _beam_nonuniformity(plane, rng))
    # Open air beside the patient would drown all else: the beam is limited to the body.
    typical = float(np.mean(np.minimum(primary, 0.1)))
    scattered = max(0.0, rng.normal(*scanner.scatter)) * gaussian_blur(np.minimum(primary, 0.1), 3.0 / plane.pixel_size)
    reached = primary + scattered
    reached = gaussian_blur(reached, max(0.25, rng.normal(*scanner.blur) / plane.pixel_size))
    # Photons: noise grows as the square root; blurred as the signal is, by the detector's screen.
    grain = rng.standard_normal(plane.shape, dtype=np.float32)
    grain = 0.75 * grain + 0.35 * (np.roll(grain, 1, 0) + np.roll(grain, 1, 1))
    level = abs(rng.normal(*scanner.noise)) * np.sqrt(typical)
    reached = reached + np.float32(level) * grain * np.sqrt(reached)
    return -np.log(np.maximum(reached, 1e-5))


def _beam_nonuniformity(plane: ImagePlane, rng: np.random.Generator) -> np.ndarray:
    """The beam's own shading, as weakening: the anode's heel, a tilted grid, fall-off to the sides."""
    height, width = plane.shape
    z = np.linspace(-1, 1, height, dtype=np.float32)[:, np.newaxis]
    x = np.linspace(-1, 1, width, dtype=np.float32)[np.newaxis]
    heel, grid, side, end = rng.normal(0, (0.18, 0.14, 0.75, 0.5)).astype(np.float32)
    return heel * z + grid * x + side * x * x + end * z * z


def develop(density: np.ndarray, plane: ImagePlane, rng: np.random.Generator, scanner: Scanner) -> np.ndarray:
    """Grey levels (h, w) float32 0-255: detail lifted as a scanner's processing does, then its tone curve.

    The tone curve brings the image's quantiles to levels drawn for each image from the scanner's own, as the
    histogram-based rescaling of digital detectors does. No finding can then be read off the histogram alone.
    """
    lift = np.float32(max(0.0, rng.normal(*scanner.detail)))
    # Between edge enhancement and the levelling of wide shades.
    reach = np.exp(rng.uniform(np.log(0.3), np.log(3.0)))
    if lift:
        density = density + lift * (density - gaussian_blur(density, reach / plane.pixel_size))
    return np.interp(density, np.quantile(density[::2, ::2], SHARES), _sample_gray_levels(rng, scanner)).astype(
        np.float32
    )


def _sample_gray_levels(rng: np.random.Generator, scanner: Scanner) -> np.ndarray:
    """One image's grey levels: lighter or darker, harder or softer, bent this way or that; never flat."""
    shares, usual = np.array(SHARES), np.array(scanner.levels)
    light, hard, bend = np.clip(rng.normal(0, (1, 0.45, 0.4)), -2, 2) * scanner.spread
    levels = usual + 2 * light * np.sqrt(shares * (1 - shares)) + hard * (2 * shares - 1)
    levels += bend * np.sin(2 * np.pi * shares)
    steps = np.maximum(np.diff(levels), 0.4 * np.diff(usual))
    return np.clip(np.cumsum([max(levels[0], 0), *steps]), 0, 255)


# Grey levels and their spread: averages over public samples of each dataset; the rest by eye beside them.
SCANNERS = {
    "pneumonia": Scanner((0.6, 0.3), (0.014, 0.010), (0.04, 0.03), (1.9, 1.0),
                         (1, 9, 16, 33, 72, 97, 116, 132, 148, 162, 175, 187, 194, 200, 231), 21),
    "tuberculosis": Scanner((0.35, 0.15), (0.015, 0.01), (0.05, 0.03), (0.7, 0.5),
                            (2, 12, 25, 45, 74, 95, 115, 135, 153, 169, 185, 203, 214, 223, 244), 28),
    "covid": Scanner((0.45, 0.25), (0.02, 0.015), (0.06, 0.035), (0.8, 0.5),
                     (1, 10, 22, 42, 76, 101, 122, 140, 157, 172, 187, 202, 210, 216, 240), 26),
    "nih": Scanner((0.45, 0.2), (0.02, 0.015), (0.05, 0.03), (0.6, 0.5),
                   (4, 13, 26, 50, 81, 103, 123, 141, 157, 173, 189, 206, 214, 220, 229), 29),
}  # fmt: skip
