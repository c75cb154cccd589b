"""The figures of a paper, as PDF and SVG: vectors with their letters inside, as wide as a column or the page."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

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
    found = [*_gains(experiments)]
    for experiment in experiments:
        of_backbone = f"_{experiment.name.replace(', ', '_')}" if len(experiments) > 1 else ""
        for dataset in experiment.datasets:
            found += _of_dataset(dataset, experiment, f"{dataset.name}{of_backbone}")
    return found


def _gains(experiments: list[Experiment]) -> Iterator[Figure]:
    rows = [
        (
            f"{dataset.name}, {_backbone(experiment, experiments)}{_model(f'{regime}-{start}')}"
            f"{' (a fit failed)' if claim_of_gain(dataset.scores, regime, start, gain) == FAILED else ''}",
            *map(gain.get, AREA),
        )
        for experiment in experiments
        for dataset in experiment.datasets
        for regime, starts in dataset.gains.items()
        for start, gain in starts.items()
        if gain["auc"] is not None
    ]
    if rows:
        hold_for = intervals_hold_for(experiments[0].settings)
        caption = (
            f"Gain in test AUC over the control, with 95 % intervals {hold_for}. An interval that contains zero is no "
            "evidence of a gain."
        )
        yield Figure("gains", caption, WHOLE_PAGE, charts.intervals, (rows, "gain in test AUC", 0.0))


def _of_dataset(dataset: Dataset, experiment: Experiment, name: str) -> Iterator[Figure]:
    who = f"{experiment.settings.model} on {dataset.name}"
    seeds = len(experiment.settings.seeds)
    together = f" All {seeds} seeds together." if seeds > 1 else ""
    learned = dataset.plots["learning_curves"]
    if len(learned):
        caption = (
            f"{who}: test AUC against the number of training patients, with 95 % intervals "
            f"{intervals_hold_for(experiment.settings)}."
        )
        yield Figure(f"learning_curves_{name}", caption, COLUMN, charts.learning_curves, (_named(learned),))
    for chart in (*curve_charts(dataset.plots), *block_charts(dataset)):
        words = f"{who}: {chart.title}. {chart.caption}{together}"
        yield Figure(f"{chart.name}_{name}", words, COLUMN, chart.draw, (_named(chart.table),))
    caption = f"{who}: cross-entropy after each epoch, training solid and validation dashed."
    yield Figure(f"training_{name}", caption, COLUMN, charts.training_curves, (dataset.plots["history"], _model))


def _backbone(experiment: Experiment, experiments: list[Experiment]) -> str:
    return f"{experiment.name}, " if len(experiments) > 1 else ""


def _named(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with its models in words, where they are named by their keys."""
    return table.assign(model=[_model(key) if "-" in key else key for key in table["model"]])


def _model(key: str) -> str:
    regime, row = key.split("-", 1)
    return f"{training_in_words(regime)}, {row_in_words(regime, row)}"
