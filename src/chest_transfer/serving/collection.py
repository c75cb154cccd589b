"""The models that the app offers, and what this project's folder knows about each: scores, data and cautions."""

from contextlib import suppress
from pathlib import Path

from chest_transfer.errors import ChestTransferError
from chest_transfer.evaluation.grad_cam import DEFAULT_METHOD
from chest_transfer.evaluation.localization import in_words, is_better_than_chance
from chest_transfer.lockfile import cache_folder, is_recorded, locked_outputs, read_lock
from chest_transfer.model_names import ModelName, packed_model
from chest_transfer.networks.facts import PackedFacts
from chest_transfer.reporting.cautions import Caution, dataset_cautions
from chest_transfer.reporting.current_results import is_current
from chest_transfer.reporting.gathering import Dataset, gather
from chest_transfer.reporting.wording import REGIMES, STARTS
from chest_transfer.serving.answers import readable
from chest_transfer.serving.models import model_file
from chest_transfer.serving.predictor import Predictor
from chest_transfer.settings import Settings, read_settings

OPERATING_POINT_LABELS = {
    "youden": "sensitivity and specificity together",
    "sensitivity 0.9": "finding 90 % of the diseased",
    "sensitivity 0.95": "finding 95 % of the diseased",
}


def collect_models(names: list[str]) -> dict[str, Predictor]:
    """Return the predictor of each model by name, none of them loaded yet.

    Args:
        names: list of str, as `model_file` takes them; empty for every classifier in `models/`, and the best model of
            each dataset that only DVC's cache has.

    Raises:
        ChestTransferError: there are no models, or one of them does not exist or could run code.
    """
    others = [] if names else _best_of_other_datasets()
    names = names or [
        path.relative_to("models").with_suffix("").as_posix()
        for path in sorted(Path("models").glob("*/*/*.keras"))
        if path.parts[1] != "pretrained"
    ]
    if not names and not others:
        raise ChestTransferError("no models in 'models/'; run: dvc repro, or: dvc pull, or name a model")
    predictors = {name: Predictor(model_file(name)) for name in names}
    for name in others:
        with suppress(ChestTransferError):  # of an earlier version; nobody named it
            predictors[name] = Predictor(model_file(name))
    return predictors


def _best_of_other_datasets() -> list[str]:
    """Return the datasets whose best model is in DVC's cache alone, because an experiment on others took it away."""
    outputs = {Path(out["path"]): out["md5"] for out in locked_outputs(read_lock()) if "md5" in out}
    return [
        path.stem
        for path, md5 in outputs.items()
        if path == packed_model(path.stem) and not path.exists() and (cache_folder() / md5[:2] / md5[2:]).exists()
    ]


def describe_models(predictors: dict[str, Predictor]) -> list[dict]:
    """Return a description of each model as JSON, those of a dataset together, the best on validation first.

    Scores are those of the tracked metrics, and only of models that were made with the settings in params.yaml.
    """
    try:
        settings = read_settings()
        datasets, cautions = gather(settings)
    except ChestTransferError as error:
        unknown = [Caution(False, f"No scores are known here: {error}")]
        return [_describe(name, predictor, {}, None, unknown) for name, predictor in predictors.items()]
    of_single_datasets = [caution for dataset in datasets for caution in dataset.cautions]
    general = [caution for caution in cautions if caution not in of_single_datasets]
    by_name = {dataset.name: dataset for dataset in datasets}
    descriptions = []
    for name, predictor in predictors.items():
        facts = predictor.facts
        concerning = [caution for caution in general if not caution.datasets or facts.dataset in caution.datasets]
        dataset, model = by_name.get(facts.dataset), _model_name(facts)
        key = model.key
        if dataset is None or not _is_scored(name, facts, settings):
            unknown = Caution(False, "Not made with the settings in params.yaml: the scores of this model are unknown.")
            descriptions.append(_describe(name, predictor, {}, None, [unknown, *concerning]))
            continue
        scores, explained = (
            {key: by_model[key]} if key in by_model else {} for by_model in (dataset.scores, dataset.explained)
        )
        scores = {
            key: record["fits"][model.fit] | ({"sources": record["sources"]} if "sources" in record else {})
            for key, record in scores.items()
            if model.fit in record["fits"]
        }
        if not scores:
            unknown = Caution(False, "The metrics in this folder are not of this model: its scores are unknown.")
            descriptions.append(_describe(name, predictor, {}, None, [unknown, *concerning]))
            continue
        # Scored are the maps of one seed and number of patients, by the method in the settings.
        if model != dataset.models.get(key) or settings.explain.method != DEFAULT_METHOD:
            explained = {}
        of_model = dataset_cautions(dataset.name, dataset.data, scores, explained)
        description = _describe(name, predictor, scores.get(key, {}), dataset, of_model + concerning)
        descriptions.append(description | {"heat_maps": _heat_maps(predictor.classes, explained.get(key))})
    return sorted(descriptions, key=lambda model: (model["dataset"], -(model["validation_auc"] or 0), model["name"]))


