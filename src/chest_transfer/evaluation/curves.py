"""The curves of a dataset's models as tables: each becomes a CSV file that DVC draws, and the report too."""

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_curve, roc_curve

from chest_transfer.data.arrays import UNKNOWN
from chest_transfer.evaluation.calibrated_predictions import CalibratedPredictions
from chest_transfer.evaluation.intervals import proportion_interval

MOST_POINTS = 200  # of a curve: enough for a figure, few enough for Git
MOST_BINS, FEWEST_IMAGES_IN_BIN = 10, 20  # of a calibration curve
COLUMNS = {
    "roc": ["model", "false_positive_rate", "true_positive_rate"],
    "precision_recall": ["model", "recall", "precision"],
    "reliability": ["model", "probability", "frequency", "frequency_low", "frequency_high", "images"],
    "confusion": ["model", "actual", "predicted", "images", "share"],
}


def curves_of_model(model: str, predictions: CalibratedPredictions) -> dict[str, pd.DataFrame]:
    """Return one table for each key of `COLUMNS`, with one curve, or one for each of several evaluable classes."""
    is_single = len(predictions.classes) == 2 and not predictions.multi_label
    tables = {name: [] for name in ("roc", "precision_recall", "reliability")}
    for k in predictions.evaluable_classes:
        label = model if is_single else f"{model} {predictions.classes[k]}"
        for name, curve in _curves_of_class(predictions, k).items():
            tables[name] += [(label, *point) for point in curve]
    tables["confusion"] = [(model, *cell) for cell in confusion_cells(predictions)]
    return {name: pd.DataFrame(rows, columns=COLUMNS[name]) for name, rows in tables.items()}


def training_curves(model: str, history: pd.DataFrame) -> pd.DataFrame:
    """Return columns model, epoch, cross_entropy and loss: a training and a validation curve of a fit."""
    curves = []
    for split, prefix in (("training", ""), ("validation", "val_")):
        columns = {name: history[f"{prefix}{name}"].round(6) for name in ("cross_entropy", "loss")}
        curves.append(history[["epoch"]].assign(model=f"{model} {split}", **columns))
    return pd.concat(curves)[["model", "epoch", "cross_entropy", "loss"]]


def confusion_cells(predictions: CalibratedPredictions) -> list[tuple[str, str, int, float]]:
    """Return (actual, predicted, images, share of the actual class) for each cell of the confusion matrix.

    For multi-label data the cells are, for each finding, in how many of the images that show it it was found or missed.
    """
    is_shown = (predictions.labels == 1).astype(int)
    counts = is_shown.T @ predictions.predicted
    classes, cells = predictions.classes, []
    if predictions.multi_label:
        present = is_shown.sum(axis=0)
        found = np.diag(counts)
        cells += [(name, "found", found[k], present[k]) for k, name in enumerate(classes)]
        cells += [(name, "missed", present[k] - found[k], present[k]) for k, name in enumerate(classes)]
    else:
        totals = counts.sum(axis=1)
        cells += [(a, b, counts[i, j], totals[i]) for i, a in enumerate(classes) for j, b in enumerate(classes)]
    return [
        (actual, label, int(images), round(images / max(int(total), 1), 4)) for actual, label, images, total in cells
    ]


def _curves_of_class(predictions: CalibratedPredictions, k: int) -> dict[str, list[tuple]]:
    labels, scores, probabilities = predictions.known(k)
    known = predictions.labels[:, k] != UNKNOWN
    false_positive_rates, true_positive_rates, _ = roc_curve(labels, scores)
    precisions, recalls, _ = precision_recall_curve(labels, scores)
    patients = np.arange(len(labels)) if predictions.patients is None else predictions.patients[known]
    return {
        "roc": _thin_out(false_positive_rates, true_positive_rates),
        "precision_recall": _thin_out(recalls[::-1], precisions[::-1]),
        "reliability": calibration_curve(labels, probabilities, patients),
    }


def calibration_curve(labels: np.ndarray, probabilities: np.ndarray, patients: np.ndarray) -> list[tuple]:
    """Return a calibration curve in bins of equal numbers of images, each with an interval over its patients.

    Args:
        labels: (N,) array of 0 and 1.
        probabilities: (N,) array.
        patients: (N,) array, the patient of each image.

    Returns:
        list of (mean probability, observed frequency, its Wilson interval's bounds, images).
    """
    bins = int(np.clip(len(labels) // FEWEST_IMAGES_IN_BIN, 2, MOST_BINS))
    points = []
    for rows in np.array_split(np.argsort(probabilities, kind="stable"), bins):
        frequency = float(labels[rows].mean())
        bounds = proportion_interval(frequency, len(np.unique(patients[rows])))
        points.append(
            (*(round(value, 6) for value in (float(probabilities[rows].mean()), frequency, *bounds)), len(rows))
        )
    return points


def _thin_out(x: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
    """Return at most `MOST_POINTS` points of a curve, its ends included."""
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), MOST_POINTS)).astype(int))
    return [(round(float(x[row]), 6), round(float(y[row]), 6)) for row in kept]
