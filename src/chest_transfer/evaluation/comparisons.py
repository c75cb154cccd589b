"""Comparisons: every pair of a dataset's models on the same test images, and what each start gains over the control."""

from itertools import combinations

import numpy as np
import pandas as pd

from chest_transfer.data.predictions import Predictions
from chest_transfer.evaluation.delong import bootstrap_p, delong, delong_p
from chest_transfer.evaluation.intervals import interval
from chest_transfer.evaluation.meaning import HEALTH, as_health
from chest_transfer.evaluation.metrics import Judged, area, restricted, rounded, sampled_areas

CONTROL = "none"  # the starting point that gains are measured against


def compared(
    tests: dict[str, Predictions], judgements: dict[str, Judged], areas: dict[str, tuple], rounds: np.ndarray
) -> pd.DataFrame:
    """Every pair of models on the test images that none of them learnt from: one row, the second minus the first.

    Columns: model, other, auc (the difference), auc_low, auc_high, p (paired bootstrap over patients), p_delong (where
    there is one class to rank). A pair of which one tells only healthy from diseased is compared as that.

    Args:
        tests: what each model says of the test split, all of its images.
        judgements: the same, with calibration and thresholds.
        areas: each one's area under the ROC curve on the images that it did not learn from, and in each round.
        rounds: (R, N) weights of the bootstrap.
    """
    fresh = ~np.any([test.seen for test in tests.values()], axis=0)
    patients = next(iter(tests.values())).patients[fresh]
    rounds = rounds[:, fresh]

    def view(name: str, health: bool) -> tuple[float, np.ndarray, Judged]:
        judged = restricted(judgements[name], fresh)
        if health and tests[name].classes != HEALTH:
            judged = _as_health(judged)
        elif (fresh == ~tests[name].seen).all():
            return *areas[name], judged
        return area(judged), sampled_areas(judged, rounds), judged

    views: dict[tuple[str, bool], tuple] = {}
    rows = []
    for name, other in combinations(judgements, 2):
        health = (tests[name].classes == HEALTH) != (tests[other].classes == HEALTH)
        for model in (name, other):
            if (model, health) not in views:
                views[model, health] = view(model, health)
        (one, one_areas, first), (two, two_areas, second) = views[name, health], views[other, health]
        differences = two_areas - one_areas
        low, high = interval(differences)
        p = bootstrap_p(differences) if not np.isnan(differences).all() else float("nan")
        of_delong = float("nan")
        if len(first.scored) == 1:
            k = first.scored[0]
            both = np.stack([first.probabilities[:, k], second.probabilities[:, k]])
            of_delong = delong_p(*delong(first.truth[:, k], both, patients), 0, 1)
        values = (rounded(value) for value in (two - one, low, high, p, of_delong))
        rows.append((name, other, *values))
    return pd.DataFrame(rows, columns=["model", "other", "auc", "auc_low", "auc_high", "p", "p_delong"])


def _as_health(judged: Judged) -> Judged:
    truth = as_health(judged.truth, judged.multi_label)
    raw = as_health(judged.probabilities, judged.multi_label)
    return Judged(truth, raw, False, 1.0, np.array([0.5, 0.5]))


def gains(pairs: pd.DataFrame) -> dict[str, dict]:
    """What each start is worth: regime -> weights -> the area's difference to the control of the same regime.

    Where the regime has no model from the control, the whole network trained from it (`train-none`) stands in. The
    interval is over test patients; other training seeds are other experiments.
    """
    found: dict[str, dict] = {}
    names = list(dict.fromkeys([*pairs["model"], *pairs["other"]]))
    rows = {(row.model, row.other): row for row in pairs.itertuples()}
    for name in names:
        regime, weights = name.split("-", 1)
        against = next((base for base in (f"{regime}-{CONTROL}", f"train-{CONTROL}") if base in names), None)
        if against is None or name == against or weights == CONTROL or regime == "as_is":
            continue
        ahead = (against, name) in rows
        row = rows[(against, name) if ahead else (name, against)]
        values = (row.auc, row.auc_low, row.auc_high) if ahead else (-row.auc, -row.auc_high, -row.auc_low)
        gain = {key: _number(value) for key, value in zip(("auc", "auc_low", "auc_high"), values, strict=True)}
        found.setdefault(regime, {})[weights] = gain | {
            "p": _number(row.p), "p_delong": _number(row.p_delong), "against": against
        }  # fmt: skip
    return found


def _number(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else float(value) + 0.0  # no -0.0
