"""The figures of a paper, as PDF and SVG: vectors with their letters inside, as wide as a column or the page."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from chest_transfer.evaluation.learning_curves import AREA
from chest_transfer.model_names import is_ensemble
from chest_transfer.reporting import charts
from chest_transfer.reporting.answers import FAILED, claim_of_gain
from chest_transfer.reporting.chart_looks import COLUMN, WHOLE_PAGE, write_paper_chart
from chest_transfer.reporting.dataset_charts import block_charts, curve_charts
from chest_transfer.reporting.gathering import Dataset
from chest_transfer.reporting.paper.experiments import Experiment
from chest_transfer.reporting.wording import intervals_hold_for, row_in_words, training_in_words

MOST_MODELS = 6  # in one figure


@dataclass(frozen=True)
class Figure:
    """A figure of a paper, not drawn yet.

    Args:
        name: str, of its files.
        caption: str.
        width: float, inches.
        draw: a function of `charts`.
        arguments: tuple, its arguments.
    """

    name: str
    caption: str
    width: float
    draw: Callable
    arguments: tuple

    def write(self, folder: Path) -> None:
        """Write it as `<name>.pdf` and `<name>.svg`."""
        write_paper_chart(folder / self.name, self.width, self.draw, *self.arguments)


def figures_of(experiments: list[Experiment]) -> list[Figure]:
    """Return the figures of all experiments: gains, and for each dataset its curves."""
    found = []
    for number, experiment in enumerate(experiments, start=1):
        suffix = f"_{number}_{experiment.settings.model}" if len(experiments) > 1 else ""
        found += _gains(experiment, suffix)
        for dataset in experiment.datasets:
            found += _of_dataset(dataset, experiment, f"{dataset.name}{suffix}")
    return found


def _gains(experiment: Experiment, suffix: str) -> Iterator[Figure]:
    rows = [
        (
            f"{dataset.name}, {_model(f'{regime}-{start}')}"
            f"{' (a fit failed)' if claim_of_gain(dataset.scores, regime, start, gain) == FAILED else ''}",
            *map(gain.get, AREA),
        )
        for dataset in experiment.datasets
        for regime, starts in dataset.gains.items()
        for start, gain in starts.items()
        if gain["auc"] is not None and not is_ensemble(start)
    ]
    if rows:
        caption = (
            f"{experiment.name}: gain in test AUC over random weights, with 95 % intervals "
            f"{intervals_hold_for(experiment.settings)}. An interval that contains zero is no evidence of a gain."
        )
        yield Figure(f"gains{suffix}", caption, WHOLE_PAGE, charts.intervals, (rows, "gain in test AUC", 0.0))


def _of_dataset(dataset: Dataset, experiment: Experiment, name: str) -> Iterator[Figure]:
    who = f"{experiment.name} on {dataset.name}"
    seeds = len(experiment.settings.seeds)
    together = f" All {seeds} seeds together." if seeds > 1 else ""
    learned, history = dataset.plots["learning_curves"], dataset.plots["history"]
    if len(learned):
        hold_for = intervals_hold_for(experiment.settings)
        caption = f"test AUC against the number of training patients, with 95 % intervals {hold_for}."
        for ending, of_whom, table in _by_training(learned):
            yield Figure(
                f"learning_curves_{name}{ending}", f"{who}{of_whom}: {caption}", COLUMN, charts.learning_curves,
                (_named(table, bool(ending)),),
            )  # fmt: skip
    for chart in curve_charts(dataset.plots):
        caption = f"{chart.title}. {chart.caption}{together}"
        for ending, of_whom, table in _readable(chart.table):
            yield Figure(f"{chart.name}_{name}{ending}", f"{who}{of_whom}: {caption}", COLUMN, chart.draw, (table,))
    for chart in block_charts(dataset):
        table = _named(chart.table, False)
        yield Figure(f"{chart.name}_{name}", f"{who}: {chart.title}. {chart.caption}", COLUMN, chart.draw, (table,))
    caption = "cross-entropy after each epoch, training solid and validation dashed."
    for ending, of_whom, table in _by_training(history):
        yield Figure(
            f"training_{name}{ending}", f"{who}{of_whom}: {caption}", COLUMN, charts.training_curves, (table, _model)
        )


def _readable(table: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield the ending of a name, whose figure it is, and its table, with lines in words: not too many in one figure.

    Where models have a curve for each finding, there is a figure for each model.
    """
    keys = table["model"].str.split(" ", n=1)
    if keys.str.len().max() == 1:
        for ending, of_whom, part in _by_training(table):
            yield ending, of_whom, _named(part, bool(ending))
        return
    for key, curves in table.groupby(keys.str[0], sort=False):
        ending = re.sub(r"\W", "_", f"_{key}")
        yield ending, f", {_model(key)}", curves.assign(model=curves["model"].str.split(" ", n=1).str[1])


def _by_training(table: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield the ending of a name, whose figure it is, and its table: one for each regime where they are many."""
    keys = table["model"].str.split(" ", n=1).str[0]
    if keys.nunique() <= MOST_MODELS:
        yield "", "", table
        return
    for regime, part in table.groupby(keys.str.split("-").str[0], sort=False):
        yield f"_{regime}", f", {training_in_words(regime)}", part


def _named(table: pd.DataFrame, is_of_one_regime: bool) -> pd.DataFrame:
    """Return a table with its models in words, where they are named by their keys."""

    def name(key: str) -> str:
        if "-" not in key:
            return key
        return row_in_words(*key.split("-", 1)) if is_of_one_regime else _model(key)

    return table.assign(model=table["model"].map(name))


def _model(key: str) -> str:
    regime, row = key.split("-", 1)
    return f"{training_in_words(regime)}, {row_in_words(regime, row)}"
