"""How charts look and where they go: SVG in the colors of the page, light or dark; PDF and SVG files of a paper."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

from chest_transfer.reporting.charts import legend_columns

COLUMN, WHOLE_PAGE = 3.5, 7.2  # inches, of a paper with two columns
LINE = 0.14  # inches, of a legend
# Placeholders that `page_chart` replaces by colors of the page: text, grid, and one for each series.
INK, GRID, SERIES = "#010101", "#020202", [f"#0{number}0a0b" for number in range(1, 9)]
# Distinct to the color-blind (Okabe & Ito 2008, Color Universal Design), without yellow, which is faint on paper.
OF_PAPER = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#666666"]
_NO_DATE = {"Date": None, "Creator": None}
_BOTH = {
    "svg.hashsalt": "chest-transfer", "axes.grid": True, "grid.linewidth": 0.6, "axes.spines.top": False,
    "axes.spines.right": False, "legend.frameon": False,
}  # fmt: skip
_PAGE = _BOTH | {
    "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9, "legend.fontsize": 8, "axes.titlesize": 10,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": GRID, "xtick.color": INK, "ytick.color": INK,
    "grid.color": GRID, "axes.prop_cycle": mpl.cycler(color=SERIES),
}  # fmt: skip
# Letters are outlines in SVG and embedded as TrueType in PDF: journals refuse fonts that are not in the file.
_PAPER = _BOTH | {
    "svg.fonttype": "path", "pdf.fonttype": 42, "font.family": "DejaVu Sans", "font.size": 7.5, "legend.fontsize": 6.5,
    "grid.color": "#d5d5d5", "axes.prop_cycle": mpl.cycler(color=OF_PAPER),
}  # fmt: skip


def page_chart(draw: Callable[..., Figure], *arguments, **options) -> Markup:
    """Return a chart as SVG text in the colors of the page; its bytes depend on the data alone.

    Args:
        draw: a function of `charts`.
        arguments: its arguments.
        options: its keyword arguments.
    """
    buffer = io.StringIO()
    with mpl.rc_context(_PAGE):
        draw(*arguments, **options).savefig(buffer, format="svg", transparent=True, metadata=_NO_DATE)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    colors = {INK: "var(--ink)", GRID: "var(--grid)"} | {c: f"var(--series-{n})" for n, c in enumerate(SERIES, 1)}
    for placeholder, color in colors.items():
        text = text.replace(placeholder, color)
    # A size in points would not shrink on a phone. Screen readers skip the chart and read its caption.
    text = re.sub(r'<svg (.*?)width="[\d.]+pt" height="[\d.]+pt"|<svg ', _opening_tag, text, count=1)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    return Markup(re.sub(r"font: [^;\"]*?([\d.]+px)[^;\"]*", r"font: \1 system-ui, sans-serif", text))


def _opening_tag(match: re.Match) -> str:
    return f'<svg aria-hidden="true" {match[1] or ""}'


def write_paper_chart(path: Path, width: float, draw: Callable[..., Figure], *arguments, **options) -> None:
    """Write a chart as `<path>.pdf` and `<path>.svg`.

    Args:
        path: Path without an ending.
        width: float, inches.
        draw: a function of `charts`.
        arguments: its arguments.
        options: its keyword arguments.
    """
    with mpl.rc_context(_PAPER):
        figure = _of_paper(width, draw(*arguments, **options))
        no_date = {"CreationDate": None, "Creator": None, "Producer": None}
        figure.savefig(path.with_name(f"{path.name}.pdf"), metadata=no_date)
        figure.savefig(path.with_name(f"{path.name}.svg"), metadata=_NO_DATE)


def paper_svg(draw: Callable[..., Figure], *arguments, **options) -> bytes:
    """Return a chart as the SVG file of a paper, in the width that it is drawn with."""
    buffer = io.BytesIO()
    with mpl.rc_context(_PAPER):
        figure = draw(*arguments, **options)
        _of_paper(figure.get_size_inches()[0], figure).savefig(buffer, format="svg", metadata=_NO_DATE)
    return buffer.getvalue()


def _of_paper(width: float, figure: Figure) -> Figure:
    """Return a figure in another width, with as much room for its legend as it needs."""
    drawn_width, height = figure.get_size_inches()
    height *= width / drawn_width
    for legend in list(figure.legends):
        legend.remove()
        handles, labels = figure.axes[0].get_legend_handles_labels()
        columns = legend_columns(figure)
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)
        height += LINE * (-(-len(labels) // columns) - 2)  # the figure was drawn with room for two
    figure.set_size_inches(width, height)
    return figure
