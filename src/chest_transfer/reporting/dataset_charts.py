"""The charts of a dataset: its curves, and what training did to its networks; for the page and a paper."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from chest_transfer.reporting import charts
from chest_transfer.reporting.chart_looks import page_chart
from chest_transfer.reporting.gathering import Dataset

MINUS = "\N{MINUS SIGN}"
BLOCK = "block, from the input on"


@dataclass(frozen=True)
class Chart:
    """A chart that is not drawn yet.

    Args:
        name: str, of its files.
        title: str.
        caption: str.
        draw: function from the table to a figure.
        table: table that is drawn, with a column model.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[pd.DataFrame], Figure]
    table: pd.DataFrame

    def on_page(self) -> dict:
        """Return it as the templates of pages take it."""
        return {"title": self.title, "svg": page_chart(self.draw, self.table), "caption": self.caption}


_CURVES = (
    ("roc", "ROC", ("false_positive_rate", "true_positive_rate"), (f"1 {MINUS} specificity", "sensitivity"), True,
     "Diseased against healthy at every threshold. The gray line is chance."),
    ("precision_recall", "Precision and recall", ("recall", "precision"), ("recall (sensitivity)", "precision"), False,
     "Of those who are predicted to be diseased, the share who are."),
    ("reliability", "Calibration", ("probability", "frequency"), ("calibrated probability", "observed frequency"), True,
     "A calibrated model lies on the gray line: of patients with a probability of 70 %, 70 % are diseased."),
)  # fmt: skip
_BY_BLOCK = (
    ("transfusion", "transfusion", "How much must be pretrained", ("blocks", "auc"),
     ("pretrained blocks; the rest is random", "test AUC"), None, "Weight transfusion (Raghu et al. 2019)."),
    ("blocks", "moved", "How far weights moved", ("block", "moved"), (BLOCK, "distance from the start, relative"), None,
     "The distance of a block's weights from where training started, relative to their length; mean over seeds."),
    ("blocks", "similarity", "How much outputs changed", ("block", "similarity"),
     (BLOCK, "similarity to the start (CKA)"), None,
     "Linear CKA (Kornblith et al. 2019) of a block's outputs before and after training, for test radiographs."),
    ("blocks", "reset", "Which blocks training needed", ("block", "auc"), (BLOCK, "change of test AUC if reset"), 0.0,
     "One block set back to its weights before training (Zhang et al. 2019), with a 95 % interval over patients."),
    ("networks", "networks", "How alike trained networks are", ("block", "similarity"),
     (BLOCK, "similarity of two networks (CKA)"), None,
     "Linear CKA of trained networks: of a start and random weights, and of two seeds of a start."),
)  # fmt: skip


def curve_charts(plots: dict[str, pd.DataFrame]) -> list[Chart]:
    """Return the charts of ROC, precision and recall, and calibration."""
    return [
        Chart(plot, title, caption, partial(charts.curves, x=x, y=y, labels=labels, diagonal=diagonal), plots[plot])
        for plot, title, (x, y), labels, diagonal, caption in _CURVES
    ]


def block_charts(dataset: Dataset) -> list[Chart]:
    """Return the charts over the blocks of a network; none where networks were not looked into."""
    return [
        Chart(name, title, caption, partial(charts.by_block, x=x, y=y, labels=labels, zero=zero), table)
        for attribute, name, title, (x, y), labels, zero, caption in _BY_BLOCK
        if len(table := getattr(dataset, attribute))
    ]
