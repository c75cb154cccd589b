"""Training seeds as readers: the published analysis of the standard example, and what it says where little is known."""

import numpy as np
import pytest

from chest_transfer.evaluation.reader_study import ReaderStudy, bootstrap_covariance

# Van Dyke et al. 1993, aortic dissection: 5 readers, cine MRI and spin-echo MRI, 114 patients. As the R package MRMCaov
# publishes it: the mean areas, the mean square of the interaction, and the covariances (of DeLong; unbiased) of one
# reader with two treatments, two readers with one, two with two, and the variance.
MEANS, INTERACTION = (0.9408374, 0.8970370), 0.0005510306
DELONG = (0.0003420090, 0.0003395265, 0.0002358497, 0.0007921325)
UNBIASED = (0.0003416706, 0.0003390650, 0.0002356148, 0.0007883925)


def study(means, interaction: float, covariances, readers: int = 5, is_cautious: bool = True) -> ReaderStudy:
    """Return the study of two treatments with these components of its variance."""
    pattern = np.arange(readers) - (readers - 1) / 2
    pattern *= np.sqrt(interaction * (readers - 1) / (2 * (pattern**2).sum()))
    same_treatment = np.eye(2, dtype=bool)[:, None, :, None]
    same_reader = np.eye(readers, dtype=bool)[None, :, None, :]
    of_reader, of_treatment, of_neither, variance = covariances
    covariance = np.where(
        same_treatment, np.where(same_reader, variance, of_treatment), np.where(same_reader, of_reader, of_neither)
    )
    return ReaderStudy(np.array(means)[:, None] + np.outer([1, -1], pattern), covariance, is_cautious)


@pytest.mark.parametrize(
    ("covariances", "expected"),
    [
        (DELONG, (4.484854, 15.06611, 0.05123303, 0.0206825, -0.0878671960, 0.0002665519)),
        (UNBIASED, (4.489614, 15.03418, 0.0511618, 0.02067154, -0.0878519409, 0.0002512968)),
    ],
    ids=["DeLong", "unbiased"],
)
def test_published_figures_follow_from_published_components(covariances, expected):
    of_two = study(MEANS, INTERACTION, covariances, is_cautious=False)
    assert of_two.covariances == pytest.approx(covariances[:3])
    assert of_two.error_variance == pytest.approx(covariances[3])
    assert of_two.treatment_mean_square == pytest.approx(0.004796171, rel=1e-5)
    assert of_two.interaction_mean_square == pytest.approx(INTERACTION)
    difference = of_two.difference(0, 1)
    assert difference.value == pytest.approx(-0.04380032, abs=1e-7)
    computed = (*of_two.test(), difference.error, *difference.interval)
    assert computed == pytest.approx(expected, rel=2e-5, abs=1e-6)
    assert difference.p == pytest.approx(expected[2], rel=1e-5)


def test_readers_who_agree_leave_the_uncertainty_of_patients():
    agreed = study((0.9, 0.9), 0.0, (4e-4, 4e-4, 4e-4, 4e-4))
    mean = agreed.mean(0)
    assert mean.error == pytest.approx(np.sqrt(4e-4))
    assert mean.interval == pytest.approx((0.9 - 1.96 * 0.02, 0.9 + 1.96 * 0.02), abs=1e-4)


def test_treatments_that_never_differ_are_not_found_to_differ():
    same = study((0.9, 0.9), 0.0, (4e-4, 4e-4, 4e-4, 4e-4)).difference(0, 1)
    assert (same.value, same.interval, same.p) == (0.0, (0.0, 0.0), 1.0)


def test_an_interval_of_an_area_ends_below_1():
    mean = study((0.99, 0.9), 0.0, (4e-4, 4e-4, 4e-4, 4e-4)).mean(0)
    assert mean.interval[1] > 1
    assert 0.6 < mean.area_interval[0] < 0.99 < mean.area_interval[1] < 1


@pytest.mark.parametrize("readers", [2, 3, 5])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_intervals_contain_the_truth_with_few_readers_too(readers, share):
    rng, contained = np.random.default_rng(1), []
    of_patients = (1 - share) / readers  # Cov2 of what is left to patients; others are 0
    for _ in range(2000):
        areas = np.sqrt(share / 2) * rng.normal(size=(2, readers)) + np.sqrt(of_patients / 2) * rng.normal(size=(2, 1))
        covariance = np.zeros((2, readers, 2, readers))
        for treatment in range(2):
            covariance[treatment, :, treatment] = of_patients / 2
        low, high = ReaderStudy(areas, covariance).difference(0, 1).interval
        contained.append(low <= 0 <= high)
    assert 0.92 < np.mean(contained) < 0.98


def test_the_covariance_of_resamples_is_that_of_the_scores():
    draws = np.random.default_rng(1).multivariate_normal([0, 0], [[4, 1], [1, 2]], size=20_000).T
    draws[0, :100] = np.nan
    assert bootstrap_covariance(draws) == pytest.approx(np.array([[4, 1], [1, 2]]), abs=0.1)


def test_few_readers_who_disagree_give_a_wide_interval():
    two, five = (study((0.90, 0.94), 4e-4, DELONG, readers).difference(0, 1) for readers in (2, 5))
    assert two.freedom < five.freedom
    assert two.interval[1] - two.interval[0] > 2 * (five.interval[1] - five.interval[0])
