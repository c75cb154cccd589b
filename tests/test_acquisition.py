"""Sharpness, noise, contrast and field of view of images whose values are known."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from chest_transfer.analysis.acquisition import contrast, field_of_view, gray_levels, noise, sharpness

SIDE = 96


@pytest.fixture
def textures() -> np.ndarray:
    rng = np.random.default_rng(1)
    smooth = gaussian_filter(rng.normal(size=(8, SIDE, SIDE)), (0, 1, 1))
    return np.clip(128 + 40 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def test_a_blurred_image_is_less_sharp_in_each_measure(textures):
    blurred = gaussian_filter(textures, (0, 1.5, 1.5))
    laplacian, high_frequencies, edge_width = (sharpness(blurred) - sharpness(textures)).T
    assert (laplacian < 0).all()
    assert (high_frequencies < 0).all()
    assert (edge_width > 0).all()


def test_sharpness_does_not_depend_on_contrast(textures):
    half = (textures // 2).astype(np.uint8)
    np.testing.assert_allclose(sharpness(half)[:, 0], sharpness(textures)[:, 0], rtol=0.1)


@pytest.mark.parametrize("deviation", [5, 15])
def test_added_noise_is_estimated(deviation):
    # On a plane: Immerkær's kernel takes what is left of an image's own texture for noise, too.
    plane = np.linspace(60, 180, SIDE)[None, :, None] * np.ones((4, 1, SIDE))
    noisy = plane + np.random.default_rng(2).normal(0, deviation, plane.shape)
    np.testing.assert_allclose(noise(noisy.round().astype(np.uint8))[:, 0], deviation, rtol=0.1)


def test_contrast_and_gray_levels_are_those_of_the_pixels():
    image = np.zeros((1, SIDE, SIDE), np.uint8)
    image[:, :, SIDE // 2 :] = 200
    assert contrast(image)[0].tolist() == pytest.approx([100, 100, 200])
    assert gray_levels(image)[0, [0, 12]].tolist() == [0.5, 0.5]


def test_black_margins_and_black_and_white_pixels_are_measured():
    image = np.full((1, 100, 100), 255, np.uint8)
    image[:, :, :10], image[:, :, 95:], image[:, :20] = 0, 0, 0
    left, right, top, bottom, black, white = field_of_view(image)[0]
    assert (left, right, top, bottom) == (0.1, 0.05, 0.2, 0)
    assert black == pytest.approx(1 - white)


def test_an_image_of_one_gray_level_has_measures_without_a_warning():
    for measure in (sharpness, noise, contrast, gray_levels, field_of_view):
        assert np.isfinite(measure(np.zeros((2, SIDE, SIDE), np.uint8))).all()
