"""The stress test: balanced shortcuts, and degraded radiographs."""

import json

import numpy as np
import pandas as pd
import pytest

from chest_transfer.data.arrays import Arrays
from chest_transfer.data.covariates import Covariates, read_covariates, write_covariates
from chest_transfer.data.degradations import DEGRADATIONS, degrade, degrade_at_random
from chest_transfer.errors import ChestTransferError
from chest_transfer.evaluation.balancing import MATCHED, REVERSED, is_balanced
from chest_transfer.evaluation.calibrated_predictions import uncalibrated_predictions
from chest_transfer.evaluation.degraded import rows_to_degrade
from chest_transfer.evaluation.intervals import cluster_bootstrap_weights
from chest_transfer.evaluation.stress import (
    class_weights,
    reversed_validation_area,
    shortcut_areas,
    stress_record,
    weighted_scores,
)

COUNT = 1200


class Cohort:
    """Simulated radiographs: the ill are blurrier, and a finding that has nothing to do with it."""

    def __init__(self):
        rng = np.random.default_rng(1)
        self.labels = (np.arange(COUNT) % 3 == 0).astype(int)
        self.sharpness = rng.normal(size=COUNT) - 1.2 * self.labels
        self.finding = rng.normal(size=COUNT) + 1.5 * self.labels
        self.covariates = Covariates(np.stack([np.zeros(COUNT), -self.sharpness], axis=1), self.sharpness[:, None])
        self.resamples = cluster_bootstrap_weights(np.arange(COUNT).astype(str), 100, 1)

    def predictions(self, log_odds: np.ndarray):
        logits = np.stack([np.zeros(COUNT), log_odds], axis=1)
        return uncalibrated_predictions(np.stack([1 - self.labels, self.labels], axis=1), logits, ["a", "b"], False)

    def record(self, log_odds: np.ndarray, kind: str) -> dict:
        predictions = self.predictions(log_odds)
        weights = class_weights(predictions, self.covariates)[kind]
        plain, stressed = (weighted_scores(predictions, each, self.resamples) for each in (None, weights))
        return stress_record([stressed], [plain])


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return Cohort()


@pytest.mark.parametrize("read", ["linearly", "as a threshold", "in the middle"])
def test_a_model_that_reads_only_sharpness_falls_to_one_half_when_it_is_matched(cohort, read):
    sharpness = cohort.sharpness
    scores = {"linearly": -sharpness, "as a threshold": (sharpness < -1) * 2.0 - 1, "in the middle": -abs(sharpness)}
    record = cohort.record(scores[read], MATCHED)
    assert record["auc"] == pytest.approx(0.5, abs=0.015)
    assert record["auc_low"] < 0.5 < record["auc_high"]


def test_an_honest_model_does_not_move(cohort):
    for kind in (MATCHED, REVERSED):
        record = cohort.record(cohort.finding, kind)
        assert record["change"] == pytest.approx(0, abs=0.025)
        assert record["change_low"] < 0 < record["change_high"]


def test_a_model_that_reads_both_loses_what_it_read_of_sharpness(cohort):
    both = cohort.finding - cohort.sharpness
    matched, opposite = cohort.record(both, MATCHED), cohort.record(both, REVERSED)
    assert matched["change_high"] < -0.02
    assert opposite["auc"] < matched["auc"] - 0.1
    assert opposite["sensitivity"] < matched["sensitivity"]


def test_reversed_the_shortcut_says_the_opposite_with_fewer_effective_patients(cohort):
    predictions = cohort.predictions(cohort.finding)
    weights = class_weights(predictions, cohort.covariates)
    areas = {kind: shortcut_areas(predictions, cohort.covariates, weights[kind])[0] for kind in (MATCHED, REVERSED)}
    assert areas[MATCHED] == pytest.approx(0.5, abs=0.01)
    assert areas[REVERSED] == pytest.approx(1 - shortcut_areas(predictions, cohort.covariates, None)[0], abs=0.05)
    matched, opposite = (cohort.record(cohort.finding, kind) for kind in (MATCHED, REVERSED))
    assert opposite["effective_ill"] < matched["effective_ill"] < cohort.labels.sum()


def test_a_model_is_chosen_by_the_strongest_shortcut_that_leaves_enough_patients(cohort):
    nothing = np.random.default_rng(2).normal(size=(COUNT, 2))
    all_but = Covariates(np.stack([np.zeros(COUNT), 50.0 * cohort.labels], axis=1), None)
    shortcuts = {"noise": Covariates(nothing, None), "sharpness": cohort.covariates, "border": all_but}
    both = reversed_validation_area(cohort.predictions(cohort.finding - cohort.sharpness), shortcuts)
    honest = reversed_validation_area(cohort.predictions(cohort.finding), shortcuts)
    assert both["shortcut"] == honest["shortcut"] == "sharpness"
    assert both["auc"] < honest["auc"]


def test_where_one_of_several_classes_cannot_be_balanced_the_shortcut_is_not():
    assert is_balanced(MATCHED, [0.5, 0.52])
    assert not is_balanced(MATCHED, [0.4, 0.6])
    assert not is_balanced(REVERSED, [0.1, 0.2, 1.0])


