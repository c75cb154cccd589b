"""Charts of the report and of a paper, as figures of Matplotlib; `chart_looks` decides on colors, sizes and files."""

from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

LONGEST_LABEL = 26  # characters that two columns of a legend have room for
STYLES = ("-", "--", ":")  # 3, so that 24 lines differ with 8 colors


def curves(table: pd.DataFrame, x: str, y: str, labels: tuple[str, str], diagonal: bool = False) -> Figure:
    """Draw one line for each `model` of a table of points, with an interval at each point where the table has one.

    Args:
        table: columns model, those named by x and y, and `<y>_low` and `<y>_high` for intervals.
        x: str, a column.
        y: str, a column.
        labels: (str, str), of the axes.
        diagonal: bool, whether the line of chance (or of perfect calibration) is drawn.
    """
    figure = Figure((4.6, 3.9), layout="constrained")
    axes = figure.subplots()
    if diagonal:
        axes.plot([0, 1], [0, 1], color=mpl.rcParams["grid.color"], linewidth=1.2)
    for number, (model, points) in enumerate(table.groupby("model", sort=False)):
        style, color = STYLES[number % len(STYLES)], _color(number)
        marker = {"marker": "o", "markersize": 3} if len(points) <= 12 else {}
        axes.plot(points[x], points[y], color=color, linestyle=style, linewidth=1.6, label=model, **marker)
        if f"{y}_low" in table:
            axes.vlines(points[x], points[f"{y}_low"], points[f"{y}_high"], color=color, linewidth=1, alpha=0.6)
    axes.set(xlabel=labels[0], ylabel=labels[1], xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    _add_legend(figure)
    return figure


def training_curves(table: pd.DataFrame, name_of: Callable[[str], str] = str) -> Figure:
    """Draw the cross-entropy of each epoch: training solid, validation dashed.

    Args:
        table: columns model, epoch, cross_entropy, of `curves.training_curves`; the name of a model ends in
            ` training` or ` validation`; of several seeds it is `<model> seed <number>`, in one color.
        name_of: function from a model's key to what the legend calls it.
    """
    figure = Figure((4.6, 3.9), layout="constrained")
    axes = figure.subplots()
    models = list(dict.fromkeys(table["model"].str.split(" ").str[0]))
    labelled = set()
    for name, points in table.groupby("model", sort=False):
        model, part = name.split(" ")[0], name.split(" ")[-1]
        color, style = _color(models.index(model)), "-" if part == "training" else "--"
        label = "_" if model in labelled else name_of(model)
        labelled.add(model)
        axes.plot(points["epoch"], points["cross_entropy"], color=color, linestyle=style, linewidth=1.6, label=label)
    axes.set(xlabel="epoch", ylabel="cross-entropy")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _add_legend(figure)
    return figure


def learning_curves(table: pd.DataFrame) -> Figure:
    """Draw the test AUC of each model against the number of its training patients, on a logarithmic axis.

    Args:
        table: columns `learning_curves.COLUMNS`.
    """
    figure = Figure((6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for number, (model, points) in enumerate(table.groupby("model", sort=False)):
        style, color = STYLES[number % len(STYLES)], _color(number)
        axes.fill_between(points["patients"], points["auc_low"], points["auc_high"], color=color, alpha=0.12)
        axes.plot(
            points["patients"], points["auc"], color=color, linestyle=style, linewidth=1.6, marker="o",
            markersize=4, label=model,
        )  # fmt: skip
    numbers = sorted(set(table["patients"]))
    axes.set(xlabel="training patients", ylabel="test AUC", xscale="log")
    axes.set_xticks(numbers, [f"{patients:,}" for patients in numbers])
    axes.minorticks_off()
    _add_legend(figure)
    return figure


def by_block(table: pd.DataFrame, x: str, y: str, labels: tuple[str, str], zero: float | None = None) -> Figure:
    """Draw a line for each `model` of a table over the blocks of a network, with a band where the table has one.

    Args:
        table: columns model, those named by x and y, and `<y>_low` and `<y>_high` for a band.
        x: str, the column of blocks: numbers, and words after them.
        y: str, a column.
        labels: (str, str), of the axes.
        zero: float, the value without any effect.
    """
    figure = Figure((4.6, 3.9), layout="constrained")
    axes = figure.subplots()
    blocks = sorted(set(table[x].astype(str)), key=lambda block: (int(block) if block.isdigit() else np.inf, block))
    if zero is not None:
        axes.axhline(zero, color=mpl.rcParams["text.color"], linewidth=1)
    for number, (model, points) in enumerate(table.groupby("model", sort=False)):
        places = [blocks.index(block) for block in points[x].astype(str)]
        style, color = STYLES[number % len(STYLES)], _color(number)
        if f"{y}_low" in table and points[f"{y}_low"].notna().all():
            axes.fill_between(places, points[f"{y}_low"], points[f"{y}_high"], color=color, alpha=0.12)
        axes.plot(places, points[y], color=color, linestyle=style, linewidth=1.6, marker="o", markersize=4, label=model)
    axes.set(xlabel=labels[0], ylabel=labels[1])
    axes.set_xticks(range(len(blocks)), blocks)
    _add_legend(figure)
    return figure


def intervals(rows: list[tuple[str, float, float, float]], label: str, zero: float | None = None) -> Figure:
    """Draw a dot with its interval for each row, the first on top.

    Args:
        rows: list of (name, value, low, high); low and high are None where there is no interval.
        label: str, of the values.
        zero: float, the value without any effect: 0 for a gain, 0.5 for an area under the ROC curve.
    """
    figure, color = Figure((6.4, 0.55 + 0.27 * len(rows)), layout="constrained"), _color(0)
    axes = figure.subplots()
    if zero is not None:
        axes.axvline(zero, color=mpl.rcParams["text.color"], linewidth=1)
    for line, (_, value, low, high) in enumerate(rows):
        if low is not None:
            axes.plot([low, high], [line, line], color=color, linewidth=2, solid_capstyle="butt")
        fill = color if low is not None else "none"
        axes.plot([value], [line], "o", color=color, markerfacecolor=fill, markersize=5)
    axes.set(xlabel=label, yticks=range(len(rows)), yticklabels=[row[0] for row in rows], ylim=(len(rows) - 0.4, -0.6))
    axes.grid(visible=False, axis="y")
    return figure


def transfer(table: pd.DataFrame) -> Figure:
    """Draw what each start gained: on the left its test AUC and that from random weights, on the right the difference.

    Args:
        table: columns name, control, control_low, control_high, auc, auc_low, auc_high, gain, gain_low, gain_high, and
            claimed, whether a gain is; bounds are missing where there is no interval.
    """
    figure = Figure((6.4, 0.95 + 0.42 * len(table)), layout="constrained")
    areas, gains = figure.subplots(1, 2, sharey=True, width_ratios=(1.15, 1))
    ink = mpl.rcParams["text.color"]
    for row in table.itertuples():
        line = row.Index
        for shift, color, label, of in (
            (-0.13, ink, "random weights", "control"),
            (0.13, _color(0), "pretrained", "auc"),
        ):
            value, low, high = (getattr(row, f"{of}{end}") for end in ("", "_low", "_high"))
            areas.plot([low, high], [line + shift] * 2, color=color, linewidth=1.8, alpha=0.75)
            areas.plot([value], [line + shift], "o", color=color, markersize=4.5, label=label if line == 0 else "_")
        fill = _color(0) if row.claimed else "none"
        gains.plot([row.gain_low, row.gain_high], [line] * 2, color=_color(0), linewidth=1.8)
        gains.plot([row.gain], [line], "o", color=_color(0), markerfacecolor=fill, markersize=5)
    gains.axvline(0, color=ink, linewidth=1)
    areas.set(xlabel="test AUC", yticks=range(len(table)), yticklabels=table["name"], ylim=(len(table) - 0.5, -0.5))
    gains.set(xlabel="gain")
    for axes in (areas, gains):
        axes.grid(visible=False, axis="y")
    figure.legend(loc="outside upper left", ncols=2)
    return figure


def histogram(table: pd.DataFrame, x: str, y: str, labels: tuple[str, str]) -> Figure:
    """Draw a stepped line for each `class` of a table of bars.

    Args:
        table: columns class, and those named by x and y.
        x: str, a column.
        y: str, a column.
        labels: (str, str), of the axes.
    """
    figure = Figure((4.6, 3.2), layout="constrained")
    axes = figure.subplots()
    for number, (name, bars) in enumerate(table.groupby("class")):
        style, color = STYLES[number % len(STYLES)], _color(number)
        axes.plot(bars[x], bars[y], color=color, linestyle=style, linewidth=1.5, label=name, drawstyle="steps-post")
    axes.set(xlabel=labels[0], ylabel=labels[1])
    _add_legend(figure)
    return figure


def _add_legend(figure: Figure) -> None:
    """Add a legend below, in two columns where the labels are short enough for that."""
    figure.legend(loc="outside lower center", ncols=legend_columns(figure))


def legend_columns(figure: Figure) -> int:
    """Return in how many columns the legend of a figure has room for its labels."""
    labels = figure.axes[0].get_legend_handles_labels()[1]
    return 2 if max(map(len, labels), default=0) <= LONGEST_LABEL else 1


def _color(number: int) -> str:
    colors = mpl.rcParams["axes.prop_cycle"].by_key()["color"]
    return colors[number % len(colors)]
