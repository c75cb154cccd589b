"""The metrics and curves of a dataset's models, from the raw predictions that each fit left."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from chest_transfer.data.predictions import read_predictions
from chest_transfer.evaluation.comparisons import compare_all, gains
from chest_transfer.evaluation.curves import COLUMNS, curves_of_model, training_curves
from chest_transfer.evaluation.ensembles import evaluate_ensemble, gain_of_ensemble
from chest_transfer.evaluation.epochs_to_loss import epochs_to_loss
from chest_transfer.evaluation.fit_scores import EvaluatedFit, evaluate_fit, history_of
from chest_transfer.evaluation.headline import headline
from chest_transfer.evaluation.intervals import cluster_bootstrap_weights
from chest_transfer.evaluation.learning_curves import (
    AREA,
    fits_by_patients,
    learning_curve_records,
    learning_curve_table,
)
from chest_transfer.evaluation.seeds import pooled, record_over_seeds
from chest_transfer.evaluation.subgroups import subgroup_scores
from chest_transfer.files import write_json, write_text
from chest_transfer.model_names import NOT_FITTED, ModelName, ensembles, with_most_patients

if TYPE_CHECKING:
    from chest_transfer.settings import Evaluate


def evaluate_dataset(models: list[ModelName], images: pd.DataFrame, settings: "Evaluate", folder: Path) -> None:
    """Evaluate the test predictions of a dataset's models, each calibrated on its own validation predictions.

    Models that differ in their seed alone share a row, with means over seeds; their ensemble has a row of its own. Of
    several numbers of training patients, all but `detail` is of the largest.

    Writes below `folder`, for dataset D: `D.json`, the few numbers that DVC compares (`headline`);
    `detail/D.json`, all scores by regime and start (`train.none.auc`), with those of each fit; `gain/D.json`, what
    each start is worth over the control; `comparisons/D.csv`, every pair of models; `curves/D.json`, the learning
    curves over training patients; `subgroups/D.csv`; and `plots/D/*.csv`.

    Args:
        models: list of ModelName, all of one dataset; at least one is fitted to it.
        images: table `images.csv` of the dataset, indexed by name.
        settings: section `evaluate` of the settings.
        folder: Path to write to.

    Raises:
        ChestTransferError: a model has no predictions.
    """
    fitted = next(name for name in models if name.regime not in NOT_FITTED)
    of_first = read_predictions(fitted.predictions_of("test"))
    weights = cluster_bootstrap_weights(of_first.patients, settings.rounds, settings.seed)
    fits = {name: evaluate_fit(name, of_first.multi_label, weights, settings) for name in models}
    seeds = list(fits.values())
    members = {name: [fits[member] for member in of] for name, of in ensembles(models).items()}
    fits |= {name: evaluate_ensemble(name, of, of_first.multi_label, weights, settings) for name, of in members.items()}
    shown = [fits[name] for name in (*with_most_patients(models), *members)]
    keys = dict.fromkeys(fit.name.key for fit in shown)
    rows = [[fit for fit in shown if fit.name.key == key] for key in keys]
    detail, subgroups = {}, []
    curves: dict[str, list[pd.DataFrame]] = {name: [] for name in (*COLUMNS, "history")}
    for of_seeds in rows:
        first, predictions = of_seeds[0], [fit.on_scored for fit in of_seeds]
        groups = subgroup_scores(predictions, images.loc[first.test.names[first.scored]], weights[:, first.scored])
        subgroups.append(groups.assign(model=first.name.key))
        record = record_over_seeds(of_seeds)
        if by_source := _areas_by_source(groups):
            record["sources"] = by_source
        record["fits"] = {fit.name.fit: fit.record for fit in fits.values() if fit.name.key == first.name.key}
        detail.setdefault(first.name.regime, {})[first.name.row] = record
        for curve, table in curves_of_model(first.name.key, pooled(predictions)).items():
            if curve == "confusion" or first.name not in members:  # a line more for each ensemble would hide the others
                curves[curve].append(table)
        if first.name.regime not in NOT_FITTED and first.name.seed is not None:
            curves["history"] += [_training_curves(fit, len(of_seeds)) for fit in of_seeds]
    pairs = compare_all(rows, weights, of_first.multi_label)
    of_key = dict(zip(keys, rows, strict=True))
    gain = gains(pairs, [of_seeds[0].name for of_seeds in rows if of_seeds[0].name not in members])
    for regime, starts in gain.items():
        for start, record in starts.items():
            if not record["against"].startswith(f"{regime}-"):
                continue  # a control of another regime has other epochs
            record |= epochs_to_loss(of_key[f"{regime}-{start}"], of_key[record["against"]])
    for name, of_seeds in members.items():
        gain.setdefault(name.regime, {})[name.row] = gain_of_ensemble(fits[name], of_seeds)
    dataset = models[0].dataset
    # Below the name of the dataset: columns of `dvc exp show` then need no name of a file.
    write_json(folder / f"{dataset}.json", {dataset: headline(detail, gain)})
    write_json(folder / "detail" / f"{dataset}.json", detail)
    write_json(folder / "gain" / f"{dataset}.json", gain)
    _write_csv(folder / "subgroups" / f"{dataset}.csv", pd.concat(subgroups))
    _write_csv(folder / "comparisons" / f"{dataset}.csv", pairs)
    _write_csv(folder / "plots" / dataset / "gain.csv", _gain_table(gain))
    learned = learning_curve_records(fits_by_patients(seeds, images), weights)
    write_json(folder / "curves" / f"{dataset}.json", learned)
    _write_csv(folder / "plots" / dataset / "learning_curves.csv", learning_curve_table(learned))
    for curve, tables in curves.items():
        _write_csv(folder / "plots" / dataset / f"{curve}.csv", pd.concat(tables))


def _training_curves(fit: EvaluatedFit, seeds: int) -> pd.DataFrame:
    label = fit.name.key if seeds == 1 else f"{fit.name.key} seed {fit.name.seed}"
    return training_curves(label, history_of(fit.name))


def _areas_by_source(groups: pd.DataFrame) -> dict[str, dict]:
    """Return the area of each of several sources by itself: where they differ in who is ill, that of all is larger."""
    of_sources = groups[groups["attribute"] == "source"]
    if len(of_sources) < 2:
        return {}
    records = of_sources.astype(object).where(of_sources.notna(), None).to_dict("records")
    return {row["group"]: {key: row[key] for key in (*AREA, "images")} for row in records if row["auc"] is not None}


def _gain_table(gain: dict[str, dict]) -> pd.DataFrame:
    rows = [
        (f"{regime}-{start}", *map(of_start.get, AREA)) for regime, starts in gain.items()
        for start, of_start in starts.items()
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["model", *AREA])


def _write_csv(path: Path, table: pd.DataFrame) -> None:
    write_text(path, table.to_csv(index=False))
