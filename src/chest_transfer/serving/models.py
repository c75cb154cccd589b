"""Models by name: packed files, made of what DVC has of this or another revision, pulled if it is not here."""

import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path

from chest_transfer.errors import ChestTransferError, unknown_name_error
from chest_transfer.lockfile import file_md5
from chest_transfer.model_names import ALL_PATIENTS, ENSEMBLE, ModelName, packed_model
from chest_transfer.networks.facts import PackedFacts
from chest_transfer.recorded_files import copies_folder, recorded_file, recorded_outputs, text_of
from chest_transfer.serving.packing import pack
from chest_transfer.yaml_files import YAMLError, parse_yaml


def model_file(name: str, revision: str | None = None) -> Path:
    """Return the packed file of a model.

    Args:
        name: str, a path of a packed file; or `dataset/backbone/regime-start` (`pneumonia/xception/finetune-imagenet`);
            or `dataset/regime-start`, of the experiment's backbone; or `dataset` alone: its model with the largest area
            on validation (`best@D`). With `-seed1-all` or `-seed1-50` at the end, that fit; with `-ensemble`, the mean
            of those of all seeds in the settings; else that of the first one. Of several numbers of training patients,
            the largest.
        revision: str, of Git; None for the workspace. Files that are not here come from DVC's cache or remote.

    Raises:
        ChestTransferError: there is no such model, revision or remote.
    """
    if revision is None and Path(name).is_file() and not _is_network_of_experiment(Path(name)):
        return Path(name)
    if revision is None and (model := _named_in_full(name)) and _is_here(model):
        return _packed([_parts(model)])
    outputs = recorded_outputs(revision)
    dataset, fits = fits_of_name(name, outputs, revision)
    if not fits:
        return _file(packed_model(dataset), outputs, revision)
    return _packed([_parts_of_revision(fit, outputs, revision) for fit in fits])


def _parts_of_revision(model: ModelName, outputs: dict[str, str], revision: str | None) -> tuple[Path, ...]:
    """Return the parts of a model, those that are in this folder if they belong together, else as dvc.lock has them."""
    if revision is None and _is_here(model):
        return _parts(model)
    if revision is None and model.network.is_file() and file_md5(model.network) != outputs.get(str(model.network)):
        raise ChestTransferError(
            f"'{model.network}' is not what dvc.lock records, and its predictions are not those in "
            f"'{model.predictions}'; run: dvc repro, or: dvc checkout"
        )
    return tuple(recorded_file(path, outputs) for path in _parts(model))


def _parts(model: ModelName) -> tuple[Path, Path, Path]:
    """Return the network, the validation predictions and the out-of-distribution score that a model is packed from."""
    return model.network, model.predictions_of("val"), Path("data/out_of_distribution", f"{model.dataset}.npz")


def _is_here(model: ModelName) -> bool:
    """Return whether all parts of a model are in this folder, and its predictions are those of its network."""
    facts = model.predictions / "facts.json"
    if not all(path.is_file() for path in (*_parts(model), facts)):
        return False
    sha256 = hashlib.sha256(model.network.read_bytes()).hexdigest()
    return json.loads(facts.read_text()).get("sha256") == sha256


def _named_in_full(name: str) -> ModelName | None:
    try:
        return ModelName.parse(_without_folder(name))
    except ChestTransferError:
        return None


def _packed(members: list[tuple[Path, ...]]) -> Path:
    """Return the packed file of a model or an ensemble, put together once for each content of its parts."""
    key = hashlib.sha256(" ".join(PackedFacts.model_fields).encode())  # files of an earlier version are other ones
    for part in (path for parts in members for path in parts):
        key.update(hashlib.sha256(part.read_bytes()).digest())
    packed = copies_folder() / f"{key.hexdigest()[:32]}.keras"
    if not packed.exists():
        networks, validation_predictions, out_of_distribution = zip(*members, strict=True)
        pack(networks, validation_predictions, out_of_distribution[0], packed)
    return packed


def _without_folder(name: str) -> str:
    return name.removesuffix(".keras").removeprefix("models/")


def _is_network_of_experiment(path: Path) -> bool:
    """Return whether a path is `models/<dataset>/<backbone>/<name>.keras`: a network that is not packed."""
    return len(path.parts) == 4 and path.parts[0] == "models"


