"""Adapting a model to radiographs without labels: statistics, thresholds, refusals, and the command."""

import json
import sys

import keras
import numpy as np
import pytest
from conftest import commands, run
from test_training import toy_arrays, toy_classifier

from chest_transfer.data.gray_statistics import GrayStatistics, gray_statistics
from chest_transfer.data.predictions import Predictions
from chest_transfer.errors import ChestTransferError
from chest_transfer.evaluation.adaptation import SOURCE_IMAGES, adapt_statistics, check_enough
from chest_transfer.evaluation.calibrated_predictions import uncalibrated_predictions
from chest_transfer.evaluation.class_shares import (
    Question,
    _smallest_offset,
    class_scores,
    estimate_share,
    move_threshold,
    move_thresholds,
    questions_of_validation,
)
from chest_transfer.evaluation.transport import threshold_transport
from chest_transfer.serving.predictor import Predictor
from chest_transfer.training.determinism import make_deterministic


@pytest.fixture(autouse=True)
def deterministic():
    make_deterministic(seed=1, threads=2)


def log_odds(count: int, share: float, rng) -> tuple[np.ndarray, np.ndarray]:
    """Return labels, and log odds that are calibrated where half are ill: of two normal distributions."""
    labels = (rng.random(count) < share).astype(int)
    return labels, rng.normal(2 * (2 * labels - 1), 2)  # mean 2, variance 4: the log of their ratio is the value


def validation_of(share: float, seed: int = 0, count: int = 4000):
    """Return how a validation split scores: by log odds that would be calibrated if half were ill."""
    return class_scores(*log_odds(count, share, np.random.default_rng(seed)))


@pytest.mark.parametrize("source_share", [0.5, 0.74, 0.1])
@pytest.mark.parametrize("share", [0.15, 0.3, 0.6])
def test_the_share_of_the_ill_is_estimated_without_labels(source_share, share):
    # Also of a model that was trained with class weights: its log odds are those of equally frequent classes.
    _, values = log_odds(10_000, share, np.random.default_rng(1))
    estimate = estimate_share(values, validation_of(source_share))
    assert estimate.share == pytest.approx(share, abs=0.03)
    assert not estimate.doubt


def test_where_radiographs_score_otherwise_the_estimate_is_not_trusted():
    _, values = log_odds(1000, 0.5, np.random.default_rng(1))
    for changed in (values + 3, values / 2, np.abs(values)):
        assert estimate_share(changed, validation_of(0.5)).doubt


@pytest.mark.parametrize("stated", [None, 0.4])
def test_the_moved_threshold_predicts_as_many_as_there_are(stated):
    _, values = log_odds(5000, 0.2, np.random.default_rng(2))
    question = Question("diseased", temperature=1.7, threshold=0.6, validation=validation_of(0.5))
    moved = move_threshold(question, 1.7 * values, 1.7 * values, stated)
    probabilities = 1 / (1 + np.exp(-(1.7 * values + moved.offset) / 1.7))
    assert (probabilities >= 0.6).mean() == pytest.approx(moved.share, abs=0.001)
    assert moved.share == pytest.approx(stated or 0.2, abs=0.02)


def test_where_an_estimate_is_in_doubt_as_many_are_predicted_as_before():
    before = np.random.default_rng(3).normal(9, 9, 500)
    after = before + 4 + np.random.default_rng(4).normal(0, 1, 500)
    question = Question("diseased", 2.0, 0.6, validation_of(0.5))
    moved = move_threshold(question, before, after)
    assert "too far from that of validation (0.5" in moved.doubt or "look different" in moved.doubt
    threshold = 2.0 * np.log(0.6 / 0.4)
    assert (after + moved.offset >= threshold).mean() == pytest.approx((before >= threshold).mean(), abs=0.003)
    assert (after >= threshold).mean() > (before >= threshold).mean() + 0.05
    stated = move_threshold(question, before, after, 0.5)
    assert (after + stated.offset >= threshold).mean() == pytest.approx(0.5, abs=0.003)


@pytest.mark.parametrize("count", [0, 3, 5, 8])
def test_the_threshold_moves_no_more_than_it_must(count):
    scores = np.array([-9.0, -8, -7, -6, -5, 5, 6, 7])
    offset = _smallest_offset(scores, 0.0, count)
    assert (scores + offset >= 0).sum() == count
    if count == 3:
        assert offset == 0
    for smaller in (0.9 * offset, 0.5 * offset):
        assert offset == 0 or (scores + smaller >= 0).sum() != count


def predictions(labels: np.ndarray, logits: np.ndarray, classes: list[str], multi_label: bool) -> Predictions:
    names = np.arange(len(labels)).astype(str)
    return Predictions(names, names, labels, logits, classes, classes, np.zeros(len(labels), bool), multi_label)


@pytest.mark.parametrize(("classes", "multi_label"), [(2, False), (3, False), (3, True)])
def test_the_logits_of_diseases_are_moved_and_that_of_the_healthy_is_not(classes, multi_label):
    rng = np.random.default_rng(4)
    names = ["Normal", "A", "B"][:classes] if not multi_label else ["A", "B", "C"]
    labels = (rng.random((600, classes)) < 0.4).astype(int)
    if not multi_label:
        labels = np.eye(classes, dtype=int)[rng.integers(classes, size=600)]
    val = predictions(labels, rng.normal(3 * labels, 1.0), names, multi_label)
    questions = questions_of_validation(val, "youden")
    assert [question.name for question in questions] == (names if multi_label else ["diseased"])
    offsets, moved = move_thresholds(questions, names, multi_label, val.logits, val.logits + 1)
    assert set(moved) == {question.name for question in questions}
    if multi_label:
        np.testing.assert_allclose(offsets, [moved[name].offset for name in names])
    else:
        assert offsets[0] == 0
        np.testing.assert_allclose(offsets[1:], moved["diseased"].offset)


