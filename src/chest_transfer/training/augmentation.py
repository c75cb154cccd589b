"""Augmentation as Keras layers: random while training, no change at inference."""

from typing import TYPE_CHECKING

import keras

if TYPE_CHECKING:
    from chest_transfer.settings import Augmentation


def augmentation_layers(settings: "Augmentation", seed: int) -> list[keras.layers.Layer]:
    """Return the layers that the settings turn on, for images (N, H, W, 1) with values 0-255.

    Args:
        settings: flip (left and right), rotation in degrees, shift, zoom and contrast as fractions; 0 leaves one out.
        seed: int; each layer gets a seed of its own.
    """
    layers = keras.layers
    edge = {"fill_mode": "constant", "fill_value": 0.0}  # the dark around a collimated radiograph
    chosen = []
    if settings.flip:
        chosen.append(layers.RandomFlip("horizontal", seed=seed + 4))
    if settings.rotation:
        chosen.append(layers.RandomRotation(settings.rotation / 360, seed=seed, **edge))
    if settings.shift:
        chosen.append(layers.RandomTranslation(settings.shift, settings.shift, seed=seed + 1, **edge))
    if settings.zoom:
        chosen.append(layers.RandomZoom(settings.zoom, seed=seed + 2, **edge))
    if settings.contrast:
        chosen.append(layers.RandomContrast(settings.contrast, value_range=(0, 255), seed=seed + 3))
    return chosen
