"""From attenuation to gray levels: scatter, noise, blur, processing and tone curve, and each scanner's own settings."""

from dataclasses import dataclass

import numpy as np

from chest_transfer.phantom.raster import gaussian_blur
from chest_transfer.phantom.shapes import ImagePlane

# Linear attenuation coefficients at about 60 keV. NIST (Hubbell and Seltzer, NISTIR 5632) tabulates mass attenuation
# coefficients of 0.206 cm²/g for water and 0.315 cm²/g for cortical bone at this energy. The bone of this simulation is
# less dense than cortical bone (1.92 g/cm³): 0.51 per cm in all corresponds to 1.6 g/cm³.
WATER_ATTENUATION = 0.20  # per cm
BONE_EXCESS_ATTENUATION = 0.31  # per cm, bone over the soft tissue that it replaces

# Scatter comes from the body: the beam is limited to it, and open air beside the patient would drown all else. Chosen
# for appearance, as are the numbers down to `SCANNERS`.
MAX_BODY_TRANSMISSION = 0.1  # of the beam
SCATTER_SPREAD = 3.0  # cm, standard deviation
MIN_BLUR_PIXELS = 0.25
# Photon noise is blurred by the detector's screen: the share of a pixel itself and of two neighbors.
NOISE_OWN_SHARE, NOISE_NEIGHBOR_SHARE = 0.75, 0.35
MIN_INTENSITY = 1e-5  # of the unattenuated beam
# Standard deviation of the beam's own shading, as attenuation from the center to the edge: the anode's heel effect, a
# tilted grid, the fall-off to the sides and to the ends.
HEEL_SD, GRID_SD, SIDE_SD, END_SD = 0.18, 0.14, 0.75, 0.5
# Detail enhancement: from edge enhancement (short) to the leveling of wide shades (long), log-uniform.
DETAIL_REACH = (0.3, 3.0)  # cm, standard deviation of the blur that separates detail

# Fractions of an image's pixels at which a scanner's gray levels are given.
QUANTILES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0)
QUANTILE_STEP = 2  # quantiles are taken from every second row and column
# Variation of the tone curve from image to image, in `Scanner.spread`: standard deviations of brightness, contrast and
# curvature, and the limits of all three in standard deviations of brightness.
TONE_SD, TONE_LIMITS = (1, 0.45, 0.4), (-2, 2)
BRIGHTNESS_GAIN = 2  # makes the factor of the brightness 1 at the median
MIN_STEP = 0.4  # gray levels between quantiles, as a fraction of the scanner's usual ones: never flat


@dataclass(frozen=True)
class Scanner:
    """How a hospital makes radiographs; pairs are (mean, standard deviation) over its images.

    Args:
        scatter: pair of floats, scattered over primary radiation behind the thorax, after the grid.
        noise: pair of floats, relative noise behind the thorax.
        blur: pair of floats, cm.
        detail: pair of floats, gain of detail over wide shades; 0 for film.
        gray_levels: tuple of 15 floats, 0-255, at the `QUANTILES` of an image's pixels, darkest first.
        spread: float, standard deviation of the middle gray levels from image to image.
    """

    scatter: tuple[float, float]
    noise: tuple[float, float]
    blur: tuple[float, float]
    detail: tuple[float, float]
    gray_levels: tuple[float, ...]
    spread: float


def attenuation(tissue: np.ndarray, bone: np.ndarray) -> np.ndarray:
    """Attenuation by the Beer-Lambert law: the natural logarithm of incoming over outgoing intensity.

    `tissue` and `bone` are (H, W) float32, cm along the beam.
    """
    return np.float32(WATER_ATTENUATION) * tissue + np.float32(BONE_EXCESS_ATTENUATION) * bone


def expose(total_attenuation: np.ndarray, plane: ImagePlane, rng: np.random.Generator, scanner: Scanner) -> np.ndarray:
    """Simulate what reaches the detector, with scatter, noise and blur.

    Args:
        total_attenuation: (H, W) float32, natural logarithm of incoming over outgoing intensity.
        plane: ImagePlane of the detector.
        rng: numpy Generator.
        scanner: Scanner.

    Returns:
        (H, W) float32, negative natural logarithm of the intensity: large where little gets through.
    """
    primary = np.exp(-total_attenuation - _beam_shading(plane, rng))
    from_body = np.minimum(primary, MAX_BODY_TRANSMISSION)
    mean_intensity = float(np.mean(from_body))
    scatter_ratio = max(0.0, rng.normal(*scanner.scatter))
    intensity = primary + scatter_ratio * gaussian_blur(from_body, SCATTER_SPREAD / plane.pixel_size)
    intensity = gaussian_blur(intensity, max(MIN_BLUR_PIXELS, rng.normal(*scanner.blur) / plane.pixel_size))
    noise = rng.standard_normal(plane.shape, dtype=np.float32)
    noise = NOISE_OWN_SHARE * noise + NOISE_NEIGHBOR_SHARE * (np.roll(noise, 1, 0) + np.roll(noise, 1, 1))
    # Photon noise grows with the square root of the intensity.
    noise_level = abs(rng.normal(*scanner.noise)) * np.sqrt(mean_intensity)
    intensity = intensity + np.float32(noise_level) * noise * np.sqrt(intensity)
    return -np.log(np.maximum(intensity, MIN_INTENSITY))


