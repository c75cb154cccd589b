"""What another hospital's device, archive or hand does to a radiograph, at graded strength.

In the stress test each is applied to test radiographs; in training, at random, those that should not count. Widths are
fractions of the side, so that a strength means the same whatever the image size.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

SHARPENING_RADIUS = 0.01  # of the side
LETTER_MARGIN = 0.04  # of the side


@dataclass(frozen=True)
class Degradation:
    """One thing that can happen to a radiograph.

    Args:
        apply: function from an image (H, W) uint8, a strength, a random generator, which chooses what the strength
            leaves open (such as the direction of a rotation), and another image (H, W) uint8, to an image.
        levels: tuple of float, the strengths of the stress test, weak to strong.
        strongest: float, the largest strength that can be set.
        unit: str, what the strength is.
        weakest: float, the strength that leaves an image as it is.
    """

    apply: Callable[[np.ndarray, float, np.random.Generator, np.ndarray], np.ndarray]
    levels: tuple[float, float, float]
    strongest: float
    unit: str
    weakest: float = 0.0


def _blur(image, strength, rng, other):
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(strength * len(image))))


def _sharpen(image, strength, rng, other):
    mask = ImageFilter.UnsharpMask(SHARPENING_RADIUS * len(image), round(100 * strength), threshold=0)
    return np.asarray(Image.fromarray(image).filter(mask))


def _noise(image, strength, rng, other):
    return _gray(image + rng.normal(0, strength, image.shape))


def _gamma(image, strength, rng, other):
    exponent = 2.0 ** (strength * rng.choice([-1, 1]))
    return _gray(255 * (np.arange(256) / 255) ** exponent)[image]


def _contrast(image, strength, rng, other):
    factor = 1 + strength * rng.choice([-1, 1])
    return np.asarray(ImageEnhance.Contrast(Image.fromarray(image)).enhance(factor))


def _histogram(image, strength, rng, other):
    """Move gray levels towards those that make the histogram that of the other image (histogram matching)."""
    shares, other_shares = (np.cumsum(np.bincount(one.ravel(), minlength=256)) / one.size for one in (image, other))
    levels = np.unique(other)
    matched = np.interp(shares, other_shares[levels], levels)
    return _gray((1 - strength) * np.arange(256) + strength * matched)[image]


def _spectrum(image, strength, rng, other):
    """Move the power at each wavelength towards that of the other image: its sharpness, noise and texture.

    The mean power of all directions, as the amplitudes of Fourier domain adaptation (Yang and Soatto 2020, CVPR).
    """
    rows, columns = np.fft.fftfreq(len(image)), np.fft.rfftfreq(image.shape[1])
    wave_numbers = np.rint(np.hypot(rows[:, np.newaxis], columns) * min(image.shape)).astype(int)
    spectra = [np.fft.rfft2(one.astype(np.float32)) for one in (image, other)]
    power, other_power = (np.bincount(wave_numbers.ravel(), (np.abs(one) ** 2).ravel()) for one in spectra)
    gain = ((other_power + 1) / (power + 1)) ** (strength / 2)
    gain[0] = 1.0  # the mean gray level
    return _gray(np.fft.irfft2(spectra[0] * gain[wave_numbers], image.shape))


def _jpeg(image, strength, rng, other):
    with io.BytesIO() as file:
        Image.fromarray(image).save(file, "JPEG", quality=max(round(100 - strength), 1))
        return np.array(Image.open(file))


def _resample(image, strength, rng, other):
    height, width = image.shape
    smaller = max(round(width / strength), 1), max(round(height / strength), 1)
    small = Image.fromarray(image).resize(smaller, Image.Resampling.BOX)
    return np.asarray(small.resize((width, height), Image.Resampling.BILINEAR))


def _rotation(image, strength, rng, other):
    angle = strength * rng.choice([-1, 1])
    return np.asarray(Image.fromarray(image).rotate(angle, Image.Resampling.BILINEAR))


def _border(image, strength, rng, other):
    width = round(strength * len(image))
    framed = np.zeros_like(image)
    framed[width : len(image) - width, width : image.shape[1] - width] = image[
        width : len(image) - width, width : image.shape[1] - width
    ]
    return framed


def _letter(image, strength, rng, other):
    side, picture = len(image), Image.fromarray(image)
    is_left, margin = rng.random() < 0.5, LETTER_MARGIN * len(image)
    position = (image.shape[1] - margin, margin) if is_left else (margin, margin)
    font = ImageFont.load_default(max(strength * side, 1))
    # The patient's left is at the right of the image.
    ImageDraw.Draw(picture).text(position, "L" if is_left else "R", 255, font, anchor="rt" if is_left else "lt")
    return np.asarray(picture)


def _gray(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


DEGRADATIONS = {
    "blur": Degradation(_blur, (0.004, 0.008, 0.016), 0.1, "standard deviation, of the side"),
    "sharpen": Degradation(_sharpen, (1.0, 2.0, 4.0), 20.0, "of unsharp masking: 1 adds what blurring removes"),
    "noise": Degradation(_noise, (5.0, 10.0, 20.0), 100.0, "standard deviation, gray levels"),
    "gamma": Degradation(_gamma, (0.25, 0.5, 1.0), 3.0, "doublings of the exponent, either way"),
    "contrast": Degradation(_contrast, (0.2, 0.4, 0.6), 0.95, "fraction, more or less"),
    "histogram": Degradation(_histogram, (0.33, 0.67, 1.0), 1.0, "of the way to that of another radiograph"),
    "spectrum": Degradation(_spectrum, (0.33, 0.67, 1.0), 1.0, "of the way to that of another radiograph"),
    "jpeg": Degradation(_jpeg, (60.0, 80.0, 90.0), 99.0, "100 minus the quality"),
    "resample": Degradation(_resample, (1.5, 2.0, 3.0), 10.0, "how many times smaller, and up again", weakest=1.0),
    "rotation": Degradation(_rotation, (5.0, 10.0, 20.0), 180.0, "degrees, either way"),
    "border": Degradation(_border, (0.05, 0.1, 0.15), 0.4, "width of a black frame, of the side"),
    "letter": Degradation(_letter, (0.06, 0.1, 0.15), 0.5, "height of an L or R, of the side"),
}


def degrade(images: np.ndarray, others: np.ndarray, name: str, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Return images with one degradation.

    Args:
        images: (N, H, W) uint8 array.
        others: (N, H, W) uint8 array, another image for each.
        name: str, a key of `DEGRADATIONS`.
        strength: float, in its unit.
        rng: random generator.
    """
    apply = DEGRADATIONS[name].apply
    return np.stack([apply(image, strength, rng, other) for image, other in zip(images, others, strict=True)])


def degrade_at_random(
    images: np.ndarray, strengths: dict[str, float], share: float, rng: np.random.Generator
) -> np.ndarray:
    """Return images of which a share has one or two degradations, of random strength up to a largest one.

    Args:
        images: (N, H, W) uint8 array.
        strengths: dict of float, the largest strength of each degradation.
        share: float, 0-1.
        rng: random generator.
    """
    names, degraded = list(strengths), np.array(images)
    for number in np.flatnonzero(rng.random(len(images)) < share):
        chosen = rng.permutation(len(names))[: rng.integers(1, 3)]
        for name in [names[k] for k in chosen]:
            strength = rng.uniform(DEGRADATIONS[name].weakest, strengths[name])
            other = images[rng.integers(len(images))]
            degraded[number] = DEGRADATIONS[name].apply(degraded[number], strength, rng, other)
    return degraded
