"""How models do on radiographs from elsewhere, beside their own test split: the same question asked of both."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from chest_transfer.data.arrays import UNKNOWN
from chest_transfer.data.predictions import Predictions, read_predictions
from chest_transfer.evaluation.calibrated_predictions import CalibratedPredictions
from chest_transfer.evaluation.class_matching import ModelOutputs, judge, shared_findings
from chest_transfer.evaluation.intervals import cluster_bootstrap_weights, with_interval
from chest_transfer.evaluation.metrics import Scores, score
from chest_transfer.evaluation.operating_points import fit_calibration
from chest_transfer.evaluation.subgroups import subgroup_scores
from chest_transfer.evaluation.summary import score_record
from chest_transfer.model_names import ModelName

if TYPE_CHECKING:
    from chest_transfer.settings import Evaluate

COMPARED = ("auc", "sensitivity", "specificity")
# Not those before calibration: what is judged is the model with its calibration.
REPORTED = (
    *COMPARED,
    "average_precision",
    "accuracy",
    "balanced_accuracy",
    "precision",
    "loss",
    "brier",
    "ece",
    "findings",
)


@dataclass(frozen=True)
class ExternalScores:
    """The scores of one model on radiographs from elsewhere.

    Args:
        record: dict, JSON: the scores with their intervals, what was asked (`findings`), how many radiographs and
            patients, how many were left out because the model was trained on them; and where the model's own test split
            is at hand `internal`, the same scores there, and `change`, what is lost (negative) or gained.
        subgroups: table of `subgroup_scores`.
        predictions: CalibratedPredictions that are scored.
    """

    record: dict
    subgroups: pd.DataFrame
    predictions: CalibratedPredictions


def model_outputs(name: ModelName, operating_point: str) -> ModelOutputs:
    """Return what is known of the outputs of a model of this experiment, calibrated on its own validation split."""
    val = read_predictions(name.predictions_of("val"))
    calibration = fit_calibration(val.labels, val.logits, val.multi_label)
    return ModelOutputs(val.classes, val.multi_label, calibration.temperature, calibration.thresholds[operating_point])


def external_scores(
    model: ModelOutputs,
    external: Predictions,
    multi_label: bool,
    images: pd.DataFrame,
    settings: "Evaluate",
    internal: Predictions | None = None,
) -> ExternalScores:
    """Score a model on radiographs from elsewhere, without those that it was trained on.

    Args:
        model: ModelOutputs.
        external: Predictions for these radiographs.
        multi_label: bool, whether their classes are independent.
        images: table `images.csv` of these radiographs, indexed by name.
        settings: section `evaluate` of the settings.
        internal: Predictions for the model's own test split, None where it is not at hand.
    """
    findings = shared_findings(model, external.label_classes, multi_label)
    asked = judge(
        findings, model, external.logits, external.labels, external.label_classes, multi_label, external.patients
    )
    kept = ~external.seen & (asked.labels != UNKNOWN).any(axis=1)
    asked = asked.of_images(kept)
    weights = cluster_bootstrap_weights(asked.patients, settings.rounds, settings.seed)
    scores = score(asked, weights)
    reported = {f"{name}{end}" for name in REPORTED for end in ("", "_low", "_high")}
    record = {key: value for key, value in score_record(asked, scores).items() if key in reported} | {
        "asked": asked.classes,
        "images": len(asked.labels),
        "patients": len(np.unique(asked.patients)),
        "overlap": int(external.seen.sum()),
    }
    if internal is not None:
        own = judge(
            findings, model, internal.logits, internal.labels, internal.label_classes, model.multi_label,
            internal.patients,
        )  # fmt: skip
        record |= _beside_internal(own, scores, settings)
    return ExternalScores(record, subgroup_scores(asked, images.loc[external.names[kept]], weights), asked)


def _beside_internal(own: CalibratedPredictions, scores: Scores, settings: "Evaluate") -> dict:
    """Return the scores on the model's own test split, and the change from there to those on other radiographs.

    The patients are others, so the resamples are independent, and another seed draws them. The change has no interval
    where one of the two has none.
    """
    weights = cluster_bootstrap_weights(own.patients, settings.rounds, settings.seed + 1)
    inside = score(own, weights)
    internal, change = {}, {}
    for name in COMPARED:
        internal |= with_interval(name, inside.values[name], inside.resampled[name], inside.patients)
        are_enough = inside.patients.are_enough and scores.patients.are_enough
        difference = np.where(are_enough, scores.resampled[name] - inside.resampled[name], np.nan)
        change |= with_interval(name, scores.values[name] - inside.values[name], difference)
    return {"internal": internal, "change": change}
