"""The charts of a dataset: its curves, and what training did to its networks; for the page and a paper."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from chest_transfer.model_names import is_ensemble
from chest_transfer.reporting import charts
from chest_transfer.reporting.answers import GAIN, HARM, claim_of_gain
from chest_transfer.reporting.chart_looks import page_chart, paper_svg
from chest_transfer.reporting.gathering import Dataset
from chest_transfer.reporting.wording import model_in_words

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

    def on_page(self, of: str = "") -> dict:
        """Return it as the templates of pages take it, with its data and its vector picture to download.

        Args:
            of: str, the dataset that it is of, for the names of these files.
        """
        files = {"csv": self.table.to_csv(index=False).encode(), "svg": paper_svg(self.draw, self.table)}
        links = {
            ending: (f"{self.name}{of and '_'}{of}.{ending}", base64.b64encode(content).decode())
            for ending, content in files.items()
        }
        return {"title": self.title, "svg": page_chart(self.draw, self.table), "caption": self.caption, "links": links}


_CURVES = (
    ("roc", "ROC", ("false_positive_rate", "true_positive_rate"), (f"1 {MINUS} specificity", "sensitivity"), True,
     "Diseased against healthy at every threshold. The gray line is chance."),
    ("precision_recall", "Precision and recall", ("recall", "precision"), ("recall (sensitivity)", "precision"), False,
     "Of those who are predicted to be diseased, the share who are."),
    ("reliability", "Calibration", ("probability", "frequency"), ("calibrated probability", "observed frequency"), True,
     "A calibrated model lies on the gray line: of patients with a probability of 70 %, 70 % are diseased. "
     "Each point is of as many images as the others; bars are 95 % intervals over patients."),
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
        Chart(
            plot,
            title,
            caption,
            partial(charts.curves, x=x, y=y, labels=labels, diagonal=diagonal),
            plots[plot],
        )
        for plot, title, (x, y), labels, diagonal, caption in _CURVES
    ]


def training_chart(history: pd.DataFrame) -> Chart:
    """Return the chart of cross-entropy against the epoch."""
    caption = "Cross-entropy after each epoch, without class weights: training solid, validation dashed."
    draw = partial(charts.training_curves, name_of=model_in_words)
    return Chart("training", "Training", caption, draw, history)


def learning_chart(table: pd.DataFrame) -> Chart:
    """Return the chart of the test AUC against the number of training patients."""
    caption = (
        "Test AUC against the number of training patients, with 95 % intervals. All validation patients are used each "
        "time, beside the training patients: they decide on early stopping, calibration and thresholds."
    )
    return Chart("learning_curves", "How many patients it takes", caption, charts.learning_curves, table)


def brightness_chart(table: pd.DataFrame) -> Chart:
    """Return the chart of the mean gray level by class."""
    caption = "Mean gray level by class. Where classes differ much, models may tell scanners apart."
    draw = partial(charts.histogram, x="brightness", y="share", labels=("mean gray level", "share"))
    return Chart("brightness", "Brightness by class", caption, draw, table)


def in_words(chart: Chart) -> Chart:
    """Return a chart with its models in words."""
    return replace(chart, table=chart.table.assign(model=[model_in_words(model) for model in chart.table["model"]]))


def transfer_chart(datasets: list[Dataset]) -> Chart | None:
    """Return the chart of what each start gained, all regimes of all datasets; None where nothing is compared."""
    rows = []
    for dataset in datasets:
        for regime, starts in dataset.gains.items():
            for start, gain in starts.items():
                if gain["auc"] is None or is_ensemble(start):
                    continue
                words = model_in_words(f"{regime}-{start}")
                row = {"name": f"{dataset.name}\n{words}"}
                for side, record in (
                    ("control", dataset.scores[gain["against"]]),
                    ("auc", dataset.scores[f"{regime}-{start}"]),
                    ("gain", gain),
                ):
                    row |= {f"{side}{end}": record[f"auc{end}"] for end in ("", "_low", "_high")}
                row["claimed"] = claim_of_gain(dataset.scores, regime, start, gain) in (GAIN, HARM)
                rows.append(row)
    if not rows:
        return None
    caption = (
        "Test AUC of each start and of random weights in the same regime, with 95 % intervals, and the difference. A "
        "filled dot is a gain, or a harm, that can be claimed: its interval leaves zero, and no fit failed."
    )
    return Chart("transfer", "What pretraining gained", caption, charts.transfer, pd.DataFrame(rows).astype(_NUMBERS))


_NUMBERS = {f"{side}{end}": float for side in ("control", "auc", "gain") for end in ("", "_low", "_high")}


def interval_chart(name: str, title: str, caption: str, label: str, zero: float, rows: list[tuple]) -> Chart:
    """Return a chart of a dot with its interval for each row (words, value, low, high), the first on top."""
    table = pd.DataFrame(rows, columns=["name", "value", "low", "high"]).astype({"value": float}).astype(object)
    table = table.where(table.notna(), None)

    def draw(of: pd.DataFrame) -> Figure:
        return charts.intervals(list(of.itertuples(index=False, name=None)), label, zero=zero)

    return Chart(name, title, caption, draw, table)


def block_charts(dataset: Dataset) -> list[Chart]:
    """Return the charts over the blocks of a network; none where networks were not looked into."""
    return [
        Chart(name, title, caption, partial(charts.by_block, x=x, y=y, labels=labels, zero=zero), table)
        for attribute, name, title, (x, y), labels, zero, caption in _BY_BLOCK
        if len(table := getattr(dataset, attribute))
    ]
