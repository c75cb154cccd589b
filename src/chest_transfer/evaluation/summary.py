"""The metrics and plots of one dataset's models, from the tables that were written with them."""

import json
from pathlib import Path

import pandas as pd

from chest_transfer.data.predictions import read_predictions
from chest_transfer.errors import ChestTransferError
from chest_transfer.evaluation.meaning import HEALTH
from chest_transfer.evaluation.metrics import confusion, roc_points, scores


def evaluate(predictions: Path, models: list[str], multi_label: bool, metrics: Path, plots: Path) -> None:
    """Score models' test predictions.

    Args:
        predictions: the folder with one of `{val,test,history}.csv` for each model.
        models: their names, `<regime>-<weights>`, or `as_is-<source>` and `transfer-<source>`: those of another dataset
            are scored without the images that they learnt from there; how many those are is a score as well.
        multi_label: whether an image may have several labels.
        metrics: the JSON to write: regime -> weights -> score, e.g. `train.none.auc`.
        plots: the folder for roc.csv, confusion.csv and history.csv, each with a `model` column.

    Raises:
        ChestTransferError: a model has no predictions.
    """
    summary: dict[str, dict] = {}
    roc, cells, histories = [], [], []
    for name in models:
        path = predictions / name / "test.csv"
        if not path.exists():
            raise ChestTransferError(f"no predictions at '{path}'; run: dvc repro")
        regime, weights = name.split("-", 1)
        truth, probabilities, classes = read_predictions(path)
        several, overlap = multi_label and classes != HEALTH, {}
        if regime in ("as_is", "transfer"):
            seen = pd.read_csv(predictions / f"as_is-{weights}" / "test.csv")["seen"].to_numpy(bool)
            overlap = {
                "overlap": int(seen.sum()), "auc_with_overlap": scores(truth, probabilities, several)["auc"]
            }  # fmt: skip
            truth, probabilities = truth[~seen], probabilities[~seen]
        summary.setdefault(regime, {})[weights] = scores(truth, probabilities, several) | overlap
        single = len(classes) == 2 and not several
        for k, x, y in roc_points(truth, probabilities, several):
            roc.append((name if single else f"{name} {classes[k]}", x, y))
        cells += [(name, *cell) for cell in confusion(truth, probabilities, classes, several)]
        if regime == "as_is":
            continue
        history = pd.read_csv(predictions / name / "history.csv")
        for part, column in (("training", "loss"), ("validation", "val_loss")):
            curve = history[["epoch"]].assign(model=f"{name} {part}", loss=history[column])
            histories.append(curve[["model", "epoch", "loss"]])
    plots.mkdir(parents=True, exist_ok=True)
    columns = ["model", "false_positive_rate", "true_positive_rate"]
    pd.DataFrame(roc, columns=columns).to_csv(plots / "roc.csv", index=False)
    pd.DataFrame(cells, columns=["model", "actual", "predicted", "images"]).to_csv(plots / "confusion.csv", index=False)
    pd.concat(histories).to_csv(plots / "history.csv", index=False)
    metrics.write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n")
