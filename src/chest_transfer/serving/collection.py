"""The models that the app offers, and what this project's folder knows of each: its score, its data, its cautions."""

from pathlib import Path

from chest_transfer.errors import ChestTransferError
from chest_transfer.reporting.cautions import Caution, of_dataset
from chest_transfer.reporting.gathering import STARTS, WAYS, gathered
from chest_transfer.serving.models import model_file
from chest_transfer.serving.predicting import Predictor
from chest_transfer.settings import read_settings

POINTS = {
    "youden": "sensitivity and specificity together",
    "sensitivity 0.9": "finding 90 % of the ill",
    "sensitivity 0.95": "finding 95 % of the ill",
}


def collected(names: list[str]) -> dict[str, Predictor]:
    """Name -> model, none of them loaded yet.

    Args:
        names: as `model_file` takes them; empty for every classifier in `models/`.

    Raises:
        ChestTransferError: no models, or one that is not there or could run code.
    """
    files = {name: model_file(name) for name in names} or {
        path.relative_to("models").with_suffix("").as_posix(): path
        for path in sorted(Path("models").glob("*/*/*.keras"))
        if path.parts[1] != "pretrained"
    }
    if not files:
        raise ChestTransferError("no models in 'models/'; run: dvc repro, or: dvc pull, or name a model")
    return {name: Predictor(path) for name, path in files.items()}


def known(predictors: dict[str, Predictor]) -> list[dict]:
    """What is told of each model, as JSON, those of a dataset together, the best on validation first.

    Scores are those of the tracked metrics, and only where these are of the same backbone.
    """
    try:
        settings = read_settings()
        datasets, cautions = gathered(settings)
    except ChestTransferError as error:
        unknown = [Caution(False, f"No scores are known here: {error}")]
        return [_told(name, predictor, {}, None, unknown) for name, predictor in predictors.items()]
    of_any = [caution for dataset in datasets for caution in dataset.cautions]
    by_name, found = {dataset.name: dataset for dataset in datasets}, []
    for name, predictor in predictors.items():
        facts, dataset = predictor.facts, by_name.get(predictor.facts["dataset"])
        of_all = [
            caution for caution in cautions
            if caution not in of_any and (not caution.datasets or facts["dataset"] in caution.datasets)
        ]  # fmt: skip
        if dataset is None or facts["backbone"] != settings.model:
            found.append(_told(name, predictor, {}, None, of_all))
            continue
        way = f"{facts['regime']}-{facts['weights']}"
        scores, explained = ({way: each[way]} if way in each else {} for each in (dataset.scores, dataset.explained))
        of_model = of_dataset(dataset.name, dataset.data, scores, explained)
        found.append(_told(name, predictor, scores.get(way, {}), dataset, of_model + of_all))
    return sorted(found, key=lambda told: (told["dataset"], -(told["validation_auc"] or 0), told["name"]))


def _told(name: str, predictor: Predictor, scores: dict, dataset, cautions: list) -> dict:
    facts, points = predictor.facts, predictor.facts["thresholds"]
    return {
        "name": name,
        "dataset": facts["dataset"],
        "backbone": facts["backbone"],
        "way": f"{facts['regime']}-{facts['weights']}",
        "made": f"{WAYS.get(facts['regime'], facts['regime'])}, from {STARTS.get(facts['weights'], facts['weights'])}",
        "classes": predictor.classes,
        "multi_label": predictor.multi_label,
        "points": {point: said for point, said in POINTS.items() if point in points},
        "validation_auc": scores.get("validation_auc"),
        "auc": [scores.get(key) for key in ("auc", "auc_low", "auc_high")] if scores else None,
        "test": [scores["images"], scores["patients"]] if scores else None,
        "trained_on": [dataset.data[key]["train"] for key in ("images", "patients")] if dataset else None,
        "cautions": [{"serious": caution.serious, "text": caution.text} for caution in cautions],
    }
