"""The metrics and curves of a dataset's models, from the raw predictions that each fit left."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from chest_transfer.data.predictions import Predictions, read_predictions
from chest_transfer.evaluation.calibrated_predictions import CalibratedPredictions, calibrate, uncalibrated_predictions
from chest_transfer.evaluation.comparisons import EvaluatedModel, compare_all, gains
from chest_transfer.evaluation.curves import COLUMNS, curves_of_model, learning_curves
from chest_transfer.evaluation.health import as_health, is_health
from chest_transfer.evaluation.intervals import cluster_bootstrap_weights, rounded, with_interval
from chest_transfer.evaluation.metrics import Scores, area_under_curve, other_scores, score
from chest_transfer.evaluation.operating_points import fit_calibration
from chest_transfer.evaluation.subgroups import subgroup_scores
from chest_transfer.files import write_json, write_text
from chest_transfer.model_names import NOT_FITTED, TRANSFERRED, ModelName
from chest_transfer.training.fit_check import check_fit

if TYPE_CHECKING:
    from chest_transfer.settings import Evaluate

HEADLINE = (
    "auc", "auc_low", "auc_high", "accuracy", "balanced_accuracy", "sensitivity", "specificity", "f1", "loss", "ece",
    "fit", "overlap", "auc_with_overlap", "sources",
)  # fmt: skip
GAIN = ("auc", "auc_low", "auc_high")


def evaluate_dataset(models: list[ModelName], images: pd.DataFrame, settings: "Evaluate", folder: Path) -> None:
    """Evaluate the test predictions of a dataset's models, each calibrated on its own validation predictions.

    Writes below `folder`, for dataset D: `D.json`, the headline scores by regime and start (`train.none.auc`);
    `detail/D.json`, all scores; `gain/D.json`, what each start is worth over the control; `comparisons/D.csv`, every
    pair of models; `subgroups/D.csv`; and `plots/D/*.csv`.

    A model that comes from another dataset is scored without the images that it was trained on there; how many those
    are is a score as well.

    Args:
        models: list of ModelName, all of one dataset; at least one is fitted to it.
        images: table `images.csv` of the dataset, indexed by name.
        settings: section `evaluate` of the settings.
        folder: Path to write to.

    Raises:
        ChestTransferError: a model has no predictions.
    """
    fitted = next(name for name in models if name.regime not in NOT_FITTED)
    multi_label = read_predictions(fitted.predictions_of("test")).multi_label
    tests = {name: _test_predictions(name, multi_label) for name in models}
    patients = next(iter(tests.values())).patients
    weights = cluster_bootstrap_weights(patients, settings.rounds, settings.seed)
    evaluated, detail, subgroups = [], {}, []
    curves: dict[str, list[pd.DataFrame]] = {name: [] for name in (*COLUMNS, "history")}
    for name, test in tests.items():
        model_multi_label = multi_label and not is_health(test)
        val = _validation_predictions(name)
        calibration = fit_calibration(val.labels, val.logits, model_multi_label)
        calibrated = calibrate(test, calibration, model_multi_label, settings.operating_point)
        unseen = ~test.seen & test.is_labelled
        on_unseen = calibrated.of_images(unseen)
        scores = score(on_unseen, weights[:, unseen])
        evaluated.append(EvaluatedModel(name, test, calibrated, scores))
        record = score_record(on_unseen, scores)
        record |= _facts(on_unseen, test, settings.operating_point) | _validation_facts(name, val, model_multi_label)
        if name.regime in TRANSFERRED:
            record["overlap"] = int(test.seen.sum())
            record["auc_with_overlap"] = rounded(area_under_curve(calibrated))
        detail.setdefault(name.regime, {})[name.start] = record
        groups = subgroup_scores(on_unseen, images.loc[test.names[unseen]], weights[:, unseen])
        if by_source := _areas_by_source(groups):
            record["sources"] = by_source
        subgroups.append(groups.assign(model=name.key))
        for curve, table in curves_of_model(name.key, on_unseen).items():
            curves[curve].append(table)
        if name.regime not in NOT_FITTED:
            curves["history"].append(learning_curves(name.key, _history(name)))
    pairs = compare_all(evaluated, weights, multi_label)
    gain = gains(pairs, models)
    dataset = models[0].dataset
    write_json(folder / f"{dataset}.json", _headline(detail))
    write_json(folder / "detail" / f"{dataset}.json", detail)
    write_json(folder / "gain" / f"{dataset}.json", gain)
    _write_csv(folder / "subgroups" / f"{dataset}.csv", pd.concat(subgroups))
    _write_csv(folder / "comparisons" / f"{dataset}.csv", pairs)
    _write_csv(folder / "plots" / dataset / "gain.csv", _gain_table(gain))
    for curve, tables in curves.items():
        _write_csv(folder / "plots" / dataset / f"{curve}.csv", pd.concat(tables))


def _test_predictions(name: ModelName, multi_label: bool) -> Predictions:
    """Return a model's test predictions; a transferred model has seen what the model that it comes from was fitted to.

    Those of a model that was trained on the classes of another dataset are turned into healthy and diseased.
    """
    test = read_predictions(name.predictions_of("test"))
    if name.regime == "transfer":
        applied_as_is = replace(name, regime="as_is")
        test = replace(test, seen=read_predictions(applied_as_is.predictions_of("test")).seen)
    if name.regime in NOT_FITTED:
        test = as_health(test, multi_label)
    return test


def _validation_predictions(name: ModelName) -> Predictions:
    """Return a model's validation predictions; those of another dataset's model are of that dataset's validation."""
    val = read_predictions(name.predictions_of("val"))
    if name.regime in NOT_FITTED:
        val = as_health(val, val.multi_label)
        return replace(val, labels=val.labels[val.is_labelled], logits=val.logits[val.is_labelled])
    return val


