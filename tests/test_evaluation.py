"""Scores from raw predictions: against scikit-learn and by hand, and what the stage `evaluate` writes."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ENVIRONMENT, ROOT, change_settings, stage, stages
from scipy.special import expit, logit
from scipy.special import softmax as softmax_of
from sklearn import metrics as sklearn

from chest_transfer.data.predictions import Predictions, read_predictions
from chest_transfer.errors import ChestTransferError
from chest_transfer.evaluation.calibrated_predictions import CalibratedPredictions
from chest_transfer.evaluation.curves import confusion_cells, curves_of_model, training_curves
from chest_transfer.evaluation.intervals import ranking_scores, rounded
from chest_transfer.evaluation.metrics import area_under_curve, calibration_error, other_scores, reliability, score
from chest_transfer.evaluation.operating_points import (
    OPERATING_POINTS,
    calibrated_log_odds,
    calibrated_probabilities,
    choose_thresholds,
    fit_calibration,
    fit_temperature,
    predicted_labels,
)
from chest_transfer.evaluation.summary import evaluate_dataset
from chest_transfer.model_names import ModelName
from chest_transfer.reporting.score_table import failed_fits, score_table, with_intervals
from chest_transfer.settings import read_settings

RNG = np.random.default_rng(0)
IMAGES = pd.DataFrame(index=pd.Index([f"n{i}" for i in range(50)], name="name"))
SETTINGS = read_settings(ROOT / "params.yaml").evaluate.model_copy(update={"rounds": 100})


def exclusive(n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and logits of exclusive classes."""
    labels = np.eye(k, dtype=int)[RNG.integers(0, k, n)]
    return labels, RNG.normal(size=(n, k)) + labels


