"""The metrics and plots of one dataset's models, from the tables that predict wrote."""

import json
from pathlib import Path

import pandas as pd

from chest_transfer.errors import ChestTransferError
from chest_transfer.evaluation.metrics import confusion, roc_points, scores
from chest_transfer.evaluation.predictions import read_predictions


def evaluate(predictions: Path, models: list[str], multi_label: bool, metrics: Path, plots: Path) -> None:
    """Score models' test predictions.

    Args:
        predictions: the folder with one of `{val,test,history}.csv` for each model.
        models: their names, `<regime>-<weights>`.
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
        summary.setdefault(regime, {})[weights] = scores(truth, probabilities, multi_label)
        single = len(classes) == 2 and not multi_label
        for k, x, y in roc_points(truth, probabilities, multi_label):
            roc.append((name if single else f"{name} {classes[k]}", x, y))
        cells += [(name, *cell) for cell in confusion(truth, probabilities, classes, multi_label)]
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
