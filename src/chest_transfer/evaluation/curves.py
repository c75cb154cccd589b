"""The plots of one dataset's models as tables: each a CSV file that DVC draws, and the report too."""

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_curve, roc_curve

from chest_transfer.evaluation.metrics import Judged, reliability

MOST_POINTS = 200  # of a curve: enough for a picture, few enough for Git
COLUMNS = {
    "roc": ["model", "false_positive_rate", "true_positive_rate"],
    "precision_recall": ["model", "recall", "precision"],
    "reliability": ["model", "probability", "frequency", "images"],
    "confusion": ["model", "actual", "predicted", "images", "share"],
}


def points_of(name: str, judged: Judged, classes: list[str]) -> dict[str, list[tuple]]:
    """Rows of each plot of one model, with the columns `COLUMNS`; a curve a class where several are scored."""
    single = len(classes) == 2 and not judged.multi_label
    curves = {
        "roc": roc_points(judged),
        "precision_recall": precision_recall_points(judged),
        "reliability": reliability_points(judged),
    }
    found = {
        plot: [(name if single else f"{name} {classes[k]}", *point) for k, *point in points]
        for plot, points in curves.items()
    }
    return found | {"confusion": [(name, *cell) for cell in confusion(judged, classes)]}


def roc_points(judged: Judged) -> list[tuple[int, float, float]]:
    """(class, false-positive rate, true-positive rate) along each scored class's ROC curve."""
    points = []
    for k in judged.scored:
        false_positives, true_positives, _ = roc_curve(judged.truth[:, k], judged.probabilities[:, k])
        points += [(k, *point) for point in _thinned(false_positives, true_positives)]
    return points


def precision_recall_points(judged: Judged) -> list[tuple[int, float, float]]:
    """(class, recall, precision) along each scored class's precision-recall curve."""
    points = []
    for k in judged.scored:
        precision, recall, _ = precision_recall_curve(judged.truth[:, k], judged.probabilities[:, k])
        points += [(k, *point) for point in _thinned(recall[::-1], precision[::-1])]
    return points


def reliability_points(judged: Judged) -> list[tuple[int, float, float, int]]:
    """(class, mean probability, observed frequency, images) of ten bins of each scored class."""
    found = [(k, reliability(judged.truth[:, k], judged.probabilities[:, k], bins=10)) for k in judged.scored]
    return [(k, round(x, 6), round(y, 6), int(images)) for k, bins in found for x, y, images in bins.tolist()]


def confusion(judged: Judged, classes: list[str]) -> list[tuple[str, str, int, float]]:
    """(actual, predicted, images, their share of the actual ones) for each cell; for multi-label, of each finding
    whether it was found.
    """
    counts = judged.truth.T @ judged.called
    if judged.multi_label:
        of_each = judged.truth.sum(axis=0)
        cells = [(name, "found", int(counts[k, k]), of_each[k]) for k, name in enumerate(classes)]
        cells += [(name, "missed", int(of_each[k] - counts[k, k]), of_each[k]) for k, name in enumerate(classes)]
    else:
        rows = counts.sum(axis=1)
        cells = [(a, b, int(counts[i, j]), rows[i]) for i, a in enumerate(classes) for j, b in enumerate(classes)]
    return [(actual, called, images, round(images / max(int(of), 1), 4)) for actual, called, images, of in cells]


def losses(name: str, history: pd.DataFrame) -> pd.DataFrame:
    """Columns model, epoch, loss: the training and the validation curve of one model."""
    curves = [
        history[["epoch"]].assign(model=f"{name} {part}", loss=history[column].round(6))
        for part, column in (("training", "loss"), ("validation", "val_loss"))
    ]
    return pd.concat(curves)[["model", "epoch", "loss"]]


def _thinned(x: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), MOST_POINTS)).astype(int))
    return [(round(float(x[at]), 6), round(float(y[at]), 6)) for at in kept]
