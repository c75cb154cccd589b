"""Figures: PNG files whose bytes depend on what they show alone."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from chest_transfer.data.arrays import Arrays
from chest_transfer.files import whole

INK = "#1f2328"
HEAT = mpl.colormaps["inferno"]


def save(figure: Figure, path: Path) -> None:
    """Write a PNG without the time or the library's version in it; all of it or nothing."""
    with whole(path) as aside:
        figure.savefig(aside, format="png", dpi=110, metadata={"Software": None}, facecolor="white")


def heat_map_sheet(test: Arrays, shown: list, maps: np.ndarray, boxes: pd.DataFrame, title: str) -> Figure:
    """A row for each kind (or class), a radiograph with its heat map above it laid over in each cell.

    Args:
        test: the split.
        shown: of `explanation.chosen`.
        maps: (n, H, W) of each.
        boxes: of `boxes.csv`; those of the explained class are outlined.
        title: the model.
    """
    of_rows: dict[tuple, list[int]] = {}
    single = len({each.class_number for each in shown}) == 1
    for number, each in enumerate(shown):
        of_rows.setdefault((each.kind,) if single else (each.class_number,), []).append(number)
    columns = max(map(len, of_rows.values()), default=1)
    figure = Figure((1.75 * columns + 1.3, 1.95 * len(of_rows) + 0.7), layout="constrained")
    figure.suptitle(title, color=INK, fontsize=11)
    grid = figure.subplots(max(len(of_rows), 1), columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for line, (key, numbers) in zip(grid, of_rows.items(), strict=False):
        label = key[0] if single else test.classes[key[0]].replace("_", " ")
        line[0].text(-0.08, 0.5, label, rotation=90, ha="right", va="center", transform=line[0].transAxes, fontsize=9)
        for axes, number in zip(line, numbers, strict=False):
            _overlay(axes, test, shown[number], maps[number], boxes, None if single else shown[number].kind)
    return figure


def _overlay(axes, test: Arrays, each, heat: np.ndarray, boxes: pd.DataFrame, kind: str | None) -> None:
    size = heat.shape[0]
    axes.imshow(test.images[each.row], cmap="gray", vmin=0, vmax=255)
    axes.imshow(HEAT(heat), alpha=0.55 * heat)
    of_image = boxes[(boxes["name"] == test.names[each.row]) & (boxes["finding"] == test.classes[each.class_number])]
    for box in of_image.itertuples():
        corner, sides = (
            (box.left * size, box.top * size),
            ((box.right - box.left) * size, (box.bottom - box.top) * size),
        )
        axes.add_patch(Rectangle(corner, *sides, fill=False, edgecolor="#00d4ff", linewidth=1.2))
    axes.set_title(f"{f'{kind}, ' if kind else ''}p = {each.probability:.2f}", fontsize=8, color=INK, pad=3)


def laid_over(pixels: np.ndarray, heat: np.ndarray, strength: float = 0.55) -> Image.Image:
    """A radiograph with a heat map over it, in its own size.

    Args:
        pixels: (H, W) uint8.
        heat: (H, W), 0-1.
        strength: of the hottest place, 0-1.
    """
    alpha = (strength * heat)[..., np.newaxis]
    mixed = (1 - alpha) * pixels[..., np.newaxis] + alpha * 255 * HEAT(heat)[..., :3]
    return Image.fromarray(np.clip(np.rint(mixed), 0, 255).astype(np.uint8))


def sample_sheet(rows: dict[str, list[np.ndarray]]) -> Figure:
    """A row of radiographs for each class, each in its own shape and grey levels.

    Args:
        rows: class -> (H, W) uint8 each.
    """
    columns = max(map(len, rows.values()))
    figure = Figure((1.75 * columns + 1.0, 1.85 * len(rows)), layout="constrained")
    for line, (name, images) in zip(figure.subplots(len(rows), columns, squeeze=False), rows.items(), strict=True):
        line[0].text(-0.08, 0.5, name.replace("_", " "), rotation=90, ha="right", va="center", color=INK, fontsize=9,
                     transform=line[0].transAxes)  # fmt: skip
        for axes in line:
            axes.set_axis_off()
        for axes, image in zip(line, images, strict=False):
            axes.imshow(image, cmap="gray", vmin=0, vmax=255)
    return figure
