"""What one model is worth on one split: few values, from its predictions alone."""

import numpy as np
from sklearn.metrics import f1_score, log_loss, recall_score, roc_auc_score, roc_curve

THRESHOLD = 0.5


def scores(truth: np.ndarray, probabilities: np.ndarray, multi_label: bool) -> dict[str, float | None]:
    """AUC, accuracy, sensitivity, specificity, F1 and loss.

    With two classes the second is the disease, and all values are its own. Otherwise AUC, sensitivity, specificity and
    F1 are macro averages, each class against the rest, over the classes of which the split has some images but not
    all. A single label is decided by the highest probability, each of several at 0.5; their accuracy is the mean.

    Args:
        truth: (N, K) 0 or 1.
        probabilities: (N, K), 0-1.
        multi_label: whether an image may have several labels.

    Returns:
        name -> value, 0-1 but for the loss (nats); None where no class can be scored.
    """
    decided = decisions(probabilities, multi_label)
    columns = scored_classes(truth, multi_label)

    def macro(score) -> float | None:
        return _rounded(np.mean([score(column) for column in columns])) if columns else None

    if multi_label:
        accuracy = np.mean(decided == truth)
        loss = np.mean([log_loss(truth[:, k], probabilities[:, k], labels=[0, 1]) for k in range(truth.shape[1])])
    else:
        accuracy = np.mean(decided.argmax(axis=1) == truth.argmax(axis=1))
        shares = probabilities / probabilities.sum(axis=1, keepdims=True)
        loss = log_loss(truth.argmax(axis=1), shares, labels=range(truth.shape[1]))
    return {
        "auc": macro(lambda k: roc_auc_score(truth[:, k], probabilities[:, k])),
        "accuracy": _rounded(accuracy),
        "sensitivity": macro(lambda k: recall_score(truth[:, k], decided[:, k])),
        "specificity": macro(lambda k: recall_score(truth[:, k], decided[:, k], pos_label=0)),
        "f1": macro(lambda k: f1_score(truth[:, k], decided[:, k], zero_division=0)),
        "loss": _rounded(loss),
    }


def decisions(probabilities: np.ndarray, multi_label: bool) -> np.ndarray:
    """(N, K) 0 or 1: what the model says at its operating point."""
    if multi_label:
        return (probabilities >= THRESHOLD).astype(int)
    return np.eye(probabilities.shape[1], dtype=int)[probabilities.argmax(axis=1)]


def scored_classes(truth: np.ndarray, multi_label: bool) -> list[int]:
    """The classes to average over: those with both kinds of images; of two exclusive ones, the disease."""
    candidates = [1] if truth.shape[1] == 2 and not multi_label else range(truth.shape[1])
    return [k for k in candidates if 0 < truth[:, k].sum() < len(truth)]


def roc_points(truth: np.ndarray, probabilities: np.ndarray, multi_label: bool) -> list[tuple[int, float, float]]:
    """(class, false-positive rate, true-positive rate) along each scored class's ROC curve."""
    points = []
    for k in scored_classes(truth, multi_label):
        false_positives, true_positives, _ = roc_curve(truth[:, k], probabilities[:, k])
        points += [(k, _rounded(x), _rounded(y)) for x, y in zip(false_positives, true_positives, strict=True)]
    return points


def confusion(truth: np.ndarray, probabilities: np.ndarray, classes: list[str], multi_label: bool) -> list[tuple]:
    """(actual, predicted, images) for each cell; for multi-label, of each finding whether it was found."""
    decided = decisions(probabilities, multi_label)
    if multi_label:
        found = [int((truth[:, k] & decided[:, k]).sum()) for k in range(len(classes))]
        cells = [(name, "found", count) for name, count in zip(classes, found, strict=True)]
        return cells + [(name, "missed", int(truth[:, k].sum()) - found[k]) for k, name in enumerate(classes)]
    counts = truth.T @ decided
    return [(a, b, int(counts[i, j])) for i, a in enumerate(classes) for j, b in enumerate(classes)]


def _rounded(value: float) -> float:
    return round(float(value), 6)
