"""A table of a paper: raw numbers for CSV, and text for Markdown and LaTeX; with its kinds of columns."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from chest_transfer.reporting.html_tables import DASH, with_interval

Column = tuple[str, Callable[[dict], str]]  # its head, and its text of a row


@dataclass(frozen=True)
class Table:
    """A table of a paper.

    Args:
        name: str, of its files.
        caption: str.
        rows: list of dict, the raw numbers.
        columns: list of Column.
    """

    name: str
    caption: str
    rows: list[dict]
    columns: list[Column]

    @property
    def raw(self) -> pd.DataFrame:
        """All numbers, a row for each."""
        return pd.DataFrame(self.rows)

    @property
    def shown(self) -> pd.DataFrame:
        """Text, as a reader sees it; a column that is the same dash in all rows is left out."""
        texts = {head: [text(row) for row in self.rows] for head, text in self.columns}
        return pd.DataFrame({head: cells for head, cells in texts.items() if set(cells) != {DASH}})


def words(name: str) -> Column:
    """Return a column of words, under its own name."""
    return name.capitalize(), lambda row: str(row[name])


def interval(name: str, head: str) -> Column:
    """Return a column of a score with its interval."""
    return head, lambda row: with_interval(row, name)


def p_value(p: float | None) -> str:
    """Return a p value as papers print it."""
    if p is None or pd.isna(p):
        return DASH
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def number(value: float | None) -> str:
    """Return a number with three digits, or a dash."""
    return DASH if value is None else f"{value:.3g}"
