"""Figures of radiographs with heat maps: PNG files whose bytes depend on the content alone."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from chest_transfer.data.arrays import Arrays
from chest_transfer.evaluation.explanation import Example
from chest_transfer.files import atomic_write

TEXT_COLOR, BOX_COLOR = "#1f2328", "#00d4ff"
HEAT_COLORS = mpl.colormaps["inferno"]
OPACITY = 0.55  # of the hottest place


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG without the time or the version of the library in it, complete or not at all."""
    with atomic_write(path) as aside:
        figure.savefig(aside, format="png", dpi=110, metadata={"Software": None}, facecolor="white")


def heat_map_figure(test: Arrays, examples: list[Example], maps: np.ndarray, boxes: pd.DataFrame, title: str) -> Figure:
    """Draw examples with their heat maps over them, a row for each outcome, or for each of several classes.

    Args:
        test: Arrays of the test split.
        examples: list of Example.
        maps: (n, H, W) float array, of each example.
        boxes: table `boxes.csv`; those of the explained class are outlined.
        title: str.
    """
    has_one_class = len({example.class_number for example in examples}) == 1
    rows: dict[str, list[int]] = {}
    for number, example in enumerate(examples):
        label = example.outcome if has_one_class else str(test.classes[example.class_number]).replace("_", " ")
        rows.setdefault(label, []).append(number)
    columns = max(map(len, rows.values()), default=1)
    figure = Figure((1.75 * columns + 1.3, 1.95 * len(rows) + 0.7), layout="constrained")
    figure.suptitle(title, color=TEXT_COLOR, fontsize=11)
    grid = figure.subplots(max(len(rows), 1), columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for line, (label, numbers) in zip(grid, rows.items(), strict=False):
        label_row(line[0], label)
        for axes, number in zip(line, numbers, strict=False):
            outcome = "" if has_one_class else f"{examples[number].outcome}, "
            _draw_example(axes, test, examples[number], maps[number], boxes, outcome)
    return figure


def label_row(axes, label: str) -> None:
    """Write a label beside the first image of a row, from bottom to top."""
    axes.text(
        -0.08, 0.5, label, rotation=90, ha="right", va="center", color=TEXT_COLOR, fontsize=9, transform=axes.transAxes
    )


def overlay(pixels: np.ndarray, heat: np.ndarray) -> Image.Image:
    """Return a radiograph (H, W) uint8 with a heat map (H, W) 0-1 over it."""
    opacity = (OPACITY * heat)[..., np.newaxis]
    mixed = (1 - opacity) * pixels[..., np.newaxis] + opacity * 255 * HEAT_COLORS(heat)[..., :3]
    return Image.fromarray(np.clip(np.rint(mixed), 0, 255).astype(np.uint8))


def _draw_example(axes, test: Arrays, example: Example, heat: np.ndarray, boxes: pd.DataFrame, outcome: str) -> None:
    size = heat.shape[0]
    axes.imshow(test.images[example.row], cmap="gray", vmin=0, vmax=255)
    axes.imshow(HEAT_COLORS(heat), alpha=OPACITY * heat)
    is_of_image = boxes["name"] == test.names[example.row]
    is_of_class = boxes["finding"] == test.classes[example.class_number]
    for box in boxes[is_of_image & is_of_class].itertuples():
        corner = box.left * size, box.top * size
        width, height = (box.right - box.left) * size, (box.bottom - box.top) * size
        axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=BOX_COLOR, linewidth=1.2))
    axes.set_title(f"{outcome}p = {example.probability:.2f}", fontsize=8, color=TEXT_COLOR, pad=3)
