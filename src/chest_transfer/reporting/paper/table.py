"""A table of a paper: raw numbers for CSV, and text for Markdown and LaTeX; with its kinds of columns."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from chest_transfer.reporting.html_tables import DASH, with_interval
from chest_transfer.reporting.paper.experiments import Experiment
from chest_transfer.reporting.wording import row_in_words, training_in_words

IN_CAPTION = ("Dataset", "Backbone")  # columns that are not shown where all rows are the same
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

    @cached_property
    def _texts(self) -> dict[str, list[str]]:
        texts = {head: [text(row) for row in self.rows] for head, text in self.columns}
        return {head: cells for head, cells in texts.items() if set(cells) != {DASH}}

    @cached_property
    def _constant(self) -> dict[str, str]:
        """What the same dataset and backbone of all rows are, which the caption says instead."""
        texts = self._texts
        return {
            head: texts[head][0] for head in IN_CAPTION if head in texts and len(set(texts[head])) == 1 < len(self.rows)
        }

    @property
    def shown(self) -> pd.DataFrame:
        """Text, as a reader sees it; columns without content, or with the same dataset or backbone, are left out."""
        return pd.DataFrame({head: cells for head, cells in self._texts.items() if head not in self._constant})

    @property
    def whole_caption(self) -> str:
        """The caption, after the dataset and the backbone that all rows share."""
        constant = ", ".join(self._constant.values())
        return f"{constant}: {self.caption[0].lower()}{self.caption[1:]}" if constant else self.caption


def words(name: str) -> Column:
    """Return a column of words, under its own name."""
    return name.capitalize(), lambda row: str(row[name])


def interval(name: str, head: str) -> Column:
    """Return a column of a score with its interval."""
    return head, lambda row: with_interval(row, name)


def number(value: float | None) -> str:
    """Return a number with three digits, or a dash."""
    return DASH if value is None else f"{value:.3g}"


WHO = [
    words("dataset"), words("backbone"),
    ("Training", lambda row: training_in_words(row["regime"])),
    ("Starting weights", lambda row: row_in_words(row["regime"], row["start"])),
]  # fmt: skip


def who(experiment: Experiment, dataset: str, regime: str, start: str) -> dict:
    """Return what names a model in a row."""
    return {"dataset": dataset, "backbone": experiment.name, "regime": regime, "start": start}