def independent(n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and logits of independent findings."""
    labels = (RNG.random((n, k)) < 0.2).astype(int)
    return labels, logit(0.3 * labels + 0.01 + RNG.random((n, k)) * 0.6)


def predictions(labels, logits, multi_label=False, thresholds=None) -> CalibratedPredictions:
    classes = [f"class{k}" for k in range(labels.shape[1])]
    thresholds = np.full(labels.shape[1], 0.5) if thresholds is None else np.array(thresholds)
    return CalibratedPredictions(labels, logits, classes, multi_label, 1.0, thresholds)


def all_scores(of: CalibratedPredictions) -> dict:
    """Every score without its interval, as metrics hold it."""
    scores = score(of, np.ones((3, len(of.labels)), np.uint8))
    values = {name: rounded(value) for name, value in (scores.values | other_scores(of)).items()}
    return values | {"findings": {name: rounded(area) for name, (area, *_) in scores.class_areas.items()}}


def two_classes(disease) -> np.ndarray:
    """Logits (N, 2) with these probabilities of the disease."""
    return np.stack([np.zeros(len(disease)), logit(disease)], axis=1)


def test_two_classes_by_hand():
    labels = np.eye(2, dtype=int)[[0, 0, 0, 1, 1]]
    disease = np.array([0.1, 0.2, 0.6, 0.4, 0.9])
    found = all_scores(predictions(labels, two_classes(disease)))
    assert found["accuracy"] == 0.6
    assert found["sensitivity"] == 0.5
    assert found["specificity"] == pytest.approx(2 / 3, abs=1e-6)
    assert found["balanced_accuracy"] == pytest.approx(7 / 12, abs=1e-6)
    assert found["precision"] == 0.5
    assert found["f1"] == 0.5
    assert found["auc"] == pytest.approx(5 / 6, abs=1e-6)
    assert found["sensitivity_at_90_specificity"] == 0.5
    assert found["brier"] == pytest.approx(np.mean((disease - labels[:, 1]) ** 2), abs=1e-6)


def test_a_threshold_changes_sensitivity_and_specificity_but_not_the_area():
    labels, logits = exclusive(400, 2)
    usual, sensitive = (all_scores(predictions(labels, logits, thresholds=[1 - t, t])) for t in (0.5, 0.2))
    assert sensitive["sensitivity"] > usual["sensitivity"]
    assert sensitive["specificity"] < usual["specificity"]
    assert sensitive["auc"] == usual["auc"]


def test_scores_of_exclusive_classes_agree_with_scikit_learn():
    labels, logits = exclusive(500, 4)
    of = predictions(labels, logits)
    p = softmax_of(logits, axis=1)
    assert of.probabilities == pytest.approx(p, abs=1e-12)
    found, y, predicted = all_scores(of), labels.argmax(1), p.argmax(1)
    expected = {
        "auc": sklearn.roc_auc_score(y, p, multi_class="ovr"),
        "average_precision": sklearn.average_precision_score(labels, p),
        "accuracy": sklearn.accuracy_score(y, predicted),
        "balanced_accuracy": sklearn.balanced_accuracy_score(y, predicted),
        "precision": sklearn.precision_score(y, predicted, average="macro"),
        "sensitivity": sklearn.recall_score(y, predicted, average="macro"),
        "f1": sklearn.f1_score(y, predicted, average="macro"),
        "f1_macro": sklearn.f1_score(y, predicted, average="macro"),
        "f1_weighted": sklearn.f1_score(y, predicted, average="weighted"),
        "precision_weighted": sklearn.precision_score(y, predicted, average="weighted"),
        "sensitivity_weighted": sklearn.recall_score(y, predicted, average="weighted"),
        "loss": sklearn.log_loss(y, p),
        "brier": np.mean([sklearn.brier_score_loss(labels[:, k], p[:, k]) for k in range(4)]),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert found["findings"]["class2"] == pytest.approx(sklearn.roc_auc_score(labels[:, 2], p[:, 2]), abs=1e-6)


def test_independent_findings_are_scored_one_by_one():
    labels, logits = independent(400, 3)
    p = expit(logits)
    found, predicted = all_scores(predictions(labels, logits, multi_label=True)), p >= 0.5
    expected = {
        "auc": sklearn.roc_auc_score(labels, p),
        "average_precision": sklearn.average_precision_score(labels, p),
        "accuracy": np.mean(predicted == labels),
        "sensitivity": sklearn.recall_score(labels, predicted, average="macro"),
        "specificity": np.mean([sklearn.recall_score(labels[:, k], predicted[:, k], pos_label=0) for k in range(3)]),
        "f1_weighted": sklearn.f1_score(labels, predicted, average="weighted"),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_a_class_without_images_is_left_out_and_the_area_of_one_class_alone_is_none():
    labels, logits = exclusive(100, 3)
    labels[:, 0] += labels[:, 2]
    labels[:, 2] = 0
    assert all_scores(predictions(labels, logits))["auc"] is not None
    one_class = predictions(np.eye(2, dtype=int)[[1, 1]], two_classes(np.array([0.5, 0.9])))
    assert all_scores(one_class)["auc"] is None


def test_the_area_under_the_roc_points_is_the_auc():
    labels, logits = exclusive(300, 2)
    points = curves_of_model("train-none", predictions(labels, logits))["roc"]
    area = np.trapezoid(points["true_positive_rate"], points["false_positive_rate"])
    assert area == pytest.approx(all_scores(predictions(labels, logits))["auc"], abs=1e-5)


def test_curves_of_many_images_are_thinned_out_and_keep_their_ends():
    labels, logits = exclusive(20_000, 2)
    curves = curves_of_model("train-none", predictions(labels, logits))
    for points in (curves["roc"]["false_positive_rate"], curves["precision_recall"]["recall"]):
        assert 100 < len(points) <= 200
        assert {points.iloc[0], points.iloc[-1]} == {0, 1}


def test_the_confusion_matrix_counts_every_image_once():
    labels, logits = exclusive(300, 3)
    cells = confusion_cells(predictions(labels, logits))
    assert sum(count for *_, count, _ in cells) == 300
    both = {(a, b): (count, share) for a, b, count, share in cells}
    expected = int(((labels[:, 0] == 1) & (logits.argmax(1) == 1)).sum())
    assert both["class0", "class1"][0] == expected
    assert sum(share for (a, _), (_, share) in both.items() if a == "class0") == pytest.approx(1, abs=1e-3)


def test_probabilities_that_equal_the_frequencies_have_no_calibration_error():
    p = np.repeat(np.linspace(0.05, 0.95, 10), 1000)
    labels = np.concatenate([np.arange(1000) < round(1000 * share) for share in np.linspace(0.05, 0.95, 10)])
    labels = labels.astype(int)
    assert calibration_error(labels, p) < 1e-9
    assert calibration_error(labels, np.ones_like(p)) == pytest.approx(0.5)
    assert reliability(labels, p, bins=10)[:, 2].tolist() == [1000] * 10


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_network_without_an_error_on_validation_is_not_made_certain(multi_label):
    is_ill = np.arange(98) % 4 == 0
    labels = np.stack([~is_ill, is_ill], axis=1).astype(int)
    margin = RNG.uniform(1, 6, 98) * np.where(is_ill, 1, -1)
    logits = np.stack([-margin / 2, margin / 2], axis=1)
    temperature = fit_temperature(labels, logits, multi_label)
    assert 0.3 < temperature < 3
    probabilities = calibrated_probabilities(logits, temperature, multi_label)
    assert probabilities.max() < 0.9999


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_temperature_corrects_overconfident_logits(multi_label):
    logits = RNG.normal(size=(20_000, 3))
    p = calibrated_probabilities(logits, 1.0, multi_label)
    if multi_label:
        labels = (RNG.random(p.shape) < p).astype(int)
    else:
        labels = np.eye(3, dtype=int)[[RNG.choice(3, p=row) for row in p]]
    overconfident = 2.5 * logits
    assert fit_temperature(labels, overconfident, multi_label) == pytest.approx(2.5, rel=0.1)
    assert np.allclose(calibrated_probabilities(overconfident, 2.5, multi_label), p, atol=1e-6)


def test_youdens_threshold_and_that_of_a_sensitivity_by_hand():
    labels = np.eye(2, dtype=int)[[0, 0, 0, 1, 0, 1, 1, 1]]
    disease = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    p = np.stack([1 - disease, disease], axis=1)
    assert choose_thresholds(labels, p, False, "youden")[1] == pytest.approx(0.55)  # between 0.5 and 0.6: 3/4 + 1 - 1
    thresholds = choose_thresholds(labels, p, False, "sensitivity 0.9")
    assert thresholds[1] == pytest.approx(0.35)
    predicted = predicted_labels(p, thresholds, False)
    assert sklearn.recall_score(labels[:, 1], predicted[:, 1]) == 1


def test_of_several_exclusive_classes_the_most_probable_one_is_predicted():
    labels, logits = exclusive(100, 4)
    p = calibrated_probabilities(logits, 1.0, False)
    thresholds = choose_thresholds(labels, p, False, "youden")
    assert (predicted_labels(p, thresholds, False).argmax(1) == p.argmax(1)).all()


def test_a_finding_that_validation_lacks_has_the_threshold_one_half():
    labels, logits = independent(50, 2)
    labels[:, 1] = 0
    thresholds = fit_calibration(labels, logits, True).thresholds
    assert thresholds["youden"][1] == 0.5
    assert set(thresholds) == {"youden", "sensitivity 0.9", "sensitivity 0.95"}
    stored = {point: values.tolist() for point, values in thresholds.items()}  # as a packed model holds them
    assert json.loads(json.dumps(stored)) == stored


def decision_scores(labels: np.ndarray, predicted: np.ndarray) -> tuple[float, float]:
    """Sensitivity and specificity of one class."""
    return predicted[labels == 1].mean(), 1 - predicted[labels == 0].mean()


def best_possible(labels: np.ndarray, values: np.ndarray, point: str) -> tuple[float, float]:
    """Sensitivity and specificity of the best of all decisions `value >= cut` that predict the class for any image."""
    decisions = [decision_scores(labels, values >= cut) for cut in np.unique(values)[::-1]]
    wanted = OPERATING_POINTS[point]
    if wanted is None:
        return max(decisions, key=sum)
    return next(decision for decision in decisions if decision[0] >= wanted)


SATURATED = {
    "every logit is 40 or -40": lambda labels, rng: 40.0 * rng.choice([-1, 1], labels.shape, p=[0.1, 0.9]),
    "all right": lambda labels, rng: np.full(labels.shape, 40.0),
    "all wrong": lambda labels, rng: np.full(labels.shape, -40.0),
    "around 40 and -40": lambda labels, rng: rng.normal(30, 20, labels.shape).round(1),
    "far beyond 40": lambda labels, rng: rng.normal(300, 300, labels.shape),
}


@pytest.mark.parametrize("point", OPERATING_POINTS)
@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("kind", SATURATED)
def test_thresholds_of_a_saturated_model_reproduce_the_decision_that_was_chosen_on_validation(kind, multi_label, point):
    rng = np.random.default_rng(1)
    disease = rng.integers(0, 2, (300, 1))
    toward_label = SATURATED[kind](disease, rng) * (2 * disease - 1)
    logits = np.hstack([toward_label, -toward_label] if multi_label else [-toward_label / 2, toward_label / 2])
    labels = np.hstack([disease, 1 - disease] if multi_label else [1 - disease, disease])
    calibration = fit_calibration(labels, logits, multi_label)
    probabilities = calibrated_probabilities(logits, calibration.temperature, multi_label)
    stored = np.array(json.loads(json.dumps(calibration.thresholds[point].tolist())))
    predicted = predicted_labels(probabilities, stored, multi_label)
    for k in range(2) if multi_label else [1]:
        expected = best_possible(labels[:, k], probabilities[:, k], point)
        assert decision_scores(labels[:, k], predicted[:, k]) == pytest.approx(expected)


def test_a_threshold_between_neighboring_floating_point_numbers_reproduces_the_decision():
    just_below_one = 1 - np.arange(6) * 2.0**-53  # the mean of two of them is rounded to one of the two
    for labels in ([1, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 0]):
        labels = np.array(labels)
        for probabilities in (just_below_one, np.exp(-600 - np.arange(6)), np.nextafter(0, 1) * np.arange(6, 0, -1)):
            threshold = choose_thresholds(labels[:, None], probabilities[:, None], True, "youden")[0]
            assert (probabilities >= threshold).astype(int).tolist() == labels.tolist()


@pytest.mark.parametrize("point", OPERATING_POINTS)
def test_images_with_equal_logits_get_the_same_label_and_a_threshold_between_the_values(point):
    labels = np.eye(2, dtype=int)[[0, 1, 0, 1, 1, 1]]
    disease = np.array([-1.0, -1.0, -1.0, 2.0, 2.0, 2.0])
    logits = np.stack([-disease / 2, disease / 2], axis=1)
    calibration = fit_calibration(labels, logits, False)
    probabilities = calibrated_probabilities(logits, calibration.temperature, False)
    threshold = calibration.thresholds[point]
    predicted = predicted_labels(probabilities, threshold, False)[:, 1]
    low, high = probabilities[0, 1], probabilities[3, 1]
    if point == "youden":
        assert low < threshold[1] < high
        assert predicted.tolist() == [0, 0, 0, 1, 1, 1]
    else:  # three of four diseased are not enough
        assert threshold[1] == low
        assert predicted.tolist() == [1] * 6


@pytest.mark.parametrize("point", OPERATING_POINTS)
@pytest.mark.parametrize("value", [-40.0, 0.0, 40.0])
def test_a_model_that_gives_every_image_the_same_logits_gets_a_finite_threshold(value, point):
    labels = np.eye(2, dtype=int)[[0, 1, 0, 1]]
    logits = np.tile([-value, value], (4, 1))
    calibration = fit_calibration(labels, logits, False)
    probabilities = calibrated_probabilities(logits, calibration.temperature, False)
    threshold = calibration.thresholds[point]
    assert np.isfinite(threshold).all()
    assert (threshold >= 0).all()
    assert (threshold <= 1).all()
    assert predicted_labels(probabilities, threshold, False)[:, 1].tolist() == [1] * 4
    assert area_under_curve(predictions(labels, logits)) == 0.5


@pytest.mark.parametrize("classes", ["two", "several", "independent"])
def test_the_area_of_logits_beyond_40_is_that_of_their_order(classes):
    rng, number = np.random.default_rng(3), {"two": 2, "several": 4, "independent": 3}[classes]
    multi_label = classes == "independent"
    labels = (rng.random((200, number)) < 0.4).astype(int)
    if not multi_label:
        labels = np.eye(number, dtype=int)[rng.integers(0, number, 200)]
    # All of them above 40, so that every probability of a sigmoid is 1.
    logits = 40 + 5 * labels + rng.gamma(2, 10, labels.shape)
    if not multi_label:
        logits[:, 0] -= 200  # class 0 is as good as impossible, and so the disease as good as certain
    of = predictions(labels, logits, multi_label)
    ranked = logits - np.stack(
        [np.logaddexp.reduce(np.delete(logits, k, axis=1), axis=1) if not multi_label else np.zeros(200)
         for k in range(number)], axis=1,
    )  # fmt: skip
    evaluable = [1] if classes == "two" else range(number)
    expected = np.mean([sklearn.roc_auc_score(labels[:, k], ranked[:, k]) for k in evaluable])
    assert all_scores(of)["auc"] == pytest.approx(expected, abs=1e-6)
    assert (of.probabilities == 1).any()
    if classes != "several":
        assert (of.probabilities[:, 1] == 1).all()
        rounded_area = np.mean([sklearn.roc_auc_score(labels[:, k], of.probabilities[:, k]) for k in evaluable])
        assert rounded_area == 0.5  # what rounding to 1 would make of it
        assert len(np.unique(calibrated_log_odds(logits, 1.0, multi_label)[:, 1])) == 200
        roc = curves_of_model("m", of)["roc"]
        area = [np.trapezoid(curve["true_positive_rate"], curve["false_positive_rate"])
                for _, curve in roc.groupby("model")]  # fmt: skip
        assert np.mean(area) == pytest.approx(expected, abs=1e-5)


def test_scores_beyond_the_range_of_probabilities_are_ranked_by_their_values():
    labels = np.array([0, 0, 1, 1])
    area, precision = ranking_scores(labels, np.array([1e3, 1e4, 1e5, 1e6]), np.ones((1, 4), np.uint8))
    assert (area.tolist(), precision.tolist()) == ([1], [1])


def write_model(name: ModelName, images: int = 50, classes=("Normal", "Tuberculosis"), logits=None):
    """Write what a fit leaves beside its network; return the labels and the logits."""
    labels, random_logits = exclusive(images, len(classes))
    logits = random_logits if logits is None else logits
    names = np.array([f"n{i}" for i in range(images)])
    table = Predictions(names, names, labels, logits, list(classes), list(classes), np.zeros(images, bool)).table()
    name.predictions.mkdir(parents=True, exist_ok=True)
    for split in ("val", "test"):
        table.to_csv(name.predictions_of(split), index=False)
    history = {"epoch": [1, 2], "loss": [1.9, 1.5], "cross_entropy": [0.9, 0.5]}
    history |= {"val_loss": [1.8, 1.7], "val_cross_entropy": [0.8, 0.7]}
    pd.DataFrame(history).to_csv(name.predictions / "history.csv", index=False)
    return labels, logits


MODELS = [ModelName("tuberculosis", "cnn", "train", start, 1) for start in ("none", "imagenet")]


@pytest.fixture
def two_models(tmp_path, monkeypatch):
    """The labels and logits of the second of two models, whose predictions are in the current folder."""
    monkeypatch.chdir(tmp_path)
    labels, logits = write_model(MODELS[0])
    write_model(MODELS[1])
    return labels, logits


def test_tables_of_predictions_keep_every_digit(two_models):
    labels, logits = two_models
    table = read_predictions(MODELS[0].predictions_of("test"))
    assert (table.labels == labels).all()
    assert (table.logits.astype(np.float32) == logits.astype(np.float32)).all()
    assert table.classes == table.label_classes == ["Normal", "Tuberculosis"]
    assert table.patients.tolist() == [f"n{i}" for i in range(50)]
    columns = pd.read_csv(MODELS[0].predictions_of("test")).columns.tolist()
    assert columns == [
        "name", "patient", "label:Normal", "label:Tuberculosis", "logit:Normal", "logit:Tuberculosis"
    ]  # fmt: skip


def test_evaluation_writes_metrics_by_regime_and_start_without_tensorflow(two_models, tmp_path):
    labels, logits = two_models
    program = f"""
import sys
from pathlib import Path
import pandas as pd
from chest_transfer.evaluation.summary import evaluate_dataset
from chest_transfer.model_names import ModelName
from chest_transfer.settings import read_settings
settings = read_settings({str(ROOT / "params.yaml")!r}).evaluate
models = [ModelName("tuberculosis", "cnn", "train", start, 1) for start in ("none", "imagenet")]
images = pd.DataFrame(index=pd.Index([f"n{{i}}" for i in range(50)], name="name"))
evaluate_dataset(models, images, settings, Path("m"))
assert not any(name in sys.modules for name in ("tensorflow", "keras")), "TensorFlow was loaded"
"""
    environment = {**ENVIRONMENT, "PYTHONPATH": str(ROOT / "src")}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, cwd=tmp_path)
    headline, detail = (json.loads((tmp_path / path / "tuberculosis.json").read_text()) for path in ("m", "m/detail"))
    assert set(detail["train"]) == {"none", "imagenet"}
    found = detail["train"]["none"]
    headline = headline["tuberculosis"]
    assert headline["train"] == {start: record["auc"] for start, record in detail["train"].items()}
    best = max(detail["train"], key=lambda start: detail["train"][start]["validation_auc"])
    assert headline["best"]["model"] == f"train-{best}-seed1-all"
    assert headline["best"]["sensitivity"] == detail["train"][best]["sensitivity"]
    assert found["auc"] == pytest.approx(sklearn.roc_auc_score(labels[:, 1], logits[:, 1] - logits[:, 0]), abs=1e-6)
    assert found["auc_low"] < found["auc"] < found["auc_high"]
    assert found["fit"] == "ok"
    assert found["operating_point"] == "youden, chosen on validation"
    assert 0 < found["threshold"] < 1
    assert found["patients"] == 50
    confusion = pd.read_csv(tmp_path / "m/plots/tuberculosis/confusion.csv")
    assert list(confusion) == ["model", "actual", "predicted", "images", "share"]
    assert set(pd.read_csv(tmp_path / "m/plots/tuberculosis/roc.csv")["model"]) == {"train-none", "train-imagenet"}


def test_learning_curves_hold_the_cross_entropy_beside_the_loss_that_was_minimized(two_models, tmp_path):
    history = pd.read_csv(MODELS[0].predictions / "history.csv")
    curves = training_curves("train-none", history)
    assert list(curves) == ["model", "epoch", "cross_entropy", "loss"]
    by_split = dict(list(curves.groupby("model")))
    assert by_split["train-none training"]["cross_entropy"].tolist() == [0.9, 0.5]
    assert by_split["train-none validation"]["cross_entropy"].tolist() == [0.8, 0.7]
    assert by_split["train-none validation"]["loss"].tolist() == [1.8, 1.7]


def test_the_area_of_a_saturated_model_in_metrics_is_that_of_the_order_of_its_logits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    disease = np.random.default_rng(5).permutation(np.linspace(100, 2000, 50))
    labels, _ = write_model(MODELS[0], logits=np.stack([-disease, disease], axis=1))
    evaluate_dataset(MODELS[:1], IMAGES, SETTINGS, tmp_path / "m")
    area_of_headline = json.loads((tmp_path / "m/tuberculosis.json").read_text())["tuberculosis"]["train"]["none"]
    detail = json.loads((tmp_path / "m/detail/tuberculosis.json").read_text())["train"]["none"]
    area = sklearn.roc_auc_score(labels[:, 1], disease)
    assert area != 0.5
    assert area_of_headline == detail["auc"] == detail["validation_auc"] == pytest.approx(area, abs=1e-6)


def test_two_evaluations_write_the_same_bytes(two_models, tmp_path):
    for folder in ("a", "b"):
        evaluate_dataset(MODELS, IMAGES, SETTINGS, tmp_path / folder)
    files = [path.relative_to(tmp_path / "a") for path in sorted((tmp_path / "a").rglob("*.*"))]
    assert len(files) == 13
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)


def test_files_are_written_beside_their_target_and_never_through_a_hard_link(two_models, tmp_path):
    evaluate_dataset(MODELS, IMAGES, SETTINGS, tmp_path / "m")
    files = [path for path in sorted((tmp_path / "m").rglob("*")) if path.is_file()]
    cache = tmp_path / "cache"  # as DVC's, which links what it stores
    cache.mkdir()
    linked = {}
    for number, file in enumerate(files):
        file.write_text("old")
        os.link(file, cache / str(number))
        linked[file] = cache / str(number)
    evaluate_dataset(MODELS, IMAGES, SETTINGS, tmp_path / "m")
    assert len(linked) == 13
    for file, link in linked.items():
        assert link.read_text() == "old", file
        assert file.read_text() != "old", file
        assert not file.samefile(link)
    assert sorted(path for path in (tmp_path / "m").rglob("*") if path.is_file()) == files  # nothing is left beside


def test_missing_predictions_are_an_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ChestTransferError, match=r"no predictions at .* run: dvc repro"):
        evaluate_dataset(MODELS[:1], IMAGES, SETTINGS, tmp_path / "m")


def test_the_metrics_of_datasets_as_one_table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for dataset in ("pneumonia", "covid"):
        name = ModelName(dataset, "cnn", "train", "none", 1)
        constant = np.tile([0.0, 1.0], (50, 1)) if dataset == "covid" else None
        write_model(name, logits=constant)
        evaluate_dataset([name], IMAGES, SETTINGS, tmp_path / "m")
    table = score_table([tmp_path / "m/detail/pneumonia.json", tmp_path / "m/detail/covid.json"])
    assert table.index.tolist() == [("pneumonia", "train", "none"), ("covid", "train", "none")]
    assert list(table)[:2] == ["auc", "auc_low"]
    assert failed_fits(table) == ["CAUTION: the fit of covid train none failed: the predictions are constant"]
    combined = with_intervals(table.drop(columns="fit").astype(float))
    first = table.iloc[0]
    assert combined["auc"].iloc[0] == f"{first['auc']:.3f} ({first['auc_low']:.3f}-{first['auc_high']:.3f})"


def files_of(project: Path) -> dict[str, str]:
    """The digest of every file below a project, by path."""
    return {
        path.relative_to(project).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(project.rglob("*"))
        if path.is_file()
    }


def changed_between(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}


@pytest.fixture
def experiment(evaluated, tmp_path) -> Path:
    """A copy of an experiment that has been run."""
    return shutil.copytree(evaluated, tmp_path / "experiment")


def test_predictions_that_another_experiment_left_are_removed_and_change_no_metric(experiment):
    before = files_of(experiment)
    predictions = experiment / "data/predictions/pneumonia/cnn"
    shutil.copytree(predictions / "train-none-seed1-all", predictions / "train-imagenet-seed1-all")
    (predictions / "as_is-covid-seed1-all").mkdir()
    (predictions / "notes.txt").write_text("left by hand")
    other_backbone = experiment / "data/predictions/pneumonia/vgg16/train-none-seed1-all"
    shutil.copytree(predictions / "train-none-seed1-all", other_backbone)
    stage(experiment, "evaluate", "pneumonia")
    assert sorted(path.name for path in predictions.iterdir()) == ["probe-none-seed1-all", "train-none-seed1-all"]
    added = {path for path in files_of(experiment) if path.startswith("data/predictions/pneumonia/vgg16/")}
    assert added  # those of another backbone are not read, and so they are kept
    assert changed_between(before, files_of(experiment)) == added


def area_of_trained_model(project: Path) -> float:
    return json.loads((project / "metrics/pneumonia.json").read_text())["pneumonia"]["train"]["none"]


TRAINING = (
    "pretrained cnn none",
    "embed pneumonia cnn none 1",
    "probe pneumonia cnn none 1 all",
    "train pneumonia cnn none 1 all",
)
# What may change with the settings of `evaluate`: what evaluate, explore, best and explain write.
WRITTEN_FROM_EVALUATE = (
    "metrics/pneumonia.json", "metrics/detail/", "metrics/gain/", "metrics/comparisons/", "metrics/subgroups/",
    "metrics/plots/pneumonia/", "metrics/data/", "metrics/explained/", "data/heat_maps/", "models/best/",
)  # fmt: skip


def test_the_settings_of_the_evaluation_change_no_network_and_no_raw_predictions(experiment):
    stages(experiment, ("best", "pneumonia"))
    before, area = files_of(experiment), area_of_trained_model(experiment)
    change_settings(experiment / "params.yaml", evaluate__operating_point="sensitivity 0.95", evaluate__rounds=150)
    words = (
        "profile pneumonia", "shortcuts pneumonia", "explore pneumonia",
        "overlap", "pictures pneumonia", *TRAINING, "explain pneumonia cnn",
        "evaluate pneumonia", "best pneumonia",
    )  # fmt: skip
    stages(experiment, *(command.split() for command in words))
    after = files_of(experiment)
    changed = changed_between(before, after) - {"params.yaml"}
    assert {path for path in changed if not path.startswith(WRITTEN_FROM_EVALUATE)} == set()
    # The threshold is in `detail`. Bounds from so few patients do not come from the resamples.
    assert "metrics/detail/pneumonia.json" in changed
    networks = [path for path in after if path.endswith(".keras")]
    assert len(networks) == 4  # the backbone, two classifiers, and the packed one, which has every operating point
    assert not changed & set(networks)
    assert area_of_trained_model(experiment) == area


def test_only_stages_that_write_no_network_depend_on_the_settings_of_the_evaluation():
    graph = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    depending = {
        name
        for name, entry in graph.items()
        if any(str(param).split(".")[0] == "evaluate" for param in entry.get("params", []))
    }
    # An adapted network has its threshold moved, and so that of one operating point.
    assert depending == {
        "evaluate", "explore", "explain", "external_evaluate", "representations", "stress", "adapted"
    }  # fmt: skip
