"""Intervals and comparisons: against definitions, a published example, and simulated sets whose true area is known."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from sklearn.metrics import average_precision_score, roc_auc_score

from bench.statistics import coverage_and_false_alarms
from chest_transfer.data.predictions import Predictions
from chest_transfer.evaluation.comparisons import gains
from chest_transfer.evaluation.delong import bootstrap_p_value, delong, delong_p_value
from chest_transfer.evaluation.intervals import (
    cluster_bootstrap_weights,
    confidence_interval,
    confusion_counts,
    ranking_scores,
    weighted_sums,
)
from chest_transfer.evaluation.summary import evaluate_dataset
from chest_transfer.model_names import ModelName
from chest_transfer.settings import read_settings

# DeLong et al. 1988's patients with ovarian cancer, as listed in SAS/STAT's example "Comparing Receiver Operating
# Characteristic Curves": albumin, total protein, K-G score, and whether surgery failed (1).
OVARIAN = np.fromstring(
    "3.0 5.8 10 0 3.2 6.3 5 1 3.9 6.8 3 1 2.8 4.8 6 0 3.2 5.8 3 1 0.9 4.0 5 0 2.5 5.7 8 0 1.6 5.6 5 1 3.8 5.7 5 1 "
    "3.7 6.7 6 1 3.2 5.4 4 1 3.8 6.6 6 1 4.1 6.6 5 1 3.6 5.7 5 1 4.3 7.0 4 1 3.6 6.7 4 0 2.3 4.4 6 1 4.2 7.6 4 0 "
    "4.0 6.6 6 0 3.5 5.8 6 1 3.8 6.8 7 1 3.0 4.7 8 0 4.5 7.4 5 1 3.7 7.4 5 1 3.1 6.6 6 1 4.1 8.2 6 1 4.3 7.0 5 1 "
    "4.3 6.5 4 1 3.2 5.1 5 1 2.6 4.7 6 1 3.3 6.8 6 0 1.7 4.0 7 0 3.7 6.1 5 1 3.3 6.3 7 1 4.2 7.7 6 1 3.5 6.2 5 1 "
    "2.9 5.7 9 0 2.1 4.8 7 1 2.8 6.2 8 0 4.0 7.0 7 1 3.3 5.7 6 1 3.7 6.9 5 1 3.6 6.6 5 1",
    sep=" ",
).reshape(-1, 4)


def simulated_scores(images: int = 200, patients: int = 120, seed: int = 3):
    """Return labels, the scores of two models with ties, and patients with any number of images."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, images)
    scores = np.round(labels * 0.6 + rng.normal(size=(2, images)) + rng.normal(size=images), 1)
    return labels, scores, rng.integers(0, patients, images).astype(str)


def test_delong_gives_the_published_figures():
    albumin, protein, kg, positive = OVARIAN.T
    patients = np.arange(len(OVARIAN)).astype(str)
    areas, covariance = delong(positive.astype(int), np.array([albumin, 10 - kg, protein]), patients)
    assert areas.round(4).tolist() == [0.7366, 0.7258, 0.6478]
    assert np.sqrt(np.diag(covariance)).round(4).tolist() == [0.0927, 0.1028, 0.1000]
    assert round(delong_p_value(areas, covariance, 0, 1), 4) == 0.9102
    assert round(delong_p_value(areas, covariance, 2, 1), 4) == 0.4561


