"""The leaderboard: the models of every DVC experiment in one table, seeds combined, beside published results."""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from chest_transfer.errors import ChestTransferError, unknown_name_error
from chest_transfer.reporting.experiment_list import (
    FINISHED,
    NOT_RUN,
    ListedExperiment,
    changed_settings,
    values_as_text,
)
from chest_transfer.reporting.html_tables import decimal
from chest_transfer.reporting.paired import differences_to_the_best

SCORES = ("auc", "auc_low", "auc_high", "accuracy", "sensitivity", "specificity", "f1")
PUBLISHED = Path("presets/published.csv")
SHOWN_SETTINGS = ("model", "image_size")  # a column each, whether experiments differ in them or not
# Settings that are no column: those above, and those that say which models there are.
NOT_COMPARED = (
    *SHOWN_SETTINGS,
    "seeds",
    "seed",
    "patients",
    "datasets",
    "weights",
    "train.weights",
    "finetune.weights",
)
FILTERS = ("dataset", "model", "regime", "weights")


@dataclass(frozen=True)
class Leaderboard:
    """The models of experiments, the largest AUC on each test split first.

    Args:
        table: with numbers as numbers: dataset, test_split, model, regime, weights, image_size, a column for each
            setting in which experiments differ, auc (the mean where experiments with one seed each share a row) with
            auc_low and auc_high (its interval, or the range over these), `is_range`, accuracy, sensitivity,
            specificity, f1, seeds (their number), patients (the most training patients, or `all`), experiment,
            published, state; `runs` for `differences_to_the_best`.
        unfinished: of experiments without scores of their own: experiment, model, image_size, state.
    """

    table: pd.DataFrame
    unfinished: pd.DataFrame


def build_leaderboard(experiments: list[ListedExperiment], published: pd.DataFrame) -> Leaderboard:
    """Return the models of experiments; those that differ only in their seeds share a row.

    Models are ranked together only where they were tested on the same split of the same archive. Of experiments that
    differ only in their seeds, and of which one has several, that with the most is shown, whose means these are.

    Raises:
        ChestTransferError: no experiment has scores of its own.
    """
    finished = [experiment for experiment in experiments if experiment.state == FINISHED]
    unfinished = [
        experiment for experiment in experiments
        if experiment.state not in (FINISHED, NOT_RUN)
    ]  # fmt: skip
    if not finished:
        states = "; ".join(f"{experiment.name}: {experiment.state}" for experiment in unfinished)
        raise ChestTransferError(f"no experiment has metrics of its own ({states or 'none has run'}); run: dvc exp run")
    changed = {
        key: values_as_text(of)
        for key, of in changed_settings(finished).items()
        if key not in NOT_COMPARED and _has_several(of)
    }
    rows = [
        row
        for number, experiment in enumerate(finished)
        for row in _rows(experiment, {key: of[number] for key, of in changed.items()})
    ]
    keys = ["dataset", "test_split", "model", "regime", "weights", "image_size", "other_settings", *changed]
    table = pd.DataFrame(rows)
    # The workspace and its commit are one experiment.
    table = table.drop_duplicates([*keys, "seed_list", "patients", *SCORES], ignore_index=True)
    combined = [_combined(runs, published) for _, runs in table.groupby(keys, sort=False, dropna=False)]
    board = pd.DataFrame(combined).sort_values(
        ["dataset", "test_split", "auc"], ascending=[True, True, False], ignore_index=True
    )
    columns = ("name", "model", "image_size", "state")
    listed = [(one.name, one.params.get("model"), one.params.get("image_size"), one.state) for one in unfinished]
    return Leaderboard(board, pd.DataFrame(listed, columns=columns).rename(columns={"name": "experiment"}))


def _has_several(values: list) -> bool:
    """Return whether a setting has several values, apart from being unknown to commits of earlier versions."""
    known = [value for value in values if value is not None]
    return any(value != known[0] for value in known)


def _rows(experiment: ListedExperiment, changed: dict[str, str]) -> list[dict]:
    params = experiment.params
    facts = {"experiment": experiment.name, "revision": experiment.revision, "source": params.get("source")}
    facts |= {key: params.get(key) for key in SHOWN_SETTINGS} | changed
    others = {key: value for key, value in params.items() if key not in ("seed", "seeds")}
    facts |= {"seed_list": " ".join(map(str, experiment.seeds)), "patients": experiment.most_patients}
    facts["other_settings"] = json.dumps(others, sort_keys=True)
    return [
        {"dataset": dataset, "test_split": experiment.test_splits[dataset], "regime": regime, "weights": start}
        | facts | {key: record.get(key) for key in SCORES}
        for dataset, regimes in experiment.scores.items()
        for regime, starts in regimes.items()
        for start, record in starts.items()
    ]  # fmt: skip


