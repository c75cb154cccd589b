"""Augmentation as layers: at random while training, nothing at inference."""

import keras


def augmentation_layers(settings, seed: int) -> list[keras.layers.Layer]:
    """The layers that the settings turn on, for images (N, H, W, 1) with values 0-255.

    Args:
        settings: flip (left and right), rotation in degrees, shift, zoom and contrast as shares; 0 leaves a layer out.
        seed: of the first; each has its own.
    """
    layers = keras.layers
    edge = {"fill_mode": "constant", "fill_value": 0.0}  # the dark around a collimated radiograph
    made = []
    if settings.flip:
        made.append(layers.RandomFlip("horizontal", seed=seed + 4))
    if settings.rotation:
        made.append(layers.RandomRotation(settings.rotation / 360, seed=seed, **edge))
    if settings.shift:
        made.append(layers.RandomTranslation(settings.shift, settings.shift, seed=seed + 1, **edge))
    if settings.zoom:
        made.append(layers.RandomZoom(settings.zoom, seed=seed + 2, **edge))
    if settings.contrast:
        made.append(layers.RandomContrast(settings.contrast, value_range=(0, 255), seed=seed + 3))
    return made