def delong_by_definition(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the covariance by the paper's equations, one pair at a time."""
    wins = np.array([
        [[(x > y) + 0.5 * (x == y) for y in model[labels == 0]] for x in model[labels == 1]] for model in scores
    ])  # fmt: skip
    positives, negatives = wins.shape[1:]
    return np.cov(wins.mean(axis=2)) / positives + np.cov(wins.mean(axis=1)) / negatives


def test_delong_agrees_with_its_definition_to_the_last_digits():
    labels, scores, _ = simulated_scores()
    areas, covariance = delong(labels, scores, np.arange(len(labels)).astype(str))
    assert areas == pytest.approx([roc_auc_score(labels, score) for score in scores], abs=1e-12)
    assert np.abs(covariance - delong_by_definition(labels, scores)).max() < 1e-10


def test_several_images_of_one_patient_are_not_independent():
    labels, scores, _ = simulated_scores()
    patients = np.arange(len(labels)).astype(str)
    _, of_images = delong(labels, scores, patients)
    _, copied = delong(np.tile(labels, 4), np.tile(scores, 4), np.tile(patients, 4))
    assert copied == pytest.approx(of_images, rel=0.02)  # four copies of each image add nothing
    _, naive = delong(np.tile(labels, 4), np.tile(scores, 4), np.arange(4 * len(labels)).astype(str))
    assert naive == pytest.approx(of_images / 4, rel=0.02)


def test_the_variance_of_a_single_positive_is_unknown():
    scores = np.array([[0.9, 0.1, 0.2], [0.1, 0.2, 0.3]])
    areas, covariance = delong(np.array([1, 0, 0]), scores, np.array(["a", "b", "c"]))
    assert areas.tolist() == [1, 0]
    assert np.isnan(delong_p_value(areas, covariance, 0, 1))


@pytest.mark.parametrize("seed", range(20))
def test_the_variance_of_several_images_of_a_single_patient_is_unknown(seed):
    labels, patients = np.array([1, 1, 1, 0, 0, 0]), np.array(list("aaabcd"))
    areas, covariance = delong(labels, np.random.default_rng(seed).random((2, 6)), patients)
    assert np.isnan(covariance).all()
    assert areas[0] == areas[1] or np.isnan(delong_p_value(areas, covariance, 0, 1))


def test_resampled_scores_agree_with_scikit_learn():
    labels, scores, patients = simulated_scores()
    weights = cluster_bootstrap_weights(patients, 30, seed=1)
    areas, precisions = ranking_scores(labels, scores[0], weights)
    for row, area, precision in zip(weights, areas, precisions, strict=True):
        assert area == pytest.approx(roc_auc_score(labels, scores[0], sample_weight=row), abs=1e-10)
        assert precision == pytest.approx(average_precision_score(labels, scores[0], sample_weight=row), abs=1e-10)


def test_resamples_draw_patients_with_all_their_images():
    patients = np.array(["a", "b", "b", "c"])
    weights = cluster_bootstrap_weights(patients, 500, seed=1)
    assert (weights[:, 1] == weights[:, 2]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert weights.mean(axis=0) == pytest.approx([1, 1, 1, 1], abs=0.15)
    assert (cluster_bootstrap_weights(patients, 500, seed=1) == weights).all()
    assert (cluster_bootstrap_weights(patients, 500, seed=2) != weights).any()


def test_weights_of_images_are_the_same_as_repeated_rows():
    labels, scores, patients = simulated_scores()
    weights = cluster_bootstrap_weights(patients, 20, seed=5)
    areas, _ = ranking_scores(labels, scores[0], weights)
    for row, area in zip(weights, areas, strict=True):
        rows = np.repeat(np.arange(len(labels)), row)
        assert roc_auc_score(labels[rows], scores[0][rows]) == pytest.approx(area, abs=1e-10)
    counts = confusion_counts(labels[:, None], (scores[0] > 0).astype(int)[:, None], weights)
    assert (sum(counts.values())[:, 0] == weights.sum(axis=1)).all()
    expected = [np.repeat(scores.T, row, axis=0).sum(axis=0) for row in weights]
    assert weighted_sums(scores.T, weights) == pytest.approx(np.array(expected))


def test_a_resample_without_one_of_the_classes_has_no_area():
    weights = np.array([[1, 1], [2, 0], [0, 2]], np.uint8)
    areas, _ = ranking_scores(np.array([0, 1]), np.array([0.2, 0.8]), weights)
    assert areas[0] == 1
    assert np.isnan(areas[1:]).all()
    assert confidence_interval(areas) == (1, 1)
    assert np.isnan(confidence_interval(areas[1:])).all()


def test_the_p_value_of_a_difference_agrees_with_its_interval():
    rng = np.random.default_rng(1)
    for shift in np.linspace(0, 3, 40):
        differences = rng.normal(shift, 1, 1000)
        low, high = confidence_interval(differences)
        p = bootstrap_p_value(differences)
        assert (p < 0.05) == (low > 0 or high < 0) or abs(p - 0.05) < 0.005


def test_intervals_contain_the_true_area_and_tests_find_no_difference_where_there_is_none():
    found = coverage_and_false_alarms(sets=500, patients=150, resamples=500)
    assert 0.92 <= found["coverage, bootstrap over patients"] <= 0.975
    assert found["coverage, DeLong over images (wrong)"] < found["coverage, DeLong over patients"]
    assert 0.03 <= found["false alarms, paired bootstrap"] <= 0.07
    assert 0.03 <= found["false alarms, DeLong over patients"] <= 0.07


CLASSES = ["Normal", "COVID", "Lung_Opacity"]
COUNT = 90
IMAGES = pd.DataFrame({"sex": ["F", "M"] * 45}, index=pd.Index(np.arange(COUNT).astype(str), name="name"))
SETTINGS = read_settings(ROOT / "params.yaml").evaluate.model_copy(update={"rounds": 200})


def covid_model(regime: str, start: str) -> ModelName:
    return ModelName("covid", "cnn", regime, start, 1)


def write_model(name: ModelName, seed: int, separation: float = 1.0, seen: np.ndarray | None = None) -> None:
    """Write a model's predictions; the test split is the same for all models, the noise of the logits is not.

    A model that is applied to the dataset as it is gives logits of its own two classes.
    """
    labels = np.eye(len(CLASSES), dtype=int)[np.random.default_rng(0).integers(0, 3, COUNT)]
    classes, label_classes, val_labels = CLASSES, CLASSES, labels
    if name.regime == "as_is":
        classes = ["NORMAL", "PNEUMONIA"]
        val_labels = np.stack([labels[:, 0], 1 - labels[:, 0]], axis=1)
    noise = np.random.default_rng(seed).normal(size=(COUNT, len(classes)))
    logits = separation * (val_labels if name.regime == "as_is" else labels) + noise
    names, not_seen = np.arange(COUNT).astype(str), np.zeros(COUNT, bool)
    val = Predictions(names, names, val_labels, logits, classes, classes, not_seen)
    test = Predictions(
        names, names, labels, logits, label_classes, classes, not_seen if seen is None else seen.astype(bool)
    )
    name.predictions.mkdir(parents=True)
    val.table().to_csv(name.predictions_of("val"), index=False)
    test.table().to_csv(name.predictions_of("test"), index=False)
    if name.regime != "as_is":
        history = {"epoch": [1], "loss": [1.0], "cross_entropy": [1.0], "val_loss": [1.0], "val_cross_entropy": [1.0]}
        pd.DataFrame(history).to_csv(name.predictions / "history.csv", index=False)


def test_every_pair_is_compared_and_gains_are_over_the_control(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    models = [
        covid_model("as_is", "pneumonia"), covid_model("finetune", "imagenet"), covid_model("train", "imagenet"),
        covid_model("train", "none"), covid_model("transfer", "pneumonia"),
    ]  # fmt: skip
    as_is, finetuned, pretrained, control, transferred = models
    write_model(control, 1, separation=0.3)
    write_model(pretrained, 2, separation=3)
    write_model(finetuned, 3, separation=3)
    write_model(as_is, 4, seen=np.arange(COUNT) < 10)
    write_model(transferred, 5)
    evaluate_dataset(models, IMAGES, SETTINGS, tmp_path / "m")
    pairs = pd.read_csv(tmp_path / "m/comparisons/covid.csv")
    assert len(pairs) == 10
    found = gains(pairs, models)
    assert set(found) == {"train", "finetune", "transfer"}
    assert found["train"]["imagenet"]["auc_low"] > 0
    assert found["train"]["imagenet"]["p"] < 0.05
    assert found["finetune"]["imagenet"]["against"] == "train-none"
    written = json.loads((tmp_path / "m/gain/covid.json").read_text())
    assert {regime: list(starts) for regime, starts in written.items()} == {
        regime: list(starts) for regime, starts in found.items()
    }
    assert found["train"]["imagenet"].items() <= written["train"]["imagenet"].items()
    # Three classes have no single curve for DeLong's test; healthy against diseased has.
    p_values = pairs.set_index(["model", "other"])["p_delong"]
    assert np.isnan(p_values["finetune-imagenet", "train-none"])
    assert 0 <= p_values["as_is-pneumonia", "train-none"] <= 1
    # Neither the model of the other dataset nor the one that was trained on from it is scored on what it has seen.
    detail = json.loads((tmp_path / "m/detail/covid.json").read_text())
    assert detail["as_is"]["pneumonia"]["overlap"] == detail["transfer"]["pneumonia"]["overlap"] == 10
    assert detail["as_is"]["pneumonia"]["images"] == detail["transfer"]["pneumonia"]["images"] == COUNT - 10
    assert detail["train"]["none"]["images"] == COUNT


def test_a_gain_is_the_difference_of_the_scores_themselves(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    models = [covid_model("probe", start) for start in ("imagenet", "none")]
    for seed, name in enumerate(reversed(models), start=1):
        write_model(name, seed)
    evaluate_dataset(models, IMAGES, SETTINGS, tmp_path / "m")
    scores = pd.read_json(tmp_path / "m/detail/covid.json")["probe"]
    gain = pd.read_json(tmp_path / "m/gain/covid.json")["probe"]["imagenet"]
    assert gain["auc"] == pytest.approx(scores["imagenet"]["auc"] - scores["none"]["auc"], abs=2e-6)
