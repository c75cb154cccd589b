"""Subgroups: the scores of a model among patients of one sex, age band, view, kind of disease, or source."""

import numpy as np
import pandas as pd

from chest_transfer.data.descriptions import ATTRIBUTES
from chest_transfer.evaluation.calibrated_predictions import CalibratedPredictions
from chest_transfer.evaluation.metrics import score
from chest_transfer.evaluation.seeds import mean_over_seeds

FEWEST_IMAGES = 10  # of a subgroup
MOST_RESAMPLES = 200  # of the bootstrap, because there are many subgroups
SCORES = ("auc", "sensitivity", "specificity")


def subgroup_scores(of_seeds: list[CalibratedPredictions], images: pd.DataFrame, weights: np.ndarray) -> pd.DataFrame:
    """Return the scores, means over seeds, of each subgroup that has at least `FEWEST_IMAGES` images.

    A subgroup of diseased patients only, such as a kind of pneumonia, is scored against all healthy ones, and has no
    specificity of its own. A subgroup of healthy patients only has no sensitivity. Averages are over the same classes
    in all subgroups. A source is scored by itself alone, on the classes of which it has ill and healthy patients.

    Args:
        of_seeds: list of CalibratedPredictions of the same N images.
        images: the rows of `images.csv` of the same images, in the same order; its attributes are the groupings.
        weights: (R, N) array of the bootstrap.

    Returns:
        Table with the columns attribute, group, images, then `SCORES`, each with `_low` and `_high`.
    """
    weights, predictions = weights[:MOST_RESAMPLES], of_seeds[0]
    is_diseased = _is_diseased(predictions)
    rows = []
    for attribute in [name for name in ATTRIBUTES if name in images]:
        values = images[attribute].to_numpy(str)
        for group in sorted(set(values) - {""}):
            members = values == group
            if members.sum() < FEWEST_IMAGES:
                continue
            only_diseased = is_diseased[members].all() and attribute != "source"
            compared = members | ~is_diseased if only_diseased else members
            of_group = [of_seed.of_images(compared) for of_seed in of_seeds]
            classes = of_group[0].averaged_classes if attribute == "source" else []
            classes = classes or predictions.averaged_classes
            scores = _scores(of_group, weights[:, compared], classes)
            if only_diseased:
                scores |= dict.fromkeys(("specificity", "specificity_low", "specificity_high"))
            rows.append({"attribute": attribute, "group": group, "images": int(members.sum())} | scores)
    columns = [f"{name}{end}" for name in SCORES for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=["attribute", "group", "images", *columns])


def _is_diseased(predictions: CalibratedPredictions) -> np.ndarray:
    """Return (N,) bool: which images show any evaluable class, or another class than the first, healthy one."""
    if not predictions.multi_label and predictions.labels.shape[1] > 2:
        return predictions.labels[:, 0] == 0
    return (predictions.labels[:, predictions.evaluable_classes] == 1).any(axis=1)


def _scores(of_seeds: list[CalibratedPredictions], weights: np.ndarray, classes: list[int]) -> dict[str, float | None]:
    scores = [score(predictions, weights, classes) for predictions in of_seeds]
    columns: dict[str, float | None] = {}
    for name in SCORES:
        values, resampled = [of.values[name] for of in scores], [of.resampled[name] for of in scores]
        columns |= mean_over_seeds(name, values, resampled, scores[0].patients)
    return columns
