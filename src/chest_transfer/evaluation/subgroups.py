"""Subgroups: a model's worth among the patients of one sex, age band, view, kind of disease, or source."""

import numpy as np
import pandas as pd

from chest_transfer.data.descriptions import ATTRIBUTES
from chest_transfer.evaluation.metrics import Judged, restricted, sampled_scores, with_interval

FEWEST = 10  # images of a subgroup
ROUNDS = 200  # of the bootstrap, at most: there are many subgroups
SHOWN = ("auc", "sensitivity", "specificity")


def subgroup_scores(judged: Judged, files: pd.DataFrame, rounds: np.ndarray) -> pd.DataFrame:
    """Scores of each subgroup that has at least `FEWEST` images.

    A subgroup of the diseased alone, such as a kind of pneumonia, has no curve of its own: its area is against all of
    the healthy. One of the healthy alone has a specificity only.

    Args:
        judged: the predictions.
        files: what `images.csv` tells of the same images, in the same order; its attributes are the groupings.
        rounds: (R, N) weights of the bootstrap.

    Returns:
        Columns attribute, group, images, then auc, sensitivity and specificity, each with `_low` and `_high`.
    """
    rows, rounds = [], rounds[:ROUNDS]
    diseased = judged.truth[:, judged.scored].any(axis=1) if judged.scored else np.zeros(len(files), bool)
    if not judged.multi_label and judged.truth.shape[1] > 2:
        diseased = judged.truth[:, 0] == 0
    for attribute in [name for name in ATTRIBUTES if name in files]:
        values = files[attribute].to_numpy(str)
        for group in sorted(set(values) - {""}):
            members = values == group
            if members.sum() < FEWEST:
                continue
            with_healthy = members | ~diseased if diseased[members].all() else members
            found = _scores(restricted(judged, with_healthy), rounds[:, with_healthy], judged.scored)
            if with_healthy is not members:
                found |= dict.fromkeys(("specificity", "specificity_low", "specificity_high"))
            rows.append({"attribute": attribute, "group": group, "images": int(members.sum())} | found)
    bounds = [f"{name}{end}" for name in SHOWN for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=["attribute", "group", "images", *bounds])


def _scores(judged: Judged, rounds: np.ndarray, columns: list[int]) -> dict[str, float | None]:
    points, _ = sampled_scores(judged, np.ones((1, rounds.shape[1]), np.uint8), columns)
    samples, _ = sampled_scores(judged, rounds, columns)
    found: dict[str, float | None] = {}
    for name in SHOWN:
        found |= with_interval(name, points[name][0], samples[name])
    return found