def _combined(runs: pd.DataFrame, published: pd.DataFrame) -> dict:
    """Return the row of experiments that differ only in their seeds."""
    runs = runs.drop_duplicates("seed_list", keep="first")
    seeds = runs["seed_list"].str.split()
    if seeds.str.len().max() > 1:
        runs = runs.loc[[seeds.str.len().idxmax()]]
    row = runs.iloc[0].drop(["revision", "seed_list", "other_settings"]).to_dict()
    if len(runs) > 1:
        row |= {key: runs[key].astype(float).mean() for key in SCORES}
        row |= {"auc_low": runs["auc"].min(), "auc_high": runs["auc"].max()}
    row |= {"is_range": len(runs) > 1, "published": _published(row, published), "state": FINISHED}
    row["patients"] = "all" if pd.isna(row["patients"]) else int(row["patients"])
    row["seeds"] = int(runs["seed_list"].str.split().str.len().sum())
    row["runs"] = [
        (run.revision, [int(seed) for seed in run.seed_list.split() if seed.isdigit()]) for run in runs.itertuples()
    ]
    return row


def _published(row: dict, published: pd.DataFrame) -> str:
    """Return results such as `accuracy 0.931 (three-backbones)`; none for simulated patients and for fewer than all."""
    if row["source"] == "phantom" or not pd.isna(row["patients"]):
        return ""
    matching = published
    for key in ("dataset", "model", "regime", "weights"):
        matching = matching[matching[key] == row[key]]
    return "; ".join(f"{result.metric} {result.value:.3f} ({result.preset})" for result in matching.itertuples())


def filtered(board: Leaderboard, names: dict[str, str | None]) -> Leaderboard:
    """Return the rows of the given datasets, backbones, regimes and weights.

    Args:
        board: Leaderboard.
        names: dict, of each of `FILTERS` names with commas between them, None for all.

    Raises:
        ChestTransferError: no row has one of these names.
    """
    table = board.table
    for column, text in names.items():
        for name in text.split(",") if text else []:
            if name not in set(board.table[column]):
                raise unknown_name_error(column, name, sorted(set(board.table[column])))
        if text:
            table = table[table[column].isin(text.split(","))]
    if table.empty:
        raise ChestTransferError("no model is left; run: chest-transfer leaderboard, with fewer filters")
    is_filtered = any(names.values())
    return Leaderboard(table.reset_index(drop=True), board.unfinished[:0] if is_filtered else board.unfinished)


def as_numbers(board: Leaderboard, is_paired: bool) -> pd.DataFrame:
    """Return the table for a program: one column for each number, the experiments without scores at its end."""
    bounds = ["range over seeds" if is_range else "95 % interval" for is_range in board.table["is_range"]]
    numbers = _columns(board, is_paired, SCORES)
    numbers.insert(numbers.columns.get_loc("auc_high") + 1, "auc_bounds", bounds)
    return pd.concat([numbers.astype({"seeds": "Int64"}), board.unfinished], ignore_index=True)


def as_text(board: Leaderboard, is_paired: bool) -> pd.DataFrame:
    """Return the table for a reader: AUC with its interval in one column, columns that are empty left out."""
    table = board.table.assign(AUC=[_area(row) for row in board.table.itertuples()])
    scores = ("accuracy", "sensitivity", "specificity", "f1")
    table = table.assign(**{name: [decimal(value) for value in table[name]] for name in scores})
    text = _columns(Leaderboard(table, board.unfinished), is_paired, ("AUC", *scores))
    text = pd.concat([text.astype(object), board.unfinished], ignore_index=True).fillna("")
    if (text["state"] == FINISHED).all():
        text = text.drop(columns="state")
    return text.loc[:, (text != "").any()].rename(columns={"test_split": "tested on"})


def _columns(board: Leaderboard, is_paired: bool, scores: tuple[str, ...]) -> pd.DataFrame:
    table = board.table
    if is_paired:
        table = table.assign(**{"difference to the best": differences_to_the_best(table)})
    known = (*FILTERS, *SCORES, "test_split", "image_size", "source", "is_range", "AUC", "seeds", "patients",
             "experiment", "published", "state", "runs", "difference to the best")  # fmt: skip
    changed = [column for column in table if column not in known]
    first = ["dataset", "test_split", *FILTERS[1:], "image_size", *changed, *scores]
    paired = ["difference to the best"] if is_paired else []
    return table[[*first, *paired, "seeds", "patients", "experiment", "published", "state"]]


def _area(row) -> str:
    if pd.isna(row.auc):
        return decimal(row.auc)
    if row.is_range:
        return f"{row.auc:.3f} (seeds {row.auc_low:.3f}-{row.auc_high:.3f})"
    return f"{row.auc:.3f}" if pd.isna(row.auc_low) else f"{row.auc:.3f} ({row.auc_low:.3f}-{row.auc_high:.3f})"


def read_published(path: Path = PUBLISHED) -> pd.DataFrame:
    """Read the results of published studies: preset, dataset, model, regime, weights, metric, value, source."""
    return pd.read_csv(path, keep_default_na=False, dtype={"value": float})
