"""Learning curves: the test AUC of each start against the number of training patients, and how many patients it saves.

The error of a network, 1 - AUC, falls as a power of the amount of training data (Hestness et al. 2017, arXiv
1712.00409): a straight line in logarithms, of which two numbers of patients give a value between and more give a fit.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from chest_transfer.evaluation.comparisons import control_of
from chest_transfer.evaluation.fit_scores import EvaluatedFit
from chest_transfer.evaluation.intervals import CONFIDENCE, rounded
from chest_transfer.evaluation.seeds import area_over_seeds
from chest_transfer.model_names import NOT_FITTED

COLUMNS = ("model", "patients", "auc", "auc_low", "auc_high")
SMALLEST_ERROR = 1e-4  # of a perfect model, which has no logarithm


@dataclass(frozen=True)
class LearningCurve:
    """The fits of one start in one regime, with several numbers of training patients.

    Args:
        fits: dict of the fits of all seeds, by number of patients, the fewest first.
    """

    fits: dict[int, list[EvaluatedFit]]

    @property
    def patients(self) -> np.ndarray:
        """(P,) the numbers of patients."""
        return np.array(list(self.fits), float)

    @property
    def areas(self) -> np.ndarray:
        """(P, S) the AUC with each number of patients and seed."""
        return np.array([[fit.scores.values["auc"] for fit in fits] for fits in self.fits.values()])

    @property
    def resampled(self) -> np.ndarray:
        """(P, S, R) likewise, in each resample of test patients."""
        return np.array([[fit.scores.resampled["auc"] for fit in fits] for fits in self.fits.values()])

    def table(self, model: str) -> pd.DataFrame:
        """Return a row with the columns `COLUMNS` for each number of patients."""
        records = [{"model": model, "patients": number} | area_over_seeds(fits) for number, fits in self.fits.items()]
        return pd.DataFrame(records, columns=list(COLUMNS))


def learning_curves(fits: list[EvaluatedFit], images: pd.DataFrame) -> dict[str, LearningCurve]:
    """Return the learning curve of each model that was trained on several numbers of patients, by its key.

    Args:
        fits: list of EvaluatedFit of one dataset.
        images: table `images.csv` of the dataset, which says how many all training patients are.
    """
    fitted = [fit for fit in fits if fit.name.regime not in NOT_FITTED]
    if len({fit.name.patients for fit in fitted}) < 2:
        return {}
    all_patients = images.loc[images["split"] == "train", "patient"].nunique()
    curves: dict[str, dict[int, list[EvaluatedFit]]] = {}
    for fit in sorted(fitted, key=lambda fit: fit.name.patients or all_patients):
        curves.setdefault(fit.name.key, {}).setdefault(fit.name.patients or all_patients, []).append(fit)
    return {key: LearningCurve(sizes) for key, sizes in curves.items()}


def power_law(patients: np.ndarray, areas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit 1 - AUC = factor * patients ** -exponent by least squares in logarithms.

    Args:
        patients: (P,) array.
        areas: (..., P) array.

    Returns:
        The factor and the exponent, arrays of the other dimensions of the areas.
    """
    x, y = np.log(patients), np.log(np.maximum(1 - areas, SMALLEST_ERROR))
    slope = ((x - x.mean()) * (y - y.mean(axis=-1, keepdims=True))).sum(axis=-1) / ((x - x.mean()) ** 2).sum()
    return np.exp(y.mean(axis=-1) - slope * x.mean()), -slope


def patients_needed(curve: LearningCurve, areas: np.ndarray, goals: np.ndarray) -> np.ndarray:
    """Return with how many patients a curve reaches a goal by its power law.

    Nothing is extrapolated: more than the largest number of the curve is infinity, fewer than the smallest are as many.

    Args:
        curve: LearningCurve.
        areas: (..., P) array, its AUC with each number of patients.
        goals: (...) array of AUC.
    """
    factor, exponent = power_law(curve.patients, areas)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        needed = (factor / np.maximum(1 - goals, SMALLEST_ERROR)) ** (1 / exponent)
    flat = np.where(areas.mean(axis=-1) >= goals, 0, np.inf)  # more patients do not help
    needed = np.maximum(np.where(exponent > 0, needed, flat), curve.patients[0])
    return np.where(needed > curve.patients[-1], np.inf, needed)


def curve_records(curves: dict[str, LearningCurve], seed: int) -> dict[str, dict]:
    """Return what the learning curves of a dataset say, as JSON by regime and start.

    Each has its `points` (AUC with interval by number of patients), the `exponent` of its power law, and, but for the
    control, `control_needs`: by number of patients, how many the control takes to the same AUC, with the 95 % interval;
    None is more than its largest number. The interval is of a bootstrap over test patients and training seeds, the same
    for both curves; deviations of seeds are scaled by (S / (S - 1)) ** 0.5, because S seeds vary too little around
    their own mean. With one seed, it is over patients alone.

    Args:
        curves: dict of `learning_curves`.
        seed: int, of the resamples of seeds.
    """
    records: dict[str, dict] = {}
    for key, curve in curves.items():
        name = next(iter(curve.fits.values()))[0].name
        points = curve.table(key).set_index("patients")[list(COLUMNS[2:])]
        record = {
            "points": {str(number): row for number, row in points.to_dict("index").items()},
            "exponent": rounded(float(power_law(curve.patients, curve.areas.mean(axis=1))[1])),
        }
        control = control_of(name, list(curves))
        if control is not None:
            record |= {"against": control, "control_needs": _control_needs(curve, curves[control], seed)}
        records.setdefault(name.regime, {})[name.start] = record
    return records


def _control_needs(curve: LearningCurve, control: LearningCurve, seed: int) -> dict[str, dict]:
    rng, resamples = np.random.default_rng(seed), curve.resampled.shape[-1]
    seeds = curve.areas.shape[1]
    drawn = rng.integers(seeds, size=(resamples, seeds))
    own, of_control = (_resampled_means(one, drawn) for one in (curve, control))
    needs = {}
    for row, number in enumerate(curve.fits):
        value = patients_needed(control, control.areas.mean(axis=1), curve.areas[row].mean())
        known = ~np.isnan(own[:, row]) & ~np.isnan(of_control).any(axis=1)
        needed = patients_needed(control, of_control[known], own[known, row])
        low, high = np.quantile(needed, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], method="inverted_cdf")
        bounds = {"patients": float(value), "patients_low": float(low), "patients_high": float(high)}
        needs[str(number)] = {end: round(bound) if np.isfinite(bound) else None for end, bound in bounds.items()}
    return needs


def _resampled_means(curve: LearningCurve, drawn: np.ndarray) -> np.ndarray:
    """Return the mean AUC over the seeds that each resample draws (R, P)."""
    resampled = np.moveaxis(curve.resampled, 2, 0)  # (R, P, S)
    means, seeds = resampled.mean(axis=2), drawn.shape[1]
    if seeds == 1:
        return means
    of_drawn = np.take_along_axis(resampled, drawn[:, None, :].repeat(resampled.shape[1], axis=1), axis=2).mean(axis=2)
    return means + np.sqrt(seeds / (seeds - 1)) * (of_drawn - means)
