"""Scores from few patients: intervals keep a width, and where there are too few there is none, with the reason."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from scipy.special import expit
from scipy.stats import binomtest

from chest_transfer.data.predictions import Predictions
from chest_transfer.evaluation.calibrated_predictions import uncalibrated_predictions
from chest_transfer.evaluation.comparisons import compare_all
from chest_transfer.evaluation.fit_scores import EvaluatedFit
from chest_transfer.evaluation.intervals import (
    FEW_PATIENTS,
    FEWEST_PATIENTS,
    NORMAL_QUANTILE,
    PatientCounts,
    area_interval,
    cluster_bootstrap_weights,
    difference_interval,
    proportion_interval,
    with_interval,
)
from chest_transfer.evaluation.metrics import score
from chest_transfer.model_names import ModelName
from chest_transfer.reporting.answers import gain_sentence
from chest_transfer.reporting.cautions import dataset_cautions
from chest_transfer.reporting.score_table import with_intervals


def counted(ill: int, healthy: int, classes: int = 1) -> PatientCounts:
    """Patients who are ill or healthy, none of them both."""
    return PatientCounts(ill, healthy, ill + healthy, classes)


COUNTS = [(5, 5), (5, 100), (10, 20), (29, 29), (200, 1000)]
AREAS = [0.0, 0.2, 0.5, 0.8, 0.97, 1.0]


@pytest.mark.parametrize(("ill", "healthy"), COUNTS)
@pytest.mark.parametrize("area", AREAS)
def test_the_interval_of_an_area_has_a_width_everywhere(area, ill, healthy):
    low, high = area_interval(area, counted(ill, healthy))
    assert 0 <= low <= area <= high <= 1
    assert high - low > 0.5 / (ill + healthy)
    mirrored = area_interval(1 - area, counted(ill, healthy))
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-6)


@pytest.mark.parametrize("bound", [0, 1])
def test_a_bound_is_1_96_standard_errors_of_hanley_and_mcneil_away(bound):
    counts, area = counted(12, 40), 0.85
    true_area = area_interval(area, counts)[bound]
    size = (counts.ill + counts.healthy) / 2 - 1
    q1, q2 = true_area / (2 - true_area), 2 * true_area**2 / (1 + true_area)  # as Hanley and McNeil 1982 write it
    variance = true_area * (1 - true_area) + size * (q1 - true_area**2) + size * (q2 - true_area**2)
    assert abs(area - true_area) == pytest.approx(
        NORMAL_QUANTILE * np.sqrt(variance / (counts.ill * counts.healthy)), abs=1e-9
    )


def test_more_patients_give_narrower_intervals_of_a_perfect_model():
    lows = [area_interval(1.0, counted(ill, 4 * ill))[0] for ill in (5, 10, 50, 500)]
    assert lows == sorted(lows)
    assert lows[0] < 0.85
    assert lows[-1] > 0.99


def test_wilsons_interval_of_a_proportion():
    assert proportion_interval(1.0, 10) == pytest.approx((0.722467, 1.0), abs=1e-6)  # 10 / (10 + 1.96 ** 2)
    assert proportion_interval(0.0, 10) == pytest.approx((0.0, 0.277533), abs=1e-6)


@pytest.mark.parametrize(("hits", "count"), [(0, 7), (3, 7), (7, 7), (29, 30), (500, 1000)])
def test_wilsons_interval_is_that_of_scipy_and_goes_on_between_whole_patients(hits, count):
    interval = binomtest(hits, count).proportion_ci(0.95, method="wilson")
    assert proportion_interval(hits / count, count) == pytest.approx((interval.low, interval.high), abs=1e-9)
    between = proportion_interval((hits + 0.5) / (count + 1), count + 1)
    assert between[0] < (hits + 0.5) / (count + 1) < between[1]


def test_a_patient_who_is_ill_and_healthy_counts_once_for_accuracy():
    assert PatientCounts(ill=10, healthy=10, patients=12).behind("accuracy") == 12


RESAMPLED = np.array([0.7, 0.8, 0.9])


@pytest.mark.parametrize(
    ("name", "value", "resampled", "counts", "kind"),
    [
        ("auc", 0.8, RESAMPLED, counted(100, 100), "bootstrap"),
        ("auc", 0.8, RESAMPLED, counted(FEW_PATIENTS, FEW_PATIENTS), "bootstrap"),
        ("auc", 0.8, RESAMPLED, counted(FEW_PATIENTS - 1, 100), "area"),
        ("auc", 0.8, RESAMPLED, counted(FEW_PATIENTS - 1, 100, classes=3), "bootstrap"),  # a macro average
        ("auc", 1.0, np.ones(3), counted(100, 100), "area"),  # a perfect model
        ("auc", 0.5, np.full(3, 0.5), counted(100, 100), "area"),  # a constant model
        ("sensitivity", 1.0, np.ones(3), counted(100, 50), "proportion of 100"),
        ("specificity", 1.0, np.ones(3), counted(100, 50), "proportion of 50"),
        ("f1", 1.0, np.ones(3), counted(100, 50), "proportion of 50"),
        ("f1", 0.8, RESAMPLED, counted(10, 50), "bootstrap"),
        ("auc", 0.8, RESAMPLED, counted(FEWEST_PATIENTS - 1, 100), "none"),
        ("auc", 0.8, RESAMPLED, counted(100, 1), "none"),
    ],
)
def test_which_interval_is_given(name, value, resampled, counts, kind):
    given = with_interval(name, value, resampled, counts)
    assert given[name] == value
    expected = {
        "bootstrap": (0.705, 0.895), "none": (None, None), "area": area_interval(value, counts),
        "proportion of 100": proportion_interval(value, 100), "proportion of 50": proportion_interval(value, 50),
    }[kind]  # fmt: skip
    assert (given[f"{name}_low"], given[f"{name}_high"]) == (
        expected if kind == "none" else pytest.approx(expected, abs=1e-6)
    )


RARE = (30, 20, 10, 5, 4, 2, 1)  # ill patients of each finding


def rare_findings(seed: int = 1, patients: int = 120):
    """Predictions of findings of which the rare ones are ranked perfectly, and the frequent ones at random."""
    rng = np.random.default_rng(seed)
    patient_of = np.repeat(np.arange(patients), rng.integers(1, 4, patients))
    labels = np.stack([np.isin(patient_of, rng.permutation(patients)[:ill]) for ill in RARE], axis=1).astype(int)
    logits = rng.normal(size=labels.shape) + labels * np.where(np.array(RARE) < 20, 4.0, 0.0)
    names = [f"finding {ill}" for ill in RARE]
    return uncalibrated_predictions(labels, logits, names, True, patient_of), cluster_bootstrap_weights(
        patient_of, 500, 1
    )


def test_the_interval_of_a_macro_average_lies_around_its_value():
    predictions, weights = rare_findings()
    scores = score(predictions, weights)
    record = with_interval("auc", *scores.area, scores.patients)
    assert record["auc_low"] < record["auc"] < record["auc_high"]
    assert scores.resampled["auc"].mean() == pytest.approx(record["auc"], abs=0.01)


def test_a_macro_average_is_over_findings_with_enough_patients_and_each_finding_is_listed():
    predictions, weights = rare_findings()
    scores = score(predictions, weights)
    counts = {name: counts.ill for name, (_, _, counts) in scores.class_areas.items()}
    assert counts == {f"finding {ill}": ill for ill in RARE}
    enough = [area for area, _, counts in scores.class_areas.values() if counts.are_enough]
    assert len(enough) == 4
    assert scores.values["auc"] == pytest.approx(np.mean(enough))
    assert (scores.patients.ill, scores.patients.classes) == (5, 4)
    assert scores.patients.healthy == min(counts.healthy for *_, counts in scores.class_areas.values())
    of_one = with_interval("auc", *scores.class_areas["finding 1"])
    assert of_one["auc"] is not None
    assert of_one["auc_low"] is None


def evaluated(name: str, logits: np.ndarray, labels: np.ndarray, patients: np.ndarray, weights) -> EvaluatedFit:
    of_two = np.stack([np.zeros(len(logits)), logits], axis=1)
    one_hot = np.stack([1 - labels, labels], axis=1)
    classes = ["healthy", "ill"]
    names = np.arange(len(labels)).astype(str)
    test = Predictions(names, patients, one_hot, of_two, classes, classes, seen=np.zeros(len(labels), bool))
    calibrated = uncalibrated_predictions(one_hot, of_two, classes, False, patients)
    scores = score(calibrated, weights)
    return EvaluatedFit(ModelName("pneumonia", "cnn", "train", name, 1), test, calibrated, scores, record={})


@pytest.mark.parametrize(("ill", "has_interval"), [(20, True), (FEWEST_PATIENTS - 1, False)])
def test_the_difference_of_two_perfect_models_has_a_width_and_that_of_equal_predictions_none(ill, has_interval):
    labels = (np.arange(60) < ill).astype(int)
    patients = np.arange(60).astype(str)
    weights = cluster_bootstrap_weights(patients, 200, 1)
    rng = np.random.default_rng(1)
    perfect = [labels * 9 + rng.random(60) for _ in range(2)]
    models = [[evaluated(name, logits, labels, patients, weights)] for name, logits in
              (("none", perfect[0]), ("imagenet", perfect[1]), ("same", perfect[1]))]  # fmt: skip
    pairs = compare_all(models, weights, multi_label=False).set_index(["model", "other"])
    differ, equal = pairs.loc[("train-none", "train-imagenet")], pairs.loc[("train-imagenet", "train-same")]
    assert differ["auc"] == equal["auc"] == 0
    if has_interval:
        assert differ["auc_low"] < -0.02
        assert differ["auc_high"] > 0.02
        assert equal["auc_low"] == equal["auc_high"] == 0
    else:
        assert pd.isna(differ["auc_low"])


def test_the_interval_of_a_difference_contains_those_of_its_parts_at_the_edge():
    low, high = difference_interval((1.0, 1.0), ((0.9, 1.0), (0.8, 1.0)))
    assert (low, high) == pytest.approx((-0.2, 0.1))


def test_a_constant_model_has_an_area_of_one_half_with_a_width():
    labels = (np.arange(100) < 40).astype(int)
    logits = np.stack([np.zeros(100), np.full(100, 0.3)], axis=1)
    predictions = uncalibrated_predictions(np.stack([1 - labels, labels], axis=1), logits, ["healthy", "ill"], False)
    scores = score(predictions, cluster_bootstrap_weights(np.arange(100).astype(str), 200, 1))
    record = with_interval("auc", *scores.area, scores.patients)
    assert record["auc"] == 0.5
    assert record["auc_low"] < 0.45
    assert record["auc_high"] > 0.55


def test_a_table_shows_that_there_is_no_interval():
    table = pd.DataFrame({"auc": [0.9, 0.8], "auc_low": [0.8, np.nan], "auc_high": [1.0, np.nan]})
    assert list(with_intervals(table)["auc"]) == ["0.900 (0.800-1.000)", "0.800 (no interval)"]


def test_the_report_gives_the_reason_and_claims_no_gain():
    data = json.loads((ROOT / "metrics/data/pneumonia.json").read_text())
    scores = {"train-none": {"auc": 0.8, "auc_low": None, "auc_high": None, "fit": "ok"}}
    areas = {"train-none": {"auc": 0.8}, "train-imagenet": {"auc": 1.0}}
    gain = {"auc": 0.2, "auc_low": None, "auc_high": None, "against": "train-none"}
    sentence = gain_sentence("ward", areas, "train", "imagenet", gain)
    assert "no gain from ImageNet can be claimed from fewer than 5 ill or healthy test patients" in sentence
    assert sentence.endswith("(+0.200).")
    texts = [caution.text for caution in dataset_cautions("ward", data, scores, {})]
    assert any(
        text.startswith("ward: fewer than 5 ill or healthy test patients (whole network, random weights)")
        for text in texts
    )


def test_probabilities_far_from_one_half_change_nothing():
    """Areas come from log odds: a perfect model of saturated probabilities has the same interval."""
    labels = (np.arange(50) < 10).astype(int)
    logits = np.where(labels == 1, 60.0, -60.0)
    assert (expit(logits[labels == 1]) == 1).all()
    predictions = uncalibrated_predictions(
        np.stack([1 - labels, labels], axis=1), np.stack([-logits, logits], axis=1), ["healthy", "ill"], False
    )
    scores = score(predictions, cluster_bootstrap_weights(np.arange(50).astype(str), 200, 1))
    record = with_interval("auc", *scores.area, scores.patients)
    assert (record["auc_low"], record["auc_high"]) == pytest.approx(area_interval(1.0, counted(10, 40)), abs=1e-6)
