"""Training seeds as the readers of a multi-reader multi-case study: intervals for another seed and other patients.

A start that was trained with R seeds is a treatment that R readers used. Readers and patients are random, as in
radiology's own studies: Obuchowski and Rockette (Communications in Statistics - Simulation and Computation 24, 1995,
285-308), with the degrees of freedom of Hillis (Statistics in Medicine 26, 2007, 596-619).

Studies have five readers and more; seeds are two or three. A mean square of so few is mostly too small, and 95 %
intervals contain the truth in as few as 87 % of cases. Here it is divided by a quantile of its distribution in place of
its mean (`CAUTION`).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import expit, logit
from scipy.stats import chi2, f, t

from chest_transfer.evaluation.intervals import CONFIDENCE

# By simulation of normal errors: with it, intervals contain the truth in 93 to 97 % of cases for one degree of freedom
# and more, whatever share of the variance is of readers (`python -m bench.readers`).
CAUTION = 0.42


@dataclass(frozen=True)
class Estimate:
    """An estimate with its interval.

    Args:
        value: float.
        error: float, its standard error.
        freedom: float, degrees of freedom of t.
    """

    value: float
    error: float
    freedom: float

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval."""
        width = float(t.ppf((1 + CONFIDENCE) / 2, self.freedom)) * self.error
        return self.value - width, self.value + width

    @property
    def area_interval(self) -> tuple[float, float]:
        """The 95 % interval of an area, by its logit, so that it ends below 1; NaN for an area of 0 or 1."""
        if not 0 < self.value < 1:
            return float("nan"), float("nan")
        on_logit = Estimate(logit(self.value), self.error / (self.value * (1 - self.value)), self.freedom)
        low, high = expit(on_logit.interval)
        return float(low), float(high)

    @property
    def p(self) -> float:
        """Two-sided p-value of the hypothesis that the true value is 0; 1 where it is 0 without any error."""
        if self.error == 0:
            return 1.0 if self.value == 0 else 0.0
        return float(2 * t.sf(abs(self.value) / self.error, self.freedom))


@dataclass(frozen=True)
class ReaderStudy:
    """The areas of T treatments with R readers, or another score, and the covariance of their errors over patients.

    Args:
        areas: (T, R) array.
        covariance: (T, R, T, R) array, of `delong` or `bootstrap_covariance`.
        is_cautious: bool, whether intervals hold for two readers as well; False is the published method.
    """

    areas: np.ndarray
    covariance: np.ndarray
    is_cautious: bool = True

    @classmethod
    def of(cls, areas: np.ndarray, covariance: np.ndarray, treatments: int, is_cautious: bool = True) -> "ReaderStudy":
        """Return the study of (T * R,) areas, ordered by treatment, and their (T * R, T * R) covariance."""
        readers = len(areas) // treatments
        shape = treatments, readers
        return cls(areas.reshape(shape), covariance.reshape(*shape, *shape), is_cautious)

    @property
    def readers(self) -> int:
        """How many readers there are."""
        return self.areas.shape[1]

    @cached_property
    def error_variance(self) -> float:
        """The mean variance of an area over patients."""
        return float(np.einsum("ijij->ij", self.covariance).mean())

    @cached_property
    def covariances(self) -> tuple[float, float, float]:
        """The mean covariances of one reader with two treatments, two readers with one, and two with two."""
        same_treatment = np.eye(self.areas.shape[0], dtype=bool)[:, None, :, None]
        same_reader = np.eye(self.readers, dtype=bool)[None, :, None, :]
        kinds = (~same_treatment & same_reader, same_treatment & ~same_reader, ~same_treatment & ~same_reader)
        kinds = [np.broadcast_to(kind, self.covariance.shape) for kind in kinds]
        return tuple(float(self.covariance[kind].mean()) for kind in kinds)

    @cached_property
    def treatment_mean_square(self) -> float:
        """The mean square of treatments."""
        means = self.areas.mean(axis=1)
        return float(self.readers * means.var(ddof=1))

    @cached_property
    def interaction_mean_square(self) -> float:
        """The mean square of what treatments and readers do not explain by themselves."""
        rest = self.areas - self.areas.mean(axis=1, keepdims=True) - self.areas.mean(axis=0) + self.areas.mean()
        treatments, readers = self.areas.shape
        return float((rest**2).sum() / ((treatments - 1) * (readers - 1)))

    def test(self) -> tuple[float, float, float]:
        """Return F, its denominator's degrees of freedom, and p of the hypothesis that all treatments are equal."""
        square, freedom = self._denominator()
        ratio = self.treatment_mean_square / square
        return ratio, freedom, float(f.sf(ratio, len(self.areas) - 1, freedom))

    def difference(self, first: int, second: int) -> Estimate:
        """Return the mean area of the second treatment minus that of the first."""
        square, freedom = self._denominator()
        means = self.areas.mean(axis=1)
        return Estimate(float(means[second] - means[first]), float(np.sqrt(2 * square / self.readers)), freedom)

    def mean(self, treatment: int) -> Estimate:
        """Return the mean area of a treatment, from its own readers alone."""
        areas, covariance = self.areas[treatment], self.covariance[treatment, :, treatment]
        between = covariance[~np.eye(self.readers, dtype=bool)].mean()
        of_patients = self.readers * float(between)
        square, freedom = self._with_freedom(float(areas.var(ddof=1)), of_patients, self.readers - 1)
        return Estimate(float(areas.mean()), float(np.sqrt(square / self.readers)), freedom)

    def _denominator(self) -> tuple[float, float]:
        _, of_treatment, of_both = self.covariances
        freedom = (len(self.areas) - 1) * (self.readers - 1)
        return self._with_freedom(self.interaction_mean_square, self.readers * (of_treatment - of_both), freedom)

    def _with_freedom(self, mean_square: float, of_patients: float, freedom: int) -> tuple[float, float]:
        """Return a mean square with what patients add to it, and the degrees of freedom of both by Hillis."""
        if self.is_cautious:
            mean_square *= freedom / float(chi2.ppf(CAUTION, freedom))
        square = mean_square + max(of_patients, 0.0)
        return square, square**2 / (mean_square**2 / freedom) if mean_square else np.inf


def bootstrap_covariance(resampled: np.ndarray) -> np.ndarray:
    """Return the covariance (M, M) of M scores over patients, from their values (M, R) in the same resamples.

    Resamples in which one of the scores is NaN are left out.
    """
    return np.atleast_2d(np.cov(resampled[:, ~np.isnan(resampled).any(axis=0)]))
