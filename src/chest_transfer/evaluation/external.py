"""How models do on radiographs from elsewhere, beside their own test split: the same question asked of both."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from chest_transfer.data.arrays import UNKNOWN
from chest_transfer.data.predictions import Predictions, read_predictions
from chest_transfer.errors import ChestTransferError
from chest_transfer.evaluation.calibrated_predictions import CalibratedPredictions
from chest_transfer.evaluation.class_matching import ModelOutputs, judge, scores_on_validation, shared_findings
from chest_transfer.evaluation.class_shares import validation_scores
from chest_transfer.evaluation.fit_scores import score_record
from chest_transfer.evaluation.intervals import (
    cluster_bootstrap_weights,
    difference_interval,
    rounded,
    with_interval,
)
from chest_transfer.evaluation.metrics import Scores, score
from chest_transfer.evaluation.operating_points import fit_calibration
from chest_transfer.evaluation.subgroups import subgroup_scores
from chest_transfer.evaluation.transport import thresholds_elsewhere
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
    return ModelOutputs(
        val.classes,
        val.multi_label,
        calibration.temperature,
        calibration.thresholds[operating_point],
        validation_scores(val, calibration.temperature),
    )


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
    # Of a patient who was trained on, no other radiograph is left either.
    is_seen = np.isin(external.patients, external.patients[external.seen])
    kept = ~is_seen & (asked.labels != UNKNOWN).any(axis=1)
    if not kept.any():
        raise ChestTransferError(
            f"none of {len(kept)} radiographs is left to judge on: {is_seen.sum()} are of patients that the model was "
            "trained on, the others have no label that answers the question"
        )
    asked = asked.of_images(kept)
    own = None
    if internal is not None:
        own = judge(
            findings, model, internal.logits, internal.labels, internal.label_classes, model.multi_label,
            internal.patients,
        )  # fmt: skip
    averaged = _averaged_classes(asked, own)
    weights = cluster_bootstrap_weights(asked.patients, settings.rounds, settings.seed)
    scores = score(asked, weights, averaged)
    reported = {f"{name}{end}" for name in REPORTED for end in ("", "_low", "_high")}
    record = {key: value for key, value in score_record(asked, scores).items() if key in reported} | {
        "asked": [asked.classes[k] for k in averaged],
        "images": len(asked.labels),
        "patients": len(np.unique(asked.patients)),
        "overlap": int(is_seen.sum()),
        "thresholds": thresholds_elsewhere(asked, scores_on_validation(findings, model), averaged, model.is_adapted),
    }
    if own is not None:
        record |= _beside_internal(own, scores, averaged, settings)
    return ExternalScores(record, subgroup_scores([asked], images.loc[external.names[kept]], weights), asked)


def _averaged_classes(asked: CalibratedPredictions, own: CalibratedPredictions | None) -> list[int]:
    """Return the classes to average over: on both sides the same, or a change would be one of the question."""
    if own is None:
        return asked.averaged_classes
    common = [k for k in asked.averaged_classes if k in own.averaged_classes]
    return common or asked.averaged_classes


def _beside_internal(own: CalibratedPredictions, scores: Scores, averaged: list[int], settings: "Evaluate") -> dict:
    """Return the scores on the model's own test split, and the change from there to those on other radiographs.

    The patients are others, so the resamples are independent, and another seed draws them. Where few patients make the
    interval of one side an exact one, that of the change follows from both (`difference_interval`); it has none where
    one side has none.
    """
    weights = cluster_bootstrap_weights(own.patients, settings.rounds, settings.seed + 1)
    inside = score(own, weights, averaged)
    internal, change = {}, {}
    for name in COMPARED:
        of_own = with_interval(name, inside.values[name], inside.resampled[name], inside.patients)
        of_other = with_interval(name, scores.values[name], scores.resampled[name], scores.patients)
        internal |= of_own
        change |= with_interval(
            name, scores.values[name] - inside.values[name], scores.resampled[name] - inside.resampled[name]
        )
        bounds = [(of_side[f"{name}_low"], of_side[f"{name}_high"]) for of_side in (of_own, of_other)]
        if None in bounds[0] + bounds[1]:
            change |= {f"{name}_low": None, f"{name}_high": None}
        elif any(side.patients.are_few for side in (inside, scores)):
            low, high = difference_interval((inside.values[name], scores.values[name]), tuple(bounds))
            change |= {f"{name}_low": rounded(low), f"{name}_high": rounded(high)}
    return {"internal": internal, "change": change}
