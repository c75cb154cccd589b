"""The scores of one model on one split: calibrated predictions in, values and their resamples out."""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import log_loss, precision_recall_fscore_support, roc_curve

from chest_transfer.data.arrays import UNKNOWN
from chest_transfer.evaluation.calibrated_predictions import CalibratedPredictions
from chest_transfer.evaluation.intervals import PatientCounts, confusion_counts, ranking_scores, weighted_sums

CALIBRATION_BINS = 15  # as Guo et al. 2017
READ_OFF_SPECIFICITY = 0.9  # at which sensitivity is read off the ROC curve


@dataclass(frozen=True)
class Scores:
    """The scores of a model with their values in each resample.

    Args:
        values: dict of float, by score.
        resampled: dict of (R,) arrays, by score.
        patients: PatientCounts behind the scores.
        class_areas: dict of (float, (R,) array, PatientCounts), the area under the ROC curve of each evaluable class.
    """

    values: dict[str, float]
    resampled: dict[str, np.ndarray]
    patients: PatientCounts
    class_areas: dict[str, tuple[float, np.ndarray, PatientCounts]]

    @property
    def area(self) -> tuple[float, np.ndarray]:
        """The area under the ROC curve, and its value in each resample."""
        return self.values["auc"], self.resampled["auc"]


def score(predictions: CalibratedPredictions, weights: np.ndarray, classes: list[int] | None = None) -> Scores:
    """Return the scores that get a confidence interval.

    With two exclusive classes all are those of the disease. Otherwise they are macro averages over the classes with
    enough patients for an interval, each against the rest; accuracy is that of whole images, or for multi-label data of
    all decisions.

    Args:
        predictions: CalibratedPredictions of N images.
        weights: (R, N) array, of `cluster_bootstrap_weights`.
        classes: list of int, the classes to average over; None for `averaged_classes`.
    """
    averaged = predictions.averaged_classes if classes is None else classes
    classes = predictions.evaluable_classes if classes is None else classes
    with_all_images = np.vstack([np.ones((1, len(predictions.labels)), weights.dtype), weights])
    areas, precisions = _ranking_scores(predictions, with_all_images, classes)
    is_averaged = np.isin(classes, averaged)
    resampled = {
        "auc": _mean_of_classes(areas[:, is_averaged]),
        "average_precision": _mean_of_classes(precisions[:, is_averaged]),
    }
    resampled |= _decision_scores(predictions, with_all_images, averaged)
    return Scores(
        values={name: float(row[0]) for name, row in resampled.items()},
        resampled={name: row[1:] for name, row in resampled.items()},
        patients=predictions.patient_counts(averaged),
        class_areas={
            predictions.classes[k]: (float(row[0]), row[1:], predictions.patient_counts([k]))
            for k, row in zip(classes, areas.T, strict=True)
        },
    )


def score_area(predictions: CalibratedPredictions, weights: np.ndarray) -> tuple[float, np.ndarray]:
    """Return only the area under the ROC curve of `score`, and its value (R,) in each resample."""
    with_all_images = np.vstack([np.ones((1, len(predictions.labels)), weights.dtype), weights])
    areas = _mean_of_classes(_ranking_scores(predictions, with_all_images, predictions.averaged_classes)[0])
    return float(areas[0]), areas[1:]


def area_under_curve(predictions: CalibratedPredictions) -> float:
    """Return only the value of the area under the ROC curve."""
    return score_area(predictions, np.ones((0, len(predictions.labels)), np.uint8))[0]


def other_scores(predictions: CalibratedPredictions) -> dict[str, float]:
    """Return the scores without an interval: other averages, cross-entropy, Brier score and calibration error.

    `sensitivity_at_90_specificity` is read off the ROC curve of the split itself, as papers do: no threshold is used.
    `uncalibrated_` scores are those before the temperature.
    """
    sensitivities = [_sensitivity_at_specificity(*predictions.known(k)[:2]) for k in predictions.evaluable_classes]
    values = _label_averages(predictions) | {"sensitivity_at_90_specificity": _mean_or_nan(sensitivities)}
    values |= _probability_scores(predictions, predictions.probabilities, prefix="")
    values |= _probability_scores(predictions, predictions.uncalibrated, prefix="uncalibrated_")
    return {name: float(value) for name, value in values.items()}


def reliability(labels: np.ndarray, probabilities: np.ndarray, bins: int = CALIBRATION_BINS) -> np.ndarray:
    """Return the reliability diagram of one class, in bins of equal width.

    Args:
        labels: (N,) array of 0 and 1.
        probabilities: (N,) array.
        bins: int.

    Returns:
        (B, 3) array of the B bins with images: mean probability, observed frequency, images.
    """
    bin_of = np.minimum((probabilities * bins).astype(int), bins - 1)
    images = np.bincount(bin_of, minlength=bins)
    probability_sums, positives = (np.bincount(bin_of, values, minlength=bins) for values in (probabilities, labels))
    used = images > 0
    return np.stack([probability_sums[used] / images[used], positives[used] / images[used], images[used]], axis=1)


def calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the expected calibration error of one class, 0-1 (Guo et al. 2017; class by class: Kull et al. 2019)."""
    mean_probability, frequency, images = reliability(labels, probabilities).T
    return float((np.abs(mean_probability - frequency) * images).sum() / images.sum())


def _ranking_scores(
    predictions: CalibratedPredictions, weights: np.ndarray, classes: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return areas under the ROC curve and average precisions, (R, classes) each."""
    pairs = [ranking_scores(predictions.labels[:, k], predictions.log_odds[:, k], weights) for k in classes]
    areas, precisions = np.reshape(pairs, (len(classes), 2, len(weights))).transpose(1, 2, 0)
    return areas, precisions


def _decision_scores(
    predictions: CalibratedPredictions, weights: np.ndarray, classes: list[int]
) -> dict[str, np.ndarray]:
    """Return the scores of predicted labels, (R,) each."""
    labels, predicted = predictions.labels, predictions.predicted
    counts = {kind: of_all[:, classes] for kind, of_all in confusion_counts(labels, predicted, weights).items()}
    known = labels != UNKNOWN
    correct = ((predicted == labels) & known).sum(axis=1)
    decisions = known.sum(axis=1)
    if not predictions.multi_label:
        correct, decisions = (predicted * labels).sum(axis=1), np.ones(len(labels))
    with np.errstate(invalid="ignore", divide="ignore"):
        sensitivity = counts["tp"] / (counts["tp"] + counts["fn"])
        specificity = counts["tn"] / (counts["tn"] + counts["fp"])
        precision = np.nan_to_num(counts["tp"] / (counts["tp"] + counts["fp"]))
        f1 = np.nan_to_num(2 * counts["tp"] / (2 * counts["tp"] + counts["fp"] + counts["fn"]))
    is_absent = counts["tp"] + counts["fn"] == 0  # the class has no image in that resample
    precision[is_absent] = f1[is_absent] = np.nan
    several_exclusive = not predictions.multi_label and labels.shape[1] > 2
    return {
        "accuracy": np.divide(*weighted_sums(np.stack([correct, decisions], axis=1), weights).T),
        "balanced_accuracy": _mean_of_classes(sensitivity if several_exclusive else (sensitivity + specificity) / 2),
        "precision": _mean_of_classes(precision),
        "sensitivity": _mean_of_classes(sensitivity),
        "specificity": _mean_of_classes(specificity),
        "f1": _mean_of_classes(f1),
    }


def _mean_of_classes(values: np.ndarray) -> np.ndarray:
    """Return the mean over classes of each resample: of values (R, K) whose first row has all images.

    A resample may lack a rare class. Averaging over the others would move it by what sets this class apart, and the
    interval away from the value: their mean change is added to the value instead.
    """
    is_known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        means = np.where(is_known, values, 0).sum(axis=-1) / is_known.sum(axis=-1)
        change = np.where(is_known, values - values[:1], 0).sum(axis=-1) / is_known.sum(axis=-1)
    return np.where(is_known.all(axis=-1), means, means[0] + change)


def _mean_or_nan(values) -> float:
    return float(np.mean(values)) if np.size(values) else float("nan")


def _label_averages(predictions: CalibratedPredictions) -> dict[str, float]:
    labels, predicted = predictions.labels, predictions.predicted
    known = labels != UNKNOWN
    # As scikit-learn's averages over classes, each over the images whose label is known.
    of_classes = [
        precision_recall_fscore_support(labels[rows, k], predicted[rows, k], average="binary", zero_division=0)[:3]
        if rows.any()
        else (np.nan, np.nan, np.nan)
        for k, rows in enumerate(known.T)
    ]
    support = (labels == 1).sum(axis=0)
    precision, sensitivity, f1 = np.array(of_classes).T
    weighted = {"f1_weighted": f1, "precision_weighted": precision, "sensitivity_weighted": sensitivity}
    return {
        "f1_macro": _mean_or_nan(f1[known.any(axis=0)]),
        **{name: np.nansum(values * support) / max(support.sum(), 1) for name, values in weighted.items()},
    }


def _probability_scores(predictions: CalibratedPredictions, probabilities: np.ndarray, prefix: str) -> dict[str, float]:
    labels, classes = predictions.labels, predictions.evaluable_classes
    known = {k: labels[:, k] != UNKNOWN for k in range(labels.shape[1])}
    pairs = {k: (labels[rows, k], probabilities[rows, k]) for k, rows in known.items() if rows.any()}
    return {
        f"{prefix}loss": _cross_entropy(labels, probabilities, pairs, predictions.multi_label),
        f"{prefix}brier": _mean_or_nan(
            [np.mean((of_class - is_shown) ** 2) for is_shown, of_class in map(pairs.get, classes)]
        ),
        f"{prefix}ece": _mean_or_nan([calibration_error(*pairs[k]) for k in classes]),
    }


def _cross_entropy(labels: np.ndarray, probabilities: np.ndarray, pairs: dict, multi_label: bool) -> float:
    if multi_label:
        return np.mean([log_loss(*pair, labels=[0, 1]) for pair in pairs.values()])
    normalized = probabilities / probabilities.sum(axis=1, keepdims=True)
    return log_loss(labels.argmax(axis=1), normalized, labels=range(labels.shape[1]))


def _sensitivity_at_specificity(labels: np.ndarray, scores: np.ndarray) -> float:
    false_positive_rates, true_positive_rates, _ = roc_curve(labels, scores)
    return float(true_positive_rates[false_positive_rates <= 1 - READ_OFF_SPECIFICITY + 1e-12].max())