def _beam_shading(plane: ImagePlane, rng: np.random.Generator) -> np.ndarray:
    """(H, W) float32: the unevenness of the beam itself, as attenuation."""
    height, width = plane.shape
    z = np.linspace(-1, 1, height, dtype=np.float32)[:, np.newaxis]
    x = np.linspace(-1, 1, width, dtype=np.float32)[np.newaxis]
    heel, grid, side, end = rng.normal(0, (HEEL_SD, GRID_SD, SIDE_SD, END_SD)).astype(np.float32)
    return heel * z + grid * x + side * x * x + end * z * z


def develop(log_exposure: np.ndarray, plane: ImagePlane, rng: np.random.Generator, scanner: Scanner) -> np.ndarray:
    """Turn an exposure into gray levels: detail enhancement, then a tone curve.

    The tone curve brings the image's quantiles to gray levels that vary from image to image around the scanner's own,
    as the histogram-based rescaling of digital detectors does. No finding can then be read off the histogram alone.

    Args:
        log_exposure: (H, W) float32, of `expose`.
        plane: ImagePlane of the detector.
        rng: numpy Generator.
        scanner: Scanner.

    Returns:
        (H, W) float32, 0-255.
    """
    gain = np.float32(max(0.0, rng.normal(*scanner.detail)))
    shortest, longest = DETAIL_REACH
    reach = np.exp(rng.uniform(np.log(shortest), np.log(longest)))
    if gain:
        log_exposure = log_exposure + gain * (log_exposure - gaussian_blur(log_exposure, reach / plane.pixel_size))
    quantiles = np.quantile(log_exposure[::QUANTILE_STEP, ::QUANTILE_STEP], QUANTILES)
    return np.interp(log_exposure, quantiles, _sample_gray_levels(rng, scanner)).astype(np.float32)


def _sample_gray_levels(rng: np.random.Generator, scanner: Scanner) -> np.ndarray:
    """Sample one image's gray levels at `QUANTILES`: brighter or darker, more or less contrast, bent either way."""
    fractions, usual = np.array(QUANTILES), np.array(scanner.gray_levels)
    brightness, contrast, curvature = np.clip(rng.normal(0, TONE_SD), *TONE_LIMITS) * scanner.spread
    gray_levels = usual + BRIGHTNESS_GAIN * brightness * np.sqrt(fractions * (1 - fractions))
    gray_levels += contrast * (2 * fractions - 1)
    gray_levels += curvature * np.sin(2 * np.pi * fractions)
    steps = np.maximum(np.diff(gray_levels), MIN_STEP * np.diff(usual))
    return np.clip(np.cumsum([max(gray_levels[0], 0), *steps]), 0, 255)


# Gray levels and their spread are averages over public samples of each dataset; scatter, noise, blur and detail were
# chosen by eye beside these samples.
SCANNERS = {
    "pneumonia": Scanner(
        scatter=(0.6, 0.3), noise=(0.014, 0.010), blur=(0.04, 0.03), detail=(1.9, 1.0),
        gray_levels=(1, 9, 16, 33, 72, 97, 116, 132, 148, 162, 175, 187, 194, 200, 231), spread=21,
    ),
    "tuberculosis": Scanner(
        scatter=(0.35, 0.15), noise=(0.015, 0.01), blur=(0.05, 0.03), detail=(0.7, 0.5),
        gray_levels=(2, 12, 25, 45, 74, 95, 115, 135, 153, 169, 185, 203, 214, 223, 244), spread=28,
    ),
    "covid": Scanner(
        scatter=(0.45, 0.25), noise=(0.02, 0.015), blur=(0.06, 0.035), detail=(0.8, 0.5),
        gray_levels=(1, 10, 22, 42, 76, 101, 122, 140, 157, 172, 187, 202, 210, 216, 240), spread=26,
    ),
    "nih": Scanner(
        scatter=(0.45, 0.2), noise=(0.02, 0.015), blur=(0.05, 0.03), detail=(0.6, 0.5),
        gray_levels=(4, 13, 26, 50, 81, 103, 123, 141, 157, 173, 189, 206, 214, 220, 229), spread=29,
    ),
}  # fmt: skip