def test_radiographs_of_one_class_have_no_scores(cohort):
    healthy = cohort.predictions(cohort.finding).of_images(cohort.labels == 0)
    scores = weighted_scores(healthy, None, cohort.resamples[:, cohort.labels == 0])
    assert stress_record([scores], [scores])["auc"] is None


def test_covariates_come_back_as_written_and_those_of_other_radiographs_are_refused(cohort, tmp_path):
    names = {"test": np.array([f"{k}.png" for k in range(COUNT)])}
    path = tmp_path / "shortcuts.npz"
    write_covariates(path, names, {"test": {"sharpness": cohort.covariates}})
    read = read_covariates(path, names)["test"]["sharpness"]
    np.testing.assert_allclose(read.of_class(1), cohort.covariates.of_class(1), rtol=1e-6)
    with pytest.raises(ChestTransferError, match="is not of these test radiographs; run: dvc repro"):
        read_covariates(path, {"test": names["test"][::-1]})


@pytest.fixture
def images() -> np.ndarray:
    rng = np.random.default_rng(3)
    gradient = np.linspace(30, 200, 64)[:, None] + rng.normal(0, 20, (6, 64, 64))
    return np.clip(gradient, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_each_degradation_changes_more_the_stronger_it_is_and_comes_back_the_same(images, name):
    changes = []
    others = np.roll(images, -1, axis=0)
    for level in DEGRADATIONS[name].levels:
        degraded, again = (degrade(images, others, name, level, np.random.default_rng(1)) for _ in range(2))
        np.testing.assert_array_equal(degraded, again)
        assert degraded.dtype == np.uint8
        assert degraded.shape == images.shape
        changes.append(np.abs(degraded.astype(int) - images).mean())
    assert 0 < changes[0] < changes[1] < changes[2]


def test_matching_a_histogram_gives_only_gray_levels_that_the_other_radiograph_has():
    rng = np.random.default_rng(4)
    saturated = np.where(rng.random((1, 64, 64)) < 0.05, 255, rng.integers(20, 200, (1, 64, 64))).astype(np.uint8)
    other = rng.integers(40, 180, (1, 64, 64)).astype(np.uint8)
    matched = degrade(saturated, other, "histogram", 1.0, rng)
    assert matched.max() <= other.max()
    assert abs(np.median(matched) - np.median(other)) <= 2


def test_exchanging_spectra_exchanges_the_sharpness_of_two_radiographs():
    def roughness(image: np.ndarray) -> float:
        return float(np.abs(np.diff(image.astype(float), axis=0)).mean())

    images = np.clip(np.random.default_rng(3).normal(120, 25, (4, 64, 64)), 0, 255).astype(np.uint8)
    blurred = degrade(images, images, "blur", 0.012, np.random.default_rng(1))
    made_sharp = degrade(blurred, images, "spectrum", 1.0, np.random.default_rng(1))
    made_blurred = degrade(images, blurred, "spectrum", 1.0, np.random.default_rng(1))
    for image, soft, sharpened, softened in zip(images, blurred, made_sharp, made_blurred, strict=True):
        assert roughness(soft) < 0.7 * roughness(image)
        assert roughness(sharpened) == pytest.approx(roughness(image), rel=0.1)
        assert roughness(softened) == pytest.approx(roughness(soft), rel=0.1)
        assert sharpened.mean() == pytest.approx(image.mean(), abs=2)


def test_in_training_a_share_of_the_radiographs_is_degraded(images):
    many = np.repeat(images, 50, axis=0)
    degraded = degrade_at_random(many, {"noise": 30.0, "blur": 0.05}, 0.4, np.random.default_rng(1))
    assert (degraded != many).any(axis=(1, 2)).mean() == pytest.approx(0.4, abs=0.07)
    np.testing.assert_array_equal(degrade_at_random(many, {"noise": 30.0}, 0.0, np.random.default_rng(1)), many)


def test_radiographs_to_degrade_are_those_of_whole_patients(images):
    patients = np.array(["a", "a", "b", "b", "c", "d"])
    names = np.array([f"{k}.png" for k in range(6)])
    test = Arrays(images, np.zeros(6, int), patients, names, np.array(["healthy", "ill"]))
    chosen = rows_to_degrade(test, 4)
    assert 0 < len(chosen) <= 4
    assert not set(patients[chosen]) & set(np.delete(patients, chosen))
    assert len(rows_to_degrade(test, 100)) == 6


@pytest.mark.slow
def test_the_stages_write_the_stress_test_of_each_model(evaluated):
    record = json.loads((evaluated / "metrics/stress/pneumonia.json").read_text())["train"]["none"]
    assert {"matched_sharpness", "reversed_sharpness", "matched_border", "degraded"} <= set(record)
    assert set(record["degraded"]["by_degradation"]) == {
        f"{name}_{level}" for name in DEGRADATIONS for level in (1, 2, 3)
    }
    table = pd.read_csv(evaluated / "metrics/plots/pneumonia/stress.csv")
    assert set(table["degradation"]) == set(DEGRADATIONS)
    assert (table.groupby(["model", "degradation"]).size() == 4).all()
    detail = json.loads((evaluated / "metrics/detail/pneumonia.json").read_text())["train"]["none"]
    assert record["degraded"]["unchanged"]["auc"] == pytest.approx(detail["auc"], abs=1e-6)
