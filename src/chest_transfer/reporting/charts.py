"""Charts of the report: SVG text in the colors of the page, light or dark; its bytes depend on the data alone."""

import io
import re

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# Placeholders that `_svg` replaces by colors of the page: text, grid, and one for each series.
INK, GRID, SERIES = "#010101", "#020202", [f"#0{number}0a0b" for number in range(1, 9)]
STYLES = ("-", "--", "-.", ":")
_SETTINGS = {
    "svg.fonttype": "none", "svg.hashsalt": "chest-transfer", "font.family": "sans-serif", "font.size": 9,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": GRID, "xtick.color": INK, "ytick.color": INK,
    "axes.grid": True, "grid.color": GRID, "grid.linewidth": 0.6, "axes.spines.top": False, "axes.spines.right": False,
    "legend.frameon": False, "axes.titlesize": 10,
}  # fmt: skip


def curves(table: pd.DataFrame, x: str, y: str, labels: tuple[str, str], diagonal: bool = False) -> str:
    """Draw one line for each `model` of a table of points.

    Args:
        table: columns model, and those named by x and y.
        x: str, a column.
        y: str, a column.
        labels: (str, str), of the axes.
        diagonal: bool, whether the line of chance (or of perfect calibration) is drawn.
    """
    with mpl.rc_context(_SETTINGS):
        figure = Figure((4.6, 3.9), layout="constrained")
        axes = figure.subplots()
        if diagonal:
            axes.plot([0, 1], [0, 1], color=GRID, linewidth=1.2)
        for number, (model, points) in enumerate(table.groupby("model", sort=False)):
            style, color = STYLES[number % len(STYLES)], SERIES[number % len(SERIES)]
            marker = {"marker": "o", "markersize": 3} if len(points) <= 12 else {}
            axes.plot(points[x], points[y], color=color, linestyle=style, linewidth=1.6, label=model, **marker)
        axes.set(xlabel=labels[0], ylabel=labels[1], xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        figure.legend(loc="outside lower center", ncols=2, fontsize=8)
        return _svg(figure)


def training_curves(table: pd.DataFrame) -> str:
    """Draw the cross-entropy of each epoch: training solid, validation dashed.

    Args:
        table: columns model, epoch, cross_entropy, of `curves.training_curves`; the name of a model ends in
            ` training` or ` validation`; of several seeds it is `<model> seed <number>`, in one color.
    """
    with mpl.rc_context(_SETTINGS):
        figure = Figure((4.6, 3.9), layout="constrained")
        axes = figure.subplots()
        models = list(dict.fromkeys(table["model"].str.split(" ").str[0]))
        labelled = set()
        for name, points in table.groupby("model", sort=False):
            model, part = name.split(" ")[0], name.split(" ")[-1]
            color, style = SERIES[models.index(model) % len(SERIES)], "-" if part == "training" else "--"
            label = "_" if model in labelled else model
            labelled.add(model)
            axes.plot(
                points["epoch"], points["cross_entropy"], color=color, linestyle=style, linewidth=1.6, label=label
            )
        axes.set(xlabel="epoch", ylabel="cross-entropy")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(loc="outside lower center", ncols=2, fontsize=8)
        return _svg(figure)


def learning_curves(table: pd.DataFrame) -> str:
    """Draw the test AUC of each model against the number of its training patients, on a logarithmic axis.

    Args:
        table: columns `learning_curves.COLUMNS`.
    """
    with mpl.rc_context(_SETTINGS):
        figure = Figure((6.4, 4.2), layout="constrained")
        axes = figure.subplots()
        for number, (model, points) in enumerate(table.groupby("model", sort=False)):
            style, color = STYLES[number % len(STYLES)], SERIES[number % len(SERIES)]
            axes.fill_between(points["patients"], points["auc_low"], points["auc_high"], color=color, alpha=0.12)
            axes.plot(
                points["patients"], points["auc"], color=color, linestyle=style, linewidth=1.6, marker="o",
                markersize=4, label=model,
            )  # fmt: skip
        numbers = sorted(set(table["patients"]))
        axes.set(xlabel="training patients", ylabel="test AUC", xscale="log")
        axes.set_xticks(numbers, [f"{patients:,}" for patients in numbers])
        axes.minorticks_off()
        figure.legend(loc="outside lower center", ncols=2, fontsize=8)
        return _svg(figure)


def intervals(rows: list[tuple[str, float, float, float]], label: str, zero: float | None = None) -> str:
    """Draw a dot with its interval for each row, the first on top.

    Args:
        rows: list of (name, value, low, high); low and high are None where there is no interval.
        label: str, of the values.
        zero: float, the value without any effect: 0 for a gain, 0.5 for an area under the ROC curve.
    """
    with mpl.rc_context(_SETTINGS):
        figure = Figure((6.4, 0.55 + 0.27 * len(rows)), layout="constrained")
        axes = figure.subplots()
        if zero is not None:
            axes.axvline(zero, color=INK, linewidth=1)
        for line, (_, value, low, high) in enumerate(rows):
            if low is not None:
                axes.plot([low, high], [line, line], color=SERIES[0], linewidth=2, solid_capstyle="butt")
            fill = SERIES[0] if low is not None else "none"
            axes.plot([value], [line], "o", color=SERIES[0], markerfacecolor=fill, markersize=5)
        axes.set(
            xlabel=label, yticks=range(len(rows)), yticklabels=[row[0] for row in rows], ylim=(len(rows) - 0.4, -0.6)
        )
        axes.grid(visible=False, axis="y")
        return _svg(figure)


def histogram(table: pd.DataFrame, x: str, y: str, labels: tuple[str, str]) -> str:
    """Draw a stepped line for each `class` of a table of bars.

    Args:
        table: columns class, and those named by x and y.
        x: str, a column.
        y: str, a column.
        labels: (str, str), of the axes.
    """
    with mpl.rc_context(_SETTINGS):
        figure = Figure((4.6, 3.2), layout="constrained")
        axes = figure.subplots()
        for number, (name, bars) in enumerate(table.groupby("class")):
            style, color = STYLES[number % len(STYLES)], SERIES[number % len(SERIES)]
            axes.plot(bars[x], bars[y], color=color, linestyle=style, linewidth=1.5, label=name, drawstyle="steps-post")
        axes.set(xlabel=labels[0], ylabel=labels[1])
        figure.legend(loc="outside lower center", ncols=2, fontsize=8)
        return _svg(figure)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    colors = {INK: "var(--ink)", GRID: "var(--grid)"} | {c: f"var(--series-{n})" for n, c in enumerate(SERIES, 1)}
    for placeholder, color in colors.items():
        text = text.replace(placeholder, color)
    # A size in points would not shrink on a phone. Screen readers skip the chart and read its caption.
    text = re.sub(r'<svg (.*?)width="[\d.]+pt" height="[\d.]+pt"|<svg ', _opening_tag, text, count=1)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    return re.sub(r"font: [^;\"]*?([\d.]+px)[^;\"]*", r"font: \1 system-ui, sans-serif", text)


def _opening_tag(match: re.Match) -> str:
    return f'<svg aria-hidden="true" {match[1] or ""}'