def _heat_maps(classes: list[str], explained: dict | None) -> dict[str, dict]:
    """Return for each class whether heat maps of a model point to it more often than chance, and a sentence on that.

    Args:
        classes: list of str.
        explained: dict, the localization scores of the model; None where its maps were not scored.
    """
    boxes = (explained or {}).get("boxes", {})
    return {name: _heat_map(name, boxes.get(name)) for name in classes}


def _heat_map(name: str, score: dict | None) -> dict:
    if score is None:
        text = f"whether the heat maps of this model point to {readable(name)} was not measured"
        return {"is_shown": False, "text": text}
    is_shown = is_better_than_chance(score)
    if is_shown is None:
        text = f"too few test radiographs show {readable(name)} to tell whether the heat maps of this model point to it"
    else:
        text = f"on test radiographs, {in_words(score)}"
    return {"is_shown": bool(is_shown), "text": text}


def _is_scored(name: str, facts: PackedFacts, settings: Settings) -> bool:
    """Return whether the tracked scores are those of a model.

    Where dvc.lock records the experiment, a model's file must be what it records. Without a record, the settings in the
    file must be those of params.yaml, which says nothing of data and pretraining.
    """
    if facts.patients not in settings.numbers_of_patients:
        return False
    if facts.seed not in settings.seeds or facts.ensemble_seeds not in (None, list(settings.seeds)):
        return False
    lock, path = read_lock(), Path(name).resolve()
    if not lock["stages"]:
        return _is_made_with(facts, settings)
    best, model = packed_model(facts.dataset), _model_name(facts)
    if path == best.resolve() or name == facts.dataset:
        return is_current(Path(), f"best@{facts.dataset}", [best]) or not best.exists()
    if path.is_file() and path != model.network.resolve():
        return False
    # A network that is not here came out of the cache or the remote, as dvc.lock records it.
    return facts.backbone == settings.model and (is_recorded(lock, model.network) or not model.network.exists())


def _model_name(facts: PackedFacts) -> ModelName:
    seed = None if facts.ensemble_seeds else facts.seed
    return ModelName(facts.dataset, facts.backbone, facts.regime, facts.start, seed, facts.patients)


def _is_made_with(facts: PackedFacts, settings: Settings) -> bool:
    """Return False where a model was made with other settings; True where its file tells of none."""
    current = settings.model_dump(mode="json")
    current |= {"architecture": current["architectures"].get(facts.backbone)}
    made_with = {"model": facts.backbone, "image_size": facts.image_size, "precision": facts.precision}
    made_with |= {
        "preprocess": {"fit": facts.fit, "region": facts.region, "outside_lungs": facts.outside_lungs}
    } | facts.settings
    if facts.regime == "probe":
        del made_with["fused_batch_norm"]  # a head has none
    del made_with["patients"]  # one of several in the settings
    return _agree(made_with, current)


def _agree(part: dict, whole: dict) -> bool:
    """Return whether all that two nested dicts both have is equal."""
    return all(
        _agree(part[key], whole[key]) if isinstance(part[key], dict) and isinstance(whole[key], dict)
        else part[key] == whole[key]
        for key in part.keys() & whole.keys()
    )  # fmt: skip


def _training_set(data: dict, patients: int | None) -> str:
    if patients is not None:
        return f"{patients} of {data['patients']['train']} patients"
    return f"{data['images']['train']} radiographs of {data['patients']['train']} patients"


def _describe(name: str, predictor: Predictor, scores: dict, dataset: Dataset | None, cautions: list[Caution]) -> dict:
    facts = predictor.facts
    training = f"{REGIMES.get(facts.regime, facts.regime)}, from {STARTS.get(facts.start, facts.start)}"
    if facts.ensemble_seeds:
        training += f"; the mean of {len(facts.ensemble_seeds)} networks, which takes as many times as long"
    return {
        "name": name,
        "dataset": facts.dataset,
        "backbone": facts.backbone,
        "regime": facts.regime,
        "start": facts.start,
        "training": training,
        "classes": predictor.classes,
        "multi_label": predictor.multi_label,
        "points": {point: label for point, label in OPERATING_POINT_LABELS.items() if point in facts.thresholds},
        "validation_auc": scores.get("validation_auc"),
        "auc": [scores.get(key) for key in ("auc", "auc_low", "auc_high")] if scores else None,
        "simulated": facts.simulated,
        "heat_maps": _heat_maps(predictor.classes, None),
        "test": [scores["images"], scores["patients"]] if scores else None,
        "trained_on": _training_set(dataset.data, facts.patients) if dataset else None,
        "cautions": [{"serious": caution.serious, "text": caution.text} for caution in cautions],
    }
