"""Sample radiographs to look at: those of each class as the archive has them, and one as training augments it."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from chest_transfer.data.archives import Archive
from chest_transfer.data.arrays import Arrays
from chest_transfer.data.degradations import degrade_at_random
from chest_transfer.data.radiographs import decode_image
from chest_transfer.data.regions import WHOLE, Window, window_of
from chest_transfer.data.selection import order_by_name_hash
from chest_transfer.evaluation.figures import label_row

if TYPE_CHECKING:
    from chest_transfer.settings import Augmentation

LONGEST_SIDE = 320  # pixels


def class_samples(
    classes: tuple[str, ...], archive_path: Path, images: pd.DataFrame, count: int
) -> dict[str, list[np.ndarray]]:
    """Return the first radiographs of each class in the order of `order_by_name_hash`.

    Args:
        classes: tuple of str, of the dataset.
        archive_path: Path of its archive.
        images: table `images.csv`, indexed by name.
        count: int, of each class.

    Returns:
        dict of lists of (H, W) uint8 arrays by class, in their own shape, at most `LONGEST_SIDE` pixels a side, with a
        frame around the lungs where these are cropped to.
    """
    samples = {}
    with Archive(archive_path) as archive:
        labels = images["labels"].str.split("|")
        for name in classes:
            names = images.index[[name in labels_of_image for labels_of_image in labels]].to_numpy(str)
            chosen = names[order_by_name_hash(names)][:count]
            if len(chosen):
                contents = [archive.read(images.at[radiograph, "member"]) for radiograph in chosen]
                shown = [decode_image(content, LONGEST_SIDE).thumbnail(LONGEST_SIDE) for content in contents]
                windows = [window_of(row) for row in images.loc[chosen].to_dict("records")]
                samples[name] = list(map(with_frame, shown, windows))
    return samples


def with_frame(image: np.ndarray, window: Window) -> np.ndarray:
    """Return an image (H, W) uint8 with a white line around the window that a network sees, if not the whole."""
    if window == WHOLE:
        return image
    picture = Image.fromarray(image)
    left, top, right, bottom = window.pixels(*picture.size)
    ImageDraw.Draw(picture).rectangle((left, top, right - 1, bottom - 1), outline=255, width=2)
    return np.asarray(picture)


def augmented_samples(train: Arrays, settings: "Augmentation", seed: int, count: int) -> list[np.ndarray]:
    """Return a radiograph of the training split, then as training may augment it: (H, W) uint8 each.

    Args:
        train: Arrays of the training split.
        settings: section `augmentation` of the settings.
        seed: int.
        count: int, of images, the unchanged one included.
    """
    from chest_transfer.training.augmentation import augmentation_layers

    order, rng = order_by_name_hash(train.names), np.random.default_rng(seed)
    shown = train.inputs(order[:2])[..., 0]  # the second one lends its histogram
    unchanged = shown[:1, ..., np.newaxis].astype(np.float32)
    images, layers = [unchanged], augmentation_layers(settings, seed)
    for _ in range(count - 1):
        augmented = unchanged
        if settings.degrade:
            degraded = degrade_at_random(shown, settings.degrade, settings.degraded_share, rng)
            augmented = degraded[:1, ..., np.newaxis].astype(np.float32)
        for layer in layers:
            augmented = layer(augmented, training=True)
        images.append(np.asarray(augmented))
    return [np.clip(np.rint(image[0, ..., 0]), 0, 255).astype(np.uint8) for image in images]


def sample_figure(rows: dict[str, list[np.ndarray]]) -> Figure:
    """Draw a labeled row of radiographs (H, W) uint8 for each key, each in its own shape and gray levels."""
    columns = max(map(len, rows.values()))
    figure = Figure((1.75 * columns + 1.0, 1.85 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for line, (label, images) in zip(grid, rows.items(), strict=True):
        label_row(line[0], label.replace("_", " "))
        for axes, image in zip(line, images, strict=False):
            axes.imshow(image, cmap="gray", vmin=0, vmax=255)
    return figure
