"""Prediction sets: the promised error rate holds on radiographs like those of validation, and not on others."""

import numpy as np
import pytest

from chest_transfer.data.arrays import UNKNOWN
from chest_transfer.evaluation.calibrated_predictions import uncalibrated_predictions
from chest_transfer.evaluation.conformal import conformal_scores, fit_cutoffs, is_answered, possible

CLASSES = ["healthy", "ill", "very ill"]


def cohort(count: int, seed: int, classes: int, shift: float = 0.0, multi_label: bool = False):
    """Return predictions of a fair model for simulated radiographs; with a shift it sees disease everywhere."""
    rng = np.random.default_rng(seed)
    if multi_label:
        labels = (rng.random((count, classes)) < 0.3).astype(int)
        logits = rng.normal(4 * labels - 2 + shift, 2)
    else:
        labels = np.eye(classes, dtype=int)[rng.integers(classes, size=count)]
        logits = rng.normal(3 * labels, 1.5)
        logits[:, 1:] += shift
    return uncalibrated_predictions(labels, logits, CLASSES[:classes], multi_label)


def scores_of(val, test, error_rate: float) -> dict:
    return conformal_scores(test, fit_cutoffs(val.labels, val.probabilities, val.multi_label, error_rate))


@pytest.mark.parametrize(("classes", "multi_label"), [(2, False), (3, False), (3, True)])
@pytest.mark.parametrize("error_rate", [0.05, 0.2])
def test_coverage_is_within_a_point_of_the_promise_on_radiographs_like_those_of_validation(
    classes, multi_label, error_rate
):
    coverages = []
    for seed in range(20):
        val, test = (
            cohort(count, seed + offset, classes, multi_label=multi_label) for count, offset in ((400, 0), (2000, 99))
        )
        coverages.append(scores_of(val, test, error_rate)["coverage"])
    assert np.mean(coverages) == pytest.approx(1 - error_rate, abs=0.01)


def test_little_of_the_promise_is_left_where_radiographs_look_otherwise():
    val = cohort(400, 1, 2)
    assert scores_of(val, cohort(2000, 2, 2, shift=4), 0.1)["coverage"] < 0.75


def test_a_model_answers_more_often_the_more_errors_are_allowed_and_is_right_more_often_than_without_sets():
    val, test = cohort(400, 1, 2), cohort(2000, 2, 2)
    few, many = scores_of(val, test, 0.02), scores_of(val, test, 0.1)
    assert few["answered"] < many["answered"]
    accuracy = (test.probabilities.argmax(axis=1) == test.labels.argmax(axis=1)).mean()
    assert few["accuracy_answered"] > accuracy + 0.05


def test_each_class_has_the_promise_for_itself():
    val, test = cohort(2000, 1, 3), cohort(20_000, 2, 3)
    sets = possible(test.probabilities, fit_cutoffs(val.labels, val.probabilities, False, 0.1))[..., 1]
    for k in range(3):
        assert sets[test.labels[:, k] == 1, k].mean() == pytest.approx(0.9, abs=0.02)


def test_of_too_few_radiographs_nothing_can_be_excluded():
    val = cohort(400, 1, 2)
    labels = np.where(np.arange(400)[:, None] < 12, val.labels, UNKNOWN)
    cutoffs = fit_cutoffs(labels, val.probabilities, False, 0.05)
    sets = possible(val.probabilities, cutoffs)
    assert not is_answered(sets, multi_label=False).any()
    assert (sets[..., 1]).all()