def _history(name: ModelName) -> pd.DataFrame:
    return pd.read_csv(name.predictions / "history.csv")


def score_record(predictions: CalibratedPredictions, scores: Scores) -> dict:
    """Return all scores, those with an interval as three numbers; None for what cannot be scored."""
    record: dict = {}
    for name, value in scores.values.items():
        record |= with_interval(name, value, scores.resampled[name], scores.patients)
    record |= {name: rounded(value) for name, value in other_scores(predictions).items()}
    if len(scores.class_areas) > 1:
        record["findings"] = {name: with_interval("auc", *area) for name, area in scores.class_areas.items()}
    return record


def _areas_by_source(groups: pd.DataFrame) -> dict[str, dict]:
    """Return the area of each of several sources by itself: where they differ in who is ill, that of all is larger."""
    of_sources = groups[groups["attribute"] == "source"]
    if len(of_sources) < 2:
        return {}
    records = of_sources.astype(object).where(of_sources.notna(), None).to_dict("records")
    return {row["group"]: {key: row[key] for key in (*GAIN, "images")} for row in records if row["auc"] is not None}


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


def _validation_facts(name: ModelName, val: Predictions, multi_label: bool) -> dict:
    """Return the area on validation, by which one model of several may be chosen, and whether the fit failed."""
    predictions = uncalibrated_predictions(val.labels, val.logits, val.classes, multi_label)
    facts: dict = {"validation_auc": rounded(area_under_curve(predictions))}
    if name.regime not in NOT_FITTED:
        facts["fit"] = check_fit(val.labels, val.logits, _history(name), multi_label)
    return facts


def _headline(detail: dict[str, dict[str, dict]]) -> dict:
    return {
        regime: {start: {key: record[key] for key in HEADLINE if key in record} for start, record in starts.items()}
        for regime, starts in detail.items()
    }


def _gain_table(gain: dict[str, dict]) -> pd.DataFrame:
    rows = [
        (f"{regime}-{start}", *map(of_start.get, GAIN)) for regime, starts in gain.items()
        for start, of_start in starts.items()
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["model", *GAIN])


def _write_csv(path: Path, table: pd.DataFrame) -> None:
    write_text(path, table.to_csv(index=False))
