"""Everything that a report shows, read from the tracked metrics of one experiment; no network is loaded."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from chest_transfer.data.catalog import source_of
from chest_transfer.errors import ChestTransferError
from chest_transfer.lockfile import output_md5, read_lock
from chest_transfer.model_names import ModelName, ensembles, first_of_each, models_of_experiment
from chest_transfer.reporting.answers import ORDER, gain_sentence, patients_saved
from chest_transfer.reporting.cautions import Caution, dataset_cautions, overlap_cautions
from chest_transfer.reporting.external_results import external_cautions
from chest_transfer.reporting.staleness import why_stale
from chest_transfer.settings import Settings
from chest_transfer.yaml_files import read_yaml

PLOTS = (
    "roc",
    "precision_recall",
    "reliability",
    "confusion",
    "history",
    "learning_curves",
    "counts",
    "brightness",
    "sizes",
    "patients",
)


@dataclass
class Dataset:
    """One dataset of an experiment.

    Args:
        name: str.
        data: dict, of `metrics/data/`.
        models: dict, the name of each model by key; of several seeds that of the first.
        scores: dict, the scores of each model, means over seeds, with those of each fit.
        gains: dict, of `metrics/gain/`.
        explained: dict, the localization scores of each explained model.
        comparisons: table of every pair of models.
        subgroups: table of subgroup scores.
        plots: dict of the tables to draw.
        sheets: dict, the heat-map figure of each explained model.
        pictures: dict, the figures of radiographs.
        curves: dict, of `metrics/curves/`.
        external: dict, the scores of each model on each dataset from elsewhere.
        left_out: list of str, what is not shown because it is of other settings.
        cautions: list of Caution.
    """

    name: str
    data: dict
    models: dict[str, ModelName]
    scores: dict[str, dict]
    gains: dict[str, dict]
    explained: dict[str, dict]
    comparisons: pd.DataFrame
    subgroups: pd.DataFrame
    plots: dict[str, pd.DataFrame]
    sheets: dict[str, Path]
    pictures: dict[str, Path]
    curves: dict[str, dict] = field(default_factory=dict)
    external: dict[str, dict[str, dict]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    cautions: list[Caution] = field(default_factory=list)

    @property
    def answers(self) -> list[str]:
        """A sentence on the gain of each pretrained start, those of the whole network first."""
        return [
            gain_sentence(self.name, self.scores, regime, start, gain)
            for regime in ORDER
            for start, gain in self.gains.get(regime, {}).items()
            if gain["auc"] is not None
        ]

    @property
    def patients_saved(self) -> list[str]:
        """A sentence on how many training patients each pretrained start saves; none where one number is trained on."""
        return patients_saved(self.name, self.curves)


def gather(settings: Settings, folder: Path = Path()) -> tuple[list[Dataset], list[Caution]]:
    """Return the datasets of an experiment, and what must be known about it, serious cautions first.

    Raises:
        ChestTransferError: an evaluation is missing, or was made with other settings.
    """
    cautions = check_results(settings, folder)
    datasets = [_dataset(folder, name, settings) for name in settings.datasets]
    simulated = [name for name in settings.datasets if "phantom" in _sources_of(name, settings)]
    if simulated:
        of_which = "" if len(simulated) == len(datasets) else f" of {' and '.join(simulated)}"
        text = f"The radiographs{of_which} are simulated: these numbers say nothing about patients."
        cautions.append(Caution(True, text))
    for dataset in datasets:
        dataset.cautions = dataset_cautions(dataset.name, dataset.data, dataset.scores, dataset.explained)
        dataset.cautions += external_cautions(dataset.name, dataset.scores, dataset.external)
        for part in dataset.left_out:
            text = (
                f"{dataset.name}: the {part} are not of the settings in params.yaml, and are left out; run: dvc repro."
            )
            dataset.cautions.append(Caution(False, text))
        cautions += dataset.cautions
    overlap, names = _read_csv(folder / "metrics/overlap.csv"), settings.datasets
    cautions += overlap_cautions(overlap[overlap["dataset"].isin(names) & overlap["other"].isin(names)])
    if len(settings.seeds) == 1:
        text = f"One training seed ({settings.seeds[0]}): intervals are over test patients, not over other seeds."
        cautions.append(Caution(False, text))
    if settings.numbers_of_patients[-1] is not None:
        text = f"Models were trained on {settings.numbers_of_patients[-1]} patients at most, not on all there are."
        cautions.append(Caution(False, text))
    return datasets, sorted(cautions, key=lambda caution: not caution.serious)


def _sources_of(name: str, settings: Settings) -> list[str]:
    return [source_of(member, settings) for member in settings.pools.get(name, [name])]


def check_results(settings: Settings, folder: Path = Path()) -> list[Caution]:
    """Check that the scores in a folder are of its settings.

    Returns:
        A caution where DVC has not recorded with which settings they were computed.

    Raises:
        ChestTransferError: they are of other settings.
    """
    lock = read_lock(folder)
    if not lock["stages"]:
        text = "dvc.lock records no stage: with which settings these numbers were computed is unknown."
        return [Caution(True, text)] if (folder / "dvc.yaml").exists() else []
    for name in settings.datasets:
        paths = [f"metrics/{name}.json", f"metrics/detail/{name}.json", f"metrics/gain/{name}.json"]
        _check_stage(folder, lock, f"evaluate@{name}", paths)
        _check_stage(folder, lock, f"explore@{name}", [f"metrics/data/{name}.json"])
    _check_stage(folder, lock, "overlap", ["metrics/overlap.csv"])
    return []


def _check_stage(folder: Path, lock: dict, stage: str, paths: list[str]) -> None:
    if reason := _why_stale(folder, lock, stage, paths):
        raise ChestTransferError(f"{stage} is not of the settings in params.yaml: {reason}; run: dvc repro")


def _why_stale(folder: Path, lock: dict, stage: str, paths: list[str]) -> str:
    """Return why some files, and all other outputs of their stage that are here, are not of the settings."""
    others = [out["path"] for out in lock["stages"].get(stage, {}).get("outs", []) if (folder / out["path"]).exists()]
    found = {path: output_md5(folder / path) for path in {*paths, *others}}
    return why_stale(lock, read_yaml(folder / "params.yaml"), stage, found)


def is_current(folder: Path, stage: str, paths: list[Path]) -> bool:
    """Return whether files that a report can do without are there and, as far as DVC has recorded it, current."""
    lock, present = read_lock(folder), [path.as_posix() for path in paths if (folder / path).exists()]
    return bool(present) and not (lock["stages"] and _why_stale(folder, lock, stage, present))


def _dataset(folder: Path, name: str, settings: Settings) -> Dataset:
    metrics, pictures = folder / "metrics", folder / "data/pictures" / name
    heat_maps = folder / "data/heat_maps" / name / settings.model
    fits = models_of_experiment(settings, name)
    models = {model.key: model for model in (*first_of_each(fits), *ensembles(fits))}
    scores = _by_model(read_json(metrics / f"detail/{name}.json"), models)
    explained_file = Path(f"metrics/explained/{name}.json")
    is_explained = is_current(folder, f"explain@{name}-{settings.model}", [explained_file])
    left_out = [] if is_explained or not (folder / explained_file).exists() else ["heat maps"]
    explained = _by_model(read_json(folder / explained_file), models) if is_explained else {}
    shown = [path.relative_to(folder) for path in sorted(pictures.glob("*.png"))]
    are_pictures_current = is_current(folder, f"pictures@{name}", shown)
    left_out += ["pictures"] if shown and not are_pictures_current else []
    external = {}
    for target in settings.external:
        file = Path(f"metrics/external/{target}/{name}.json")
        if is_current(folder, f"external_evaluate@{target}-{name}", [file]):
            external[target] = _by_model(read_json(folder / file), models)
        else:
            left_out.append(f"scores on {target}")
    return Dataset(
        name=name,
        data=read_json(metrics / f"data/{name}.json"),
        models=models,
        scores=scores,
        gains=_known_gains(read_json(metrics / f"gain/{name}.json"), scores),
        explained=explained,
        comparisons=_read_csv(metrics / f"comparisons/{name}.csv"),
        subgroups=_read_csv(metrics / f"subgroups/{name}.csv"),
        plots={plot: _read_csv(metrics / f"plots/{name}/{plot}.csv") for plot in PLOTS},
        sheets={key: file for key in explained if (file := heat_maps / f"{key}.png").exists()},
        pictures={path.stem: folder / path for path in shown if are_pictures_current},
        curves=read_json(metrics / f"curves/{name}.json"),
        external=external,
        left_out=left_out,
    )


def _known_gains(gains: dict[str, dict], scores: dict[str, dict]) -> dict[str, dict]:
    """Return the gains of models that have scores, over models that have."""

    def is_known(regime: str, start: str, gain: dict) -> bool:
        return f"{regime}-{start}" in scores and gain["against"] in scores

    return {
        regime: {start: gain for start, gain in starts.items() if is_known(regime, start, gain)}
        for regime, starts in gains.items()
    }


def _by_model(content: dict[str, dict], models: dict[str, ModelName]) -> dict[str, dict]:
    """Return what metrics hold by regime and start, by the model's key."""
    return {key: content[model.regime][model.row] for key, model in models.items()
            if model.row in content.get(model.regime, {})}  # fmt: skip


def read_json(path: Path) -> dict:
    """Read a file of metrics.

    Raises:
        ChestTransferError: it is missing or damaged.
    """
    with _reading(path):
        return json.loads(path.read_text())


def _read_csv(path: Path) -> pd.DataFrame:
    with _reading(path):
        return pd.read_csv(path)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise ChestTransferError(f"no metrics at '{path}'; run: dvc repro") from None
    except ValueError as error:
        raise ChestTransferError(f"'{path}' cannot be read ({' '.join(str(error).split())}); run: dvc repro") from None
