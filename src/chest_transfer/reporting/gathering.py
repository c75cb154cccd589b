"""Everything that a report shows, read from the tracked metrics of one experiment; no network is loaded."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from chest_transfer.data.catalog import source_of
from chest_transfer.errors import ChestTransferError
from chest_transfer.model_names import ModelName, ensembles, first_of_each, is_ensemble, models_of_experiment
from chest_transfer.networks.facts import RANDOM_STARTS
from chest_transfer.reporting.answers import ORDER, gain_sentence, patients_saved
from chest_transfer.reporting.cautions import Caution, dataset_cautions, overlap_cautions
from chest_transfer.reporting.current_results import check_results, is_current
from chest_transfer.reporting.external_results import external_cautions
from chest_transfer.reporting.stress_results import stress_cautions
from chest_transfer.reporting.transfusion import transfusion
from chest_transfer.settings import Settings

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
        blocks: table of `representations.block_table`; empty where networks were not looked into.
        networks: table of `representations.compare_networks`; likewise.
        transfusion: table of scores by the number of pretrained blocks; empty where there are no such starts.
        external: dict, the scores of each model on each dataset from elsewhere.
        stress: dict, the stress test of each model.
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
    blocks: pd.DataFrame = field(default_factory=pd.DataFrame)
    networks: pd.DataFrame = field(default_factory=pd.DataFrame)
    transfusion: pd.DataFrame = field(default_factory=pd.DataFrame)
    external: dict[str, dict[str, dict]] = field(default_factory=dict)
    stress: dict[str, dict] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    cautions: list[Caution] = field(default_factory=list)

    @property
    def answers(self) -> list[str]:
        """A sentence on the gain of each pretrained start, those of the whole network first."""
        return self._gain_sentences(of_ensembles=False)

    @property
    def ensemble_answers(self) -> list[str]:
        """A sentence on the gain of each ensemble over its members."""
        return self._gain_sentences(of_ensembles=True)

    def _gain_sentences(self, of_ensembles: bool) -> list[str]:
        return [
            gain_sentence(self.name, self.scores, regime, row, gain)
            for regime in ORDER
            for row, gain in self.gains.get(regime, {}).items()
            if gain["auc"] is not None and is_ensemble(row) == of_ensembles
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
        dataset.cautions += stress_cautions(dataset.name, dataset.scores, dataset.stress)
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
    looked_into = [Path(f"metrics/representations/{name}/{table}.csv") for table in ("blocks", "networks")]
    blocks = networks = pd.DataFrame()
    if name in settings.representations and all((folder / path).exists() for path in looked_into):
        if is_current(folder, f"representations@{name}-{settings.model}", looked_into):
            blocks, networks = (_read_csv(folder / path) for path in looked_into)
        else:
            left_out.append("measures of each block")
    external = {}
    for target in settings.external:
        file = Path(f"metrics/external/{target}/{name}-detail.json")
        if is_current(folder, f"external_evaluate@{target}-{name}", [file]):
            external[target] = _by_model(read_json(folder / file), models)
        else:
            left_out.append(f"scores on {target}")
    stressed = Path(f"metrics/stress/{name}.json")
    is_stressed = is_current(folder, f"stress@{name}", [stressed])
    left_out += ["stress test"] if (folder / stressed).exists() and not is_stressed else []
    return Dataset(
        name=name,
        data=read_json(metrics / f"data/{name}.json"),
        models=models,
        scores=scores,
        gains=_pretrained_first(_known_gains(read_json(metrics / f"gain/{name}.json"), scores), settings),
        explained=explained,
        comparisons=_read_csv(metrics / f"comparisons/{name}.csv"),
        subgroups=_read_csv(metrics / f"subgroups/{name}.csv"),
        plots={plot: _read_csv(metrics / f"plots/{name}/{plot}.csv") for plot in PLOTS},
        sheets={key: file for key in explained if (file := heat_maps / f"{key}.png").exists()},
        pictures={path.stem: folder / path for path in shown if are_pictures_current},
        curves=_pretrained_first(read_json(metrics / f"curves/{name}.json"), settings),
        blocks=blocks,
        networks=networks,
        transfusion=transfusion(scores, settings),
        external=external,
        stress=_by_model(read_json(folder / stressed), models) if is_stressed else {},
        left_out=left_out,
    )


def _pretrained_first(content: dict[str, dict], settings: Settings) -> dict[str, dict]:
    """Return what metrics hold by regime and start, with starts that are all pretrained before those partly random."""

    def is_random(start: str) -> bool:
        return start in RANDOM_STARTS or start in settings.partial_weights

    return {
        regime: dict(sorted(starts.items(), key=lambda item: is_random(item[0]))) for regime, starts in content.items()
    }


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