def fits_of_name(name: str, outputs: dict[str, str], revision: str | None) -> tuple[str, list[ModelName]]:
    """Return the dataset, and the fit, or the members of the ensemble, that a name means; none for the dataset's best.

    Args:
        name: str, as `model_file` takes it.
        outputs: dict of MD5 by path, of dvc.lock.
        revision: str, of Git; None for the workspace.

    Raises:
        ChestTransferError: there is none of that name, or it was made by an earlier version of this project.
    """
    known = _names(outputs)
    parts = _without_folder(name).split("/")
    dataset = parts[0]
    if dataset not in {one.split("/")[0] for one in known}:
        raise unknown_name_error("model", name, known or ["none yet"], "run: dvc repro")
    if len(parts) == 1:
        return dataset, []
    if len(parts) == 2:
        parts = [dataset, _backbone(revision), parts[1]]
    wanted = "/".join(parts)
    models = [model for model in map(_named_in_full, known) if model]  # older ones have no seed in their names
    if f"-{ENSEMBLE}" in wanted:
        return dataset, _members(wanted, models, revision)
    fits = [model for model in models if wanted in (str(model), model.without_fit)]
    if not fits and wanted in known:
        raise ChestTransferError(
            f"'{wanted}' was made by an earlier version, which had one seed and none in its names; run: dvc repro, or "
            "predict with the code of that revision"
        )
    if not fits:
        names = known if "-seed" in wanted or not models else list(dict.fromkeys(one.without_fit for one in models))
        raise unknown_name_error("model", wanted, names, "run: dvc repro")
    return dataset, [_of_settings(fits, revision)]


def _members(wanted: str, models: list[ModelName], revision: str | None) -> list[ModelName]:
    """Return the fits of an ensemble: of all seeds in the settings, with the most patients that these name.

    Args:
        wanted: str, `<without_fit>-ensemble`, or with `-<patients>`.
        models: list of all fits that dvc.lock lists.
        revision: str, of Git; None for the workspace.
    """
    seeds, numbers = _seeds_and_patients(revision)
    named = [fit for fit in models if (fit.patients or ALL_PATIENTS) in numbers and fit.seed in seeds]
    members = [fit for fit in named if wanted in _names_of_ensemble(fit)]
    most = max((fit.patients or math.inf for fit in members), default=None)
    members = sorted(
        (fit for fit in members if (fit.patients or math.inf) == most), key=lambda fit: seeds.index(fit.seed)
    )
    if len(seeds) < 2:
        raise ChestTransferError(
            f"'{wanted}' is the mean of several seeds, and the settings name {len(seeds)}; "
            "run: dvc exp run -S 'seeds=[1,2,3]'"
        )
    if not members:
        known = sorted({_names_of_ensemble(fit)[0] for fit in named})
        raise unknown_name_error("ensemble", wanted, known or ["none yet"], "run: dvc repro")
    if missing := [str(seed) for seed in seeds if seed not in [fit.seed for fit in members]]:
        raise ChestTransferError(f"'{wanted}' lacks its network of seed {', '.join(missing)}; run: dvc repro")
    return members


def _names_of_ensemble(fit: ModelName) -> tuple[str, str]:
    ensemble = replace(fit, seed=None)
    return ensemble.without_fit, str(ensemble)


def _of_settings(fits: list[ModelName], revision: str | None) -> ModelName:
    """Return the fit with the most patients and the first seed that params.yaml names; of no such fit, the lowest."""
    seeds, numbers = _seeds_and_patients(revision)
    named = [fit for fit in fits if fit.seed in seeds and (fit.patients or ALL_PATIENTS) in numbers]

    def order(fit: ModelName) -> tuple:
        return -(fit.patients or math.inf), seeds.index(fit.seed) if fit in named else fit.seed

    return min(named or fits, key=order)


def _seeds_and_patients(revision: str | None) -> tuple[list, list]:
    values = map(_params(revision).get, ("seeds", "patients"))
    return tuple(value if isinstance(value, list) else [] for value in values)


def _names(outputs: dict[str, str]) -> list[str]:
    """Return the names of all classifiers that dvc.lock lists."""
    files = [path for path in outputs if path.startswith("models/") and path.endswith(".keras")]
    names = [path.removeprefix("models/").removesuffix(".keras") for path in files]
    return sorted(name for name in names if not name.startswith(("best/", "pretrained/")))


def _params(revision: str | None) -> dict:
    try:
        params = parse_yaml(text_of("params.yaml", revision))
    except YAMLError:
        params = None
    return params if isinstance(params, dict) else {}


def _backbone(revision: str | None) -> str:
    try:
        return str(_params(revision)["model"])
    except KeyError:
        where = f" of revision '{revision}'" if revision else ""
        raise ChestTransferError(
            f"params.yaml{where} names no `model`; correct it, or name the backbone, too"
        ) from None


def _file(path: Path, outputs: dict[str, str], revision: str | None) -> Path:
    """Return a file of an experiment, copied out of DVC's cache or remote if it is not here in that revision."""
    return path if revision is None and path.is_file() else recorded_file(path, outputs)
