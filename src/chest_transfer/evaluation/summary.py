"""The metrics and plots of one dataset's models, from the tables that were written with them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from chest_transfer.data.predictions import Predictions, read_predictions
from chest_transfer.evaluation.comparisons import compared, gains
from chest_transfer.evaluation.curves import COLUMNS, losses, points_of
from chest_transfer.evaluation.intervals import drawn
from chest_transfer.evaluation.meaning import HEALTH
from chest_transfer.evaluation.metrics import Judged, area, judged_by, restricted, rounded, scores
from chest_transfer.evaluation.subgroups import subgroup_scores
from chest_transfer.training.operating import operating_facts

HEADLINE = (
    "auc", "auc_low", "auc_high", "accuracy", "balanced_accuracy", "sensitivity", "specificity", "f1", "loss", "ece",
    "overlap", "auc_with_overlap",
)  # fmt: skip
GAIN = ("auc", "auc_low", "auc_high")
OF_ANOTHER = ("as_is-", "transfer-")  # models that learnt from another dataset


def evaluate(
    predictions: Path, models: list[str], multi_label: bool, files: pd.DataFrame, asked, dataset: str, folder: Path
) -> None:
    """Score models' test predictions, each calibrated and cut as its own validation predictions say.

    Writes under `folder`: `<dataset>.json`, regime -> weights -> the scores one looks at first (`train.none.auc`);
    `detail/<dataset>.json`, all of them; `gain/<dataset>.json`, what each start is worth over the control;
    `comparisons/<dataset>.csv`, every pair of models; `subgroups/<dataset>.csv`; and `plots/<dataset>/*.csv`.

    Args:
        predictions: the folder with one of `{val,test,history}.csv` for each model.
        models: their names, `<regime>-<weights>`, or `as_is-<source>` and `transfer-<source>`: those of another dataset
            are scored without the images that they learnt from there; how many those are is a score as well.
        multi_label: whether an image may have several labels.
        files: what `images.csv` tells of the dataset's radiographs, indexed by name.
        asked: settings: operating_point, rounds, seed.
        dataset: its name.
        folder: to write to.

    Raises:
        ChestTransferError: a model has no predictions.
    """
    tests = _tests(predictions, models)
    rounds = drawn(next(iter(tests.values())).patients, asked.rounds, asked.seed)
    judgements, areas, detail = {}, {}, {}
    groups, histories = [], []
    plots: dict[str, list] = {plot: [] for plot in COLUMNS}
    for name, test in tests.items():
        several = multi_label and test.classes != HEALTH
        val = read_predictions(predictions / name / "val.csv")
        judged = judged_by(operating_facts(val.truth, val.probabilities, several), test, several, asked.operating_point)
        judgements[name], fresh = judged, ~test.seen
        kept = restricted(judged, fresh)
        found, *areas[name] = scores(kept, rounds[:, fresh], test.classes)
        found |= _facts(judged, test, asked.operating_point) | {"validation_auc": _area(val, several)}
        if name.startswith(OF_ANOTHER):
            found["overlap"] = int(test.seen.sum())
            found["auc_with_overlap"] = rounded(area(judged))
        regime, weights = name.split("-", 1)
        detail.setdefault(regime, {})[weights] = found
        groups.append(subgroup_scores(kept, files.loc[test.names[fresh]], rounds[:, fresh]).assign(model=name))
        for plot, rows in points_of(name, kept, test.classes).items():
            plots[plot] += rows
        if not name.startswith("as_is-"):
            histories.append(losses(name, pd.read_csv(predictions / name / "history.csv")))
    pairs = compared(tests, judgements, areas, rounds)
    headline = {
        regime: {start: {key: found[key] for key in HEADLINE if key in found} for start, found in starts.items()}
        for regime, starts in detail.items()
    }
    gain = gains(pairs)
    bought = [
        (f"{regime}-{start}", *map(found.get, GAIN)) for regime, of in gain.items() for start, found in of.items()
    ]
    _write(folder / "plots" / dataset / "gain.csv", pd.DataFrame(bought, columns=["model", *GAIN]).to_csv(index=False))
    for part, content in (("", headline), ("detail", detail), ("gain", gain)):
        _write(folder / part / f"{dataset}.json", json.dumps(content, indent=2, allow_nan=False) + "\n")
    _write(folder / "subgroups" / f"{dataset}.csv", pd.concat(groups).to_csv(index=False))
    _write(folder / "comparisons" / f"{dataset}.csv", pairs.to_csv(index=False))
    for plot, rows in plots.items():
        table = pd.DataFrame(rows, columns=COLUMNS[plot])
        _write(folder / "plots" / dataset / f"{plot}.csv", table.to_csv(index=False))
    _write(folder / "plots" / dataset / "history.csv", pd.concat(histories).to_csv(index=False))


def _tests(predictions: Path, models: list[str]) -> dict[str, Predictions]:
    """Each model's test predictions; a transferred one has seen what the model that it comes from had."""
    tests = {name: read_predictions(predictions / name / "test.csv") for name in models}
    for name in models:
        if name.startswith("transfer-"):
            seen = read_predictions(predictions / name.replace("transfer", "as_is", 1) / "test.csv").seen
            tests[name] = replace(tests[name], seen=seen)
    return tests


def _area(val: Predictions, multi_label: bool) -> float | None:
    """The area under the ROC curve on validation, by which one model of several may be chosen."""
    return rounded(area(Judged(val.truth, val.probabilities, multi_label, 1.0, np.full(len(val.classes), 0.5))))


def _facts(judged: Judged, test: Predictions, point: str) -> dict:
    cuts = judged.cuts.tolist()
    several = len(cuts) > 2 or judged.multi_label
    threshold = dict(zip(test.classes, cuts, strict=True)) if several else cuts[1]
    exclusive = len(cuts) > 2 and not judged.multi_label
    return {
        "operating_point": "likeliest class" if exclusive else f"{point}, chosen on validation",
        "threshold": None if exclusive else threshold,
        "temperature": judged.temperature,
        "images": int((~test.seen).sum()),
        "patients": len(np.unique(test.patients[~test.seen])),
    }


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
