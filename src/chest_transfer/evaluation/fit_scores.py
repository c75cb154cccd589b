"""One fit evaluated: its raw predictions, calibrated on its own validation split, and all scores on the test split."""

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from chest_transfer.data.predictions import Predictions, read_predictions
from chest_transfer.evaluation.calibrated_predictions import CalibratedPredictions, calibrate, uncalibrated_predictions
from chest_transfer.evaluation.class_matching import DISEASED
from chest_transfer.evaluation.conformal import conformal_scores, fit_cutoffs
from chest_transfer.evaluation.health import as_health, is_health
from chest_transfer.evaluation.intervals import rounded, with_interval
from chest_transfer.evaluation.metrics import Scores, area_under_curve, other_scores, score
from chest_transfer.evaluation.operating_points import calibrated_probabilities, fit_calibration
from chest_transfer.evaluation.transport import threshold_transport
from chest_transfer.model_names import NOT_FITTED, TRANSFERRED, ModelName
from chest_transfer.training.fit_check import check_fit

if TYPE_CHECKING:
    from chest_transfer.settings import Evaluate


@dataclass(frozen=True)
class EvaluatedFit:
    """A fit with its predictions and scores.

    Args:
        name: ModelName.
        test: Predictions for all test images, raw.
        calibrated: CalibratedPredictions for all test images.
        scores: Scores on the images that the model was not trained on.
        record: dict, these scores and all others, as JSON.
    """

    name: ModelName
    test: Predictions
    calibrated: CalibratedPredictions
    scores: Scores
    record: dict

    @property
    def scored(self) -> np.ndarray:
        """(N,) bool array, the test images that are scored: labelled, and not trained on."""
        return ~self.test.seen & self.test.is_labelled

    @property
    def on_scored(self) -> CalibratedPredictions:
        """The predictions for these images."""
        return self.calibrated.of_images(self.scored)


def evaluate_fit(name: ModelName, multi_label: bool, weights: np.ndarray, settings: "Evaluate") -> EvaluatedFit:
    """Evaluate the test predictions of a fit.

    A model that comes from another dataset is scored without the images that it was trained on there; how many those
    are is a score as well.

    Args:
        name: ModelName.
        multi_label: bool, whether the classes of the dataset are independent.
        weights: (R, N) array of the bootstrap over all test images.
        settings: section `evaluate` of the settings.

    Raises:
        ChestTransferError: the model has no predictions.
    """
    test, val = test_predictions(name, multi_label), _validation_predictions(name)
    fit = evaluate_predictions(name, test, val, multi_label, weights, settings)
    if name.regime in NOT_FITTED:
        adaptation = _adaptation_of(name)
        offsets = dict(adaptation.get("offsets", {}))
        offset = offsets.pop(DISEASED, 0.0)
        if not fit.calibrated.multi_label and len(fit.calibrated.classes) == 2:
            fit.record["thresholds"] = threshold_transport(fit.on_scored, offset, any(offsets.values()))
        if adaptation:
            fit.record["adaptation"] = adaptation
    else:
        fit.record["fit"] = check_fit(val.labels, val.logits, history_of(name), val.multi_label)
        fit.record["machine"] = _machine_of(name)
    return fit


def evaluate_predictions(
    name: ModelName, test: Predictions, val: Predictions, multi_label: bool, weights: np.ndarray, settings: "Evaluate"
) -> EvaluatedFit:
    """Evaluate raw predictions for the test split, calibrated on those for the validation split, as `evaluate_fit`."""
    multi_label = multi_label and not is_health(test)
    calibration = fit_calibration(val.labels, val.logits, multi_label)
    calibrated = calibrate(test, calibration, multi_label, settings.operating_point)
    is_scored = ~test.seen & test.is_labelled
    on_scored = calibrated.of_images(is_scored)
    scores = score(on_scored, weights[:, is_scored])
    record = score_record(on_scored, scores)
    on_val = uncalibrated_predictions(val.labels, val.logits, val.classes, multi_label)
    probabilities = calibrated_probabilities(val.logits, calibration.temperature, multi_label)
    record |= conformal_scores(on_scored, fit_cutoffs(val.labels, probabilities, multi_label, settings.error_rate))
    record |= _facts(on_scored, test, settings.operating_point)
    record["validation_auc"] = rounded(area_under_curve(on_val))  # by which one model of several may be chosen
    if name.regime in TRANSFERRED:
        record["overlap"] = int(test.seen.sum())
        record["auc_with_overlap"] = rounded(area_under_curve(calibrated))
    return EvaluatedFit(name, test, calibrated, scores, record)


def test_predictions(name: ModelName, multi_label: bool) -> Predictions:
    """Return a model's test predictions; a transferred model has seen what the model that it comes from was fitted to.

    Those of a model that was trained on the classes of another dataset are turned into healthy and diseased.
    """
    test = read_predictions(name.predictions_of("test"))
    if name.regime == "transfer":
        test = replace(test, seen=read_predictions(name.as_is.predictions_of("test")).seen)
    if name.regime in NOT_FITTED:
        test = as_health(test, multi_label)
    return test


def history_of(name: ModelName) -> pd.DataFrame:
    """Return the table of the epochs of a fit."""
    return pd.read_csv(name.predictions / "history.csv")


def _machine_of(name: ModelName) -> str | None:
    """Return the kind of machine that a fit was trained on; None where its predictions have no facts of it."""
    path = name.predictions / "facts.json"
    return json.loads(path.read_text()).get("machine") if path.exists() else None


def _adaptation_of(name: ModelName) -> dict:
    """Return what was changed in an adapted model; nothing of another one."""
    path = name.predictions / "adaptation.json"
    return json.loads(path.read_text()) if name.regime == "adapted" else {}


def score_record(predictions: CalibratedPredictions, scores: Scores) -> dict:
    """Return all scores, those with an interval as three numbers; None for what cannot be scored."""
    record: dict = {}
    for name, value in scores.values.items():
        record |= with_interval(name, value, scores.resampled[name], scores.patients)
    record |= {name: rounded(value) for name, value in other_scores(predictions).items()}
    if len(scores.class_areas) > 1:
        record["findings"] = {name: with_interval("auc", *area) for name, area in scores.class_areas.items()}
    return record


def _validation_predictions(name: ModelName) -> Predictions:
    """Return a model's validation predictions; those of another dataset's model are of that dataset's validation."""
    val = read_predictions(name.predictions_of("val"))
    if name.regime in NOT_FITTED:
        val = as_health(val, val.multi_label)
        return replace(val, labels=val.labels[val.is_labelled], logits=val.logits[val.is_labelled])
    return val


def _facts(predictions: CalibratedPredictions, test: Predictions, operating_point: str) -> dict:
    thresholds = predictions.thresholds.tolist()
    facts = {"operating_point": f"{operating_point}, chosen on validation"}
    if predictions.multi_label:
        facts["threshold"] = dict(zip(predictions.classes, thresholds, strict=True))
    elif len(thresholds) == 2:
        facts["threshold"] = thresholds[1]
    else:
        facts = {"operating_point": "most probable class", "threshold": None}
    patients = len(np.unique(test.patients[~test.seen & test.is_labelled]))
    return facts | {"temperature": predictions.temperature, "images": len(predictions.labels), "patients": patients}