def test_scores_of_validation_are_those_of_the_radiographs_whose_label_is_known():
    scores = class_scores(np.array([1, -1, 0, 1]), np.array([2.0, 99.0, -1.0, 4.0]))
    assert (scores.ill_count, scores.healthy_count, scores.share) == (2, 1, pytest.approx(2 / 3))
    assert (scores.ill[0], scores.ill[-1], scores.healthy[0]) == (2, 4, -1)
    opposite = scores.of_the_opposite
    assert (opposite.ill[0], opposite.healthy[0], opposite.share) == (1, -4, pytest.approx(1 / 3))


def test_threshold_transport_compares_the_old_threshold_the_moved_one_and_the_best():
    labels, values = log_odds(4000, 0.5, np.random.default_rng(5))
    two = np.stack([1 - labels, labels], axis=1)
    # The network sees disease everywhere, by 3; the logits were moved back by 2.
    moved = uncalibrated_predictions(two, np.stack([np.zeros(4000), values + 3 - 2], axis=1), ["a", "b"], False)
    by_threshold = threshold_transport(moved, offset=-2.0)
    assert list(by_threshold) == ["source", "moved", "best"]
    accuracies = [scores["accuracy"] for scores in by_threshold.values()]
    assert accuracies == sorted(accuracies)
    assert by_threshold["source"]["specificity"] < by_threshold["moved"]["specificity"]
    assert list(threshold_transport(moved)) == ["source", "best"]
    assert list(threshold_transport(moved, were_others_moved=True)) == ["moved", "best"]


def test_batch_norms_get_the_averages_of_the_radiographs_mixed_with_those_of_training():
    classifier, arrays = toy_classifier("mobilenetv2"), toy_arrays(120)
    norm = next(layer for layer in classifier.layers if isinstance(layer, keras.layers.BatchNormalization))
    old = np.array(norm.moving_mean)
    before = keras.Model(classifier.input, norm.input)
    inputs = np.asarray(before(arrays.images[..., None].astype(np.float32)))
    said = adapt_statistics(classifier, arrays, GrayStatistics(100.0, 50.0))
    kept = SOURCE_IMAGES / (SOURCE_IMAGES + 120)
    np.testing.assert_allclose(
        norm.moving_mean, kept * old + (1 - kept) * inputs.mean(axis=(0, 1, 2)), rtol=1e-3, atol=1e-4
    )
    assert "those of 120 radiographs" in said


def test_without_batch_norm_gray_levels_become_those_of_training():
    radiograph = keras.Input((32, 32, 1))
    scaled = keras.layers.Rescaling(1 / 127.5, -1.0, name="preprocessing")(radiograph)
    network = keras.Model(radiograph, keras.layers.Flatten()(scaled))
    arrays, source = toy_arrays(120), GrayStatistics(90.0, 30.0)
    adapt_statistics(network, arrays, source)
    gray = gray_statistics(arrays.images)
    images = arrays.images.astype(np.float32)
    expected = ((images - gray.mean) / gray.deviation * source.deviation + source.mean) / 127.5 - 1
    np.testing.assert_allclose(network(images[..., None]), expected.reshape(120, -1), atol=1e-4)


def test_too_few_radiographs_are_refused():
    with pytest.raises(ChestTransferError, match=r"99 radiographs are too few .*allowed: 100 or more"):
        check_enough(99)


@pytest.mark.slow
class TestCommand:
    MODEL = "models/best/pneumonia.keras"

    def adapt(self, folder, out, *options: str, check: bool = True):
        archive = "data/raw/pneumonia.zip"
        words = ("adapt", self.MODEL, archive, archive, "--out", str(out), "--share", "0.5", *options)
        return run(folder, sys.executable, "-m", "chest_transfer.cli", *words, check=check)

    def test_an_adapted_model_is_a_model_like_any_other_and_says_what_changed(self, evaluated, tmp_path):
        out = tmp_path / "ward.keras"
        printed = self.adapt(evaluated, out).stdout
        assert "changed: the threshold of diseased, to predict as many as there are: 0.500 (stated)" in printed
        assert "CAUTION: nothing was verified, because there are no labels;" in printed
        adapted = Predictor(out)
        assert adapted.facts.regime == "adapted"
        assert adapted.facts.settings["adaptation"]["stated_share"] == 0.5
        [predicted] = commands(evaluated, ("predict", str(out), "data/raw/pneumonia.zip", "--json"))
        predictions = json.loads(predicted[predicted.index("{") :])["predictions"]
        ill = np.mean([prediction["predicted"] == ["PNEUMONIA"] for prediction in predictions])
        assert ill == pytest.approx(0.5, abs=0.05)
        again = tmp_path / "again.keras"
        self.adapt(evaluated, again)
        assert again.read_bytes() == out.read_bytes()

    def test_what_cannot_be_adapted_is_refused(self, evaluated, tmp_path):
        out = tmp_path / "ward.keras"
        for words, message in (
            ((self.MODEL, "data/raw/pneumonia.zip", "--out", str(out)), "radiographs are too few to adapt to"),
            ((self.MODEL, "nowhere", "--out", str(out)), "0 radiographs are too few"),
            ((self.MODEL, "nowhere", "--out", "ward.h5"), "allowed: a file ending in .keras"),
            ((self.MODEL, "nowhere", "--out", str(out), "--share", "1.5"), "--share is 1.5 (allowed: between 0 and 1"),
        ):
            done = run(evaluated, sys.executable, "-m", "chest_transfer.cli", "adapt", *words, check=False)
            assert done.returncode == 1
            assert message in done.stderr
        assert not out.exists()
