"""Learning curves: the test AUC of each start against the number of training patients, and how many patients it saves.

The error of a network, 1 - AUC, falls as a power of the amount of training data (Hestness et al. 2017, arXiv
1712.00409): a straight line in logarithms, whose slope says how fast a start learns.
"""

import numpy as np
import pandas as pd

from chest_transfer.evaluation.comparisons import area_difference, control_of
from chest_transfer.evaluation.fit_scores import EvaluatedFit
from chest_transfer.evaluation.intervals import rounded
from chest_transfer.evaluation.seeds import area_over_seeds, fit_verdict
from chest_transfer.model_names import NOT_FITTED

AREA = ("auc", "auc_low", "auc_high")
COLUMNS = ("model", "patients", *AREA)
SMALLEST_ERROR = 1e-4  # of a perfect model, which has no logarithm

FitsByPatients = dict[int, list[EvaluatedFit]]  # the fits of all seeds, by number of training patients, fewest first


def fits_by_patients(fits: list[EvaluatedFit], images: pd.DataFrame) -> dict[str, FitsByPatients]:
    """Return the fits of each model, by its key; none where all were trained on one number of patients.

    Args:
        fits: list of EvaluatedFit of one dataset.
        images: table `images.csv` of the dataset, which says how many all training patients are.
    """
    fitted = [fit for fit in fits if fit.name.regime not in NOT_FITTED]
    if len({fit.name.patients for fit in fitted}) < 2:
        return {}
    all_patients = images.loc[images["split"] == "train", "patient"].nunique()
    curves: dict[str, FitsByPatients] = {}
    for fit in sorted(fitted, key=lambda fit: fit.name.patients or all_patients):
        curves.setdefault(fit.name.key, {}).setdefault(fit.name.patients or all_patients, []).append(fit)
    return curves


def learning_curve_table(records: dict[str, dict]) -> pd.DataFrame:
    """Return the points of `learning_curve_records` as a table: a row with the columns `COLUMNS` for each."""
    rows = [
        {"model": f"{regime}-{start}", "patients": int(number)} | point
        for regime, starts in records.items()
        for start, record in starts.items()
        for number, point in record["points"].items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def learning_curve_records(curves: dict[str, FitsByPatients], weights: np.ndarray) -> dict[str, dict]:
    """Return what learning curves say, as JSON by regime and start.

    Each has its `points` (AUC with interval, and whether fits failed, by number of patients), the `exponent` of its
    power law, and, but for the control, its `gain` over the control with the same number of patients, and
    `control_needs` (see there), by number of patients.

    Args:
        curves: dict of `fits_by_patients`.
        weights: (R, N) array of the bootstrap over all test images.
    """
    records: dict[str, dict] = {}
    for numbers in curves.values():
        name = next(iter(numbers.values()))[0].name
        points = {str(number): area_over_seeds(fits) | {"fit": fit_verdict(fits)} for number, fits in numbers.items()}
        means = [np.mean([fit.scores.values["auc"] for fit in fits]) for fits in numbers.values()]
        record = {"points": points, "exponent": rounded(power_law_exponent(list(numbers), means))}
        control = control_of(name, list(curves))
        if control is not None:
            needs = {str(number): control_needs(fits, curves[control], weights) for number, fits in numbers.items()}
            gains = {
                str(number): gain_over(curves[control][number], fits, weights)
                for number, fits in numbers.items()
                if number in curves[control]
            }
            record |= {"against": control, "gain": gains, "control_needs": needs}
        records.setdefault(name.regime, {})[name.start] = record
    return records


def gain_over(control: list[EvaluatedFit], fits: list[EvaluatedFit], weights: np.ndarray) -> dict[str, float | None]:
    """Return the AUC of a model minus that of the control, as in `metrics/gain/D.json`."""
    difference = area_difference(control, fits, weights)
    return {
        name: None if np.isnan(value) else float(value)
        for name, value in zip((*AREA, "p"), np.array(difference[:4], float), strict=True)
    }


def control_needs(
    fits: list[EvaluatedFit], control: FitsByPatients, weights: np.ndarray
) -> dict[str, int | str | None]:
    """Return how many patients the control takes to reach the AUC of a model: `patients`, with the 95 % interval.

    It is the first number with which the difference of both is 0 or less, on straight lines between the control's
    numbers, in logarithms. Likewise the bounds: they are the first numbers with which the lower, and the upper bound of
    the difference is. They hold for what that interval holds for: other patients, and with several seeds other seeds,
    too. Nothing is extrapolated: `> 1000` where 1,000 patients are the most and are not enough, and the smallest number
    where fewer may be enough; None where there are too few test patients.

    Args:
        fits: list of EvaluatedFit, of all seeds.
        control: FitsByPatients.
        weights: (R, N) array of the bootstrap over all test images.
    """
    differences = np.array([area_difference(of_number, fits, weights)[:3] for of_number in control.values()], float)
    numbers = np.array(list(control), float)
    needs: dict[str, int | str | None] = {}
    for key, column in zip(("patients", "patients_low", "patients_high"), differences.T, strict=True):
        crossing = first_crossing(np.log(numbers), column)
        if np.isnan(crossing):
            needs[key] = None
        else:
            needs[key] = f"> {numbers[-1]:.0f}" if np.isinf(crossing) else round(float(np.exp(crossing)))
    return needs


def first_crossing(x: np.ndarray, y: np.ndarray) -> float:
    """Return the first x at which straight lines between points (P,) are at 0 or below.

    Infinity where they never are, NaN where a y is.
    """
    if np.isnan(y).any():
        return float("nan")
    below = np.flatnonzero(y <= 0)
    if not len(below):
        return float("inf")
    row = below[0]
    if row == 0:
        return float(x[0])
    return float(x[row - 1] + (x[row] - x[row - 1]) * y[row - 1] / (y[row - 1] - y[row]))


def power_law_exponent(patients: list[int], areas: list[float]) -> float:
    """Return the exponent of 1 - AUC = factor * patients ** -exponent, by least squares in logarithms."""
    slope, _ = np.polyfit(np.log(patients), np.log(np.maximum(1 - np.array(areas), SMALLEST_ERROR)), 1)
    return float(-slope)
