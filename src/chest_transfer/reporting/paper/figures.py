"""The figures of a paper, as PDF and SVG: vectors with their letters inside, as wide as a column or the page."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from chest_transfer.model_names import is_ensemble
from chest_transfer.reporting import charts
from chest_transfer.reporting.answers import FAILED, claim_of_gain
from chest_transfer.reporting.chart_looks import COLUMN, WHOLE_PAGE, write_paper_chart
from chest_transfer.reporting.dataset_charts import block_charts, curve_charts
from chest_transfer.reporting.gathering import Dataset
from chest_transfer.reporting.paper.experiments import Experiment
from chest_transfer.reporting.wording import intervals_hold_for, row_in_words, training_in_words

AREA = ("auc", "auc_low", "auc_high")


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
    learned = dataset.plots["learning_curves"]
    if len(learned):
        caption = (
            f"{who}: test AUC against the number of training patients, with 95 % intervals "
            f"{intervals_hold_for(experiment.settings)}."
        )
        yield Figure(f"learning_curves_{name}", caption, COLUMN, charts.learning_curves, (_named(learned),))
    for chart in curve_charts(dataset.plots):
        caption = f"{chart.title}. {chart.caption}{together}"
        for part, of_part, table in _parts(chart.table):
            yield Figure(f"{chart.name}_{name}{part}", f"{who}{of_part}: {caption}", COLUMN, chart.draw, (table,))
    for chart in block_charts(dataset):
        yield Figure(
            f"{chart.name}_{name}", f"{who}: {chart.title}. {chart.caption}", COLUMN, chart.draw, (_named(chart.table),)
        )
    caption = f"{who}: cross-entropy after each epoch, training solid and validation dashed."
    yield Figure(f"training_{name}", caption, COLUMN, charts.training_curves, (dataset.plots["history"], _model))


def _parts(table: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield the ending of a name, whose figure it is, and its table: of all models, or of each if it has findings."""
    keys = table["model"].str.split(" ", n=1)
    if keys.str.len().max() == 1:
        yield "", "", _named(table)
        return
    for key, curves in table.groupby(keys.str[0], sort=False):
        ending = re.sub(r"\W", "_", f"_{key}")
        yield ending, f", {_model(key)}", curves.assign(model=curves["model"].str.split(" ", n=1).str[1])


def _named(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with its models in words, where they are named by their keys."""
    return table.assign(model=[_model(key) if "-" in key else key for key in table["model"]])


def _model(key: str) -> str:
    regime, row = key.split("-", 1)
    return f"{training_in_words(regime)}, {row_in_words(regime, row)}"
