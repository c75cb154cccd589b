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
    """The test AUC of one start in one regime, with several numbers of training patients.

    Args:
        patients: (P,) int array, the fewest first.
        areas: (P, S) array, the AUC with each number of patients and seed.
        resampled: (P, S, R) array, the same in each resample of test patients.
    """

    patients: np.ndarray
    areas: np.ndarray
    resampled: np.ndarray

    @classmethod
    def of(cls, fits: dict[int, list[EvaluatedFit]]) -> "LearningCurve":
        """Return the curve of the fits of all seeds with each number of patients."""
        return cls(
            np.array(list(fits)),
            np.array([[fit.scores.values["auc"] for fit in of_number] for of_number in fits.values()]),
            np.array([[fit.scores.resampled["auc"] for fit in of_number] for of_number in fits.values()]),
        )


def fits_by_patients(fits: list[EvaluatedFit], images: pd.DataFrame) -> dict[str, dict[int, list[EvaluatedFit]]]:
    """Return the fits of each model by number of training patients, the fewest first; none where there is one number.

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
    return curves


def learning_curve_table(fits: dict[str, dict[int, list[EvaluatedFit]]]) -> pd.DataFrame:
    """Return the AUC of each model with each number of patients, a row with the columns `COLUMNS` for each."""
    rows = [
        {"model": key, "patients": number} | area_over_seeds(of_number)
        for key, numbers in fits.items()
        for number, of_number in numbers.items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


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


def patients_needed(patients: np.ndarray, areas: np.ndarray, goals: np.ndarray) -> np.ndarray:
    """Return with how many patients a model reaches a goal, by the power law of its learning curve.

    Nothing is extrapolated: more than the largest number of the curve is infinity, fewer than the smallest are as many.

    Args:
        patients: (P,) array.
        areas: (..., P) array, the AUC with each number of patients.
        goals: (...) array of AUC.
    """
    factor, exponent = power_law(patients, areas)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        needed = (factor / np.maximum(1 - goals, SMALLEST_ERROR)) ** (1 / exponent)
    flat = np.where(areas.mean(axis=-1) >= goals, 0, np.inf)  # more patients do not help
    needed = np.maximum(np.where(exponent > 0, needed, flat), patients[0])
    return np.where(needed > patients[-1], np.inf, needed)


def needed_with_interval(
    curve: LearningCurve, goals: np.ndarray, resampled_goals: np.ndarray, seed: int
) -> tuple[float, float, float]:
    """Return with how many patients a model reaches what another one reaches, and the 95 % interval.

    The interval is of a bootstrap over test patients and training seeds, the same for both models. S seeds vary too
    little around their own mean: their deviations are scaled by (S / (S - 1)) ** 0.5. With one seed, it is over
    patients alone.

    Args:
        curve: LearningCurve of the one model.
        goals: (S,) array, the AUC of the other one with each seed.
        resampled_goals: (S, R) array, the same in each resample of test patients.
        seed: int, of the resamples of seeds.
    """
    seeds, resamples = resampled_goals.shape
    drawn = np.random.default_rng(seed).integers(seeds, size=(seeds, resamples))
    of_curve, of_goal = (_with_drawn_seeds(values, drawn) for values in (curve.resampled, resampled_goals))
    known = ~np.isnan(of_goal) & ~np.isnan(of_curve).any(axis=0)
    needed = patients_needed(curve.patients, of_curve.T[known], of_goal[known])
    low, high = np.quantile(needed, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], method="inverted_cdf")
    return float(patients_needed(curve.patients, curve.areas.mean(axis=1), goals.mean())), float(low), float(high)


def curve_records(fits: dict[str, dict[int, list[EvaluatedFit]]], seed: int) -> dict[str, dict]:
    """Return what the learning curves of a dataset say, as JSON by regime and start.

    Each has its `points` (AUC with interval by number of patients), the `exponent` of its power law, and, but for the
    control, `control_needs`: by number of patients, how many the control takes to the same AUC, with the 95 % interval;
    None is more than its largest number.

    Args:
        fits: dict of `fits_by_patients`.
        seed: int, of the resamples of seeds.
    """
    curves, table = {key: LearningCurve.of(numbers) for key, numbers in fits.items()}, learning_curve_table(fits)
    records: dict[str, dict] = {}
    for key, curve in curves.items():
        name = next(iter(fits[key].values()))[0].name
        points = table[table["model"] == key].set_index("patients")[list(COLUMNS[2:])].astype(object)
        points = points.where(points.notna(), None)
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
    needs = {}
    for number, goals, resampled in zip(curve.patients, curve.areas, curve.resampled, strict=True):
        bounds = needed_with_interval(control, goals, resampled, seed)
        keys = ("patients", "patients_low", "patients_high")
        needs[str(number)] = {
            key: round(bound) if np.isfinite(bound) else None for key, bound in zip(keys, bounds, strict=True)
        }
    return needs


def _with_drawn_seeds(resampled: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Return the mean AUC (..., R) over the seeds (S, R) that each resample draws, of values (..., S, R)."""
    seeds, means = len(drawn), resampled.mean(axis=-2)
    if seeds == 1:
        return means
    of_drawn = np.take_along_axis(resampled, np.broadcast_to(drawn, resampled.shape), axis=-2).mean(axis=-2)
    return means + np.sqrt(seeds / (seeds - 1)) * (of_drawn - means)
