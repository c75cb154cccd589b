"""The leaderboard: the models of every DVC experiment in one table, seeds combined, beside published results."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd

from chest_transfer.errors import ChestTransferError
from chest_transfer.git import check_commit, committed_file
from chest_transfer.lockfile import parse_lock
from chest_transfer.reporting.paired import differences_to_the_best
from chest_transfer.reporting.staleness import why_stale

SCORES = ("auc", "accuracy", "sensitivity", "specificity", "f1")
IDENTITY = ("experiment", "revision")
SETTINGS = ("model", "image_size", "source", "seeds", "patients", "settings")
FINISHED = "finished"
STALE = "stale: "  # before the reason
PUBLISHED = Path("presets/published.csv")


def list_experiments(all_commits: bool = False) -> list[dict]:
    """Return the data of `dvc exp show`: the workspace, and the last commit or all commits, with their experiments.

    Each revision gets a `state`: finished, queued, running, failed, or why its metrics do not belong to its settings.

    Raises:
        ChestTransferError: not a Git and DVC repository.
    """
    check_commit("experiments are kept beside a commit")
    words = [sys.executable, "-m", "dvc", "exp", "show", "--json", *(["--all-commits"] if all_commits else [])]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ChestTransferError(f"dvc exp show failed: {reason}; run from the project's folder")
    experiments = json.loads(done.stdout)
    for entry, executor in _revisions(experiments):
        state = (executor or {}).get("state") or "finished"
        if entry.get("error"):
            entry["state"] = f"unreadable: {' '.join(str(entry['error'].get('msg', '')).split())}"
        elif state in ("finished", "success"):
            entry["state"] = _why_stale(entry) or FINISHED
        else:
            entry["state"] = state
    return experiments


def _why_stale(entry: dict) -> str:
    """Return why the metrics of a revision do not belong to its settings; empty where they do."""
    params = _params(entry)
    try:
        text = (_file_of(entry["rev"], "dvc.lock") or b"").decode(errors="replace")
        lock = parse_lock(text, remedy="see: git log -- dvc.lock")
    except ChestTransferError as error:
        return f"{STALE}{error}"
    if not params.get("datasets"):
        return f"{STALE}params.yaml names no datasets"
    for dataset in params["datasets"]:
        path = f"metrics/{dataset}.json"
        content = _file_of(entry["rev"], path)
        md5 = None if content is None else hashlib.md5(content, usedforsecurity=False).hexdigest()
        if reason := why_stale(lock, params, f"evaluate@{dataset}", {path: md5}):
            return f"{STALE}{reason}"
    return ""


def _file_of(revision: str, path: str) -> bytes | None:
    if revision == "workspace":
        return Path(path).read_bytes() if Path(path).exists() else None
    return committed_file(path, revision)


def experiment_scores(experiments: list[dict]) -> pd.DataFrame:
    """Return one row for each model of each experiment.

    Args:
        experiments: list of dict, of `list_experiments`.

    Returns:
        Table with the columns experiment, revision (of Git, or workspace), state, model (the backbone),
        image_size, source, seeds, patients (the most training patients, None for all), settings (all others), dataset,
        regime, weights, then `SCORES` with `auc_low` and `auc_high`. Rows that a commit and the
        workspace share are listed once. An experiment that is not finished, or whose metrics are not of its settings,
        has one row without dataset and scores.
    """
    rows = []
    for entry, _ in _revisions(experiments):
        data, params, state = entry.get("data") or {}, _params(entry), entry.get("state", FINISHED)
        facts = {key: params.get(key) for key in ("model", "image_size", "source")}
        seeds = _as_list(params.get("seeds", params.get("seed")))  # `seed` before there were several
        others = {key: value for key, value in params.items() if key not in ("seed", "seeds")}
        facts |= {"seeds": " ".join(map(str, seeds)), "settings": json.dumps(others, sort_keys=True)}
        numbers = _as_list(params.get("patients", "all"))
        most = None if "all" in numbers else max((number for number in numbers if type(number) is int), default=None)
        facts |= {"state": state, "patients": most, "revision": entry["rev"]}
        metrics = {file: content.get("data") for file, content in (data.get("metrics") or {}).items()}
        if state.startswith(STALE) and not any(metrics.values()):
            continue  # a commit before the first experiment
        if state != FINISHED:
            rows.append({"experiment": _name(entry)} | facts)
            continue
        for file, content in metrics.items():
            if Path(file).parent != Path("metrics") or Path(file).stem not in params.get("datasets", []):
                continue
            for regime, starts in (content or {}).items():
                for weights, record in starts.items():
                    scores = {key: record.get(key) for key in ("auc", "auc_low", "auc_high", *SCORES[1:])}
                    where = {"dataset": Path(file).stem, "regime": regime, "weights": weights}
                    rows.append({"experiment": _name(entry)} | facts | where | scores)
    columns = [*IDENTITY, "state", *SETTINGS, "dataset", "regime", "weights", "auc", "auc_low", "auc_high", *SCORES[1:]]
    table = pd.DataFrame(rows, columns=columns)
    return table.drop_duplicates(subset=columns[len(IDENTITY) :], ignore_index=True)


def _as_list(value) -> list:
    return value if isinstance(value, list) else [value]


def _name(entry: dict) -> str:
    return entry["name"] or (entry["rev"] if entry["rev"] == "workspace" else entry["rev"][:7])


def _params(entry: dict) -> dict:
    return (((entry.get("data") or {}).get("params") or {}).get("params.yaml") or {}).get("data") or {}


def _revisions(experiments: list[dict]):
    """Yield each revision with what DVC says about its execution, None for one that has been executed."""
    for entry in experiments:
        yield entry, None
        for experiment in entry.get("experiments") or []:
            for revision in experiment["revs"]:
                yield revision, experiment.get("executor")


def leaderboard(scores: pd.DataFrame, published: pd.DataFrame, is_paired: bool = False) -> pd.DataFrame:
    """Return the largest area of each dataset first; experiments that differ only in their seeds share a row.

    Of experiments of which one has several seeds, that with the most is shown, whose means these are.

    Args:
        scores: table of `experiment_scores`.
        published: table of `read_published`.
        is_paired: bool, whether each is compared with the best of its dataset on the same test patients, too.

    Returns:
        Table with the columns dataset, model, regime, weights, image_size, AUC (with its interval for one experiment;
        mean and range for several of one seed), accuracy, sensitivity, specificity, f1, seeds, patients (the most
        training patients), experiment, published, state. Experiments without scores of their own come last, with their
        state alone.
    """
    is_finished = scores["state"] == FINISHED
    unfinished, scores = scores[~is_finished], scores[is_finished]
    keys = ["dataset", "model", "regime", "weights", "image_size", "source", "settings"]
    rows = []
    for values, runs in scores.groupby(keys, sort=False, dropna=False):
        runs = runs.drop_duplicates("seeds", keep="first")
        seeds = runs["seeds"].str.split()
        if seeds.str.len().max() > 1:
            runs = runs.loc[[seeds.str.len().idxmax()]]
        row = dict(zip(keys, values, strict=True)) | {"mean": runs["auc"].mean(), "AUC": _area(runs)}
        row["patients"] = runs["patients"].iloc[0]
        row |= {name: _decimal(runs[name].mean()) for name in SCORES[1:]}
        row |= {
            "seeds": int(runs["seeds"].str.split().str.len().sum()),
            "experiment": runs["experiment"].iloc[0],
            "published": _published(row, published),
            "runs": [
                (run.revision, [int(seed) for seed in run.seeds.split() if seed.isdigit()]) for run in runs.itertuples()
            ],
        }
        rows.append(row)
    if not rows:
        states = "; ".join(f"{row.experiment}: {row.state}" for row in unfinished.itertuples())
        raise ChestTransferError(f"no experiment has metrics of its own ({states or 'none has run'}); run: dvc exp run")
    table = pd.DataFrame(rows).sort_values(["dataset", "mean"], ascending=[True, False], ignore_index=True)
    if is_paired:
        table.insert(table.columns.get_loc("AUC") + 1, "difference to the best", differences_to_the_best(table))
    table["patients"] = ["all" if pd.isna(number) else int(number) for number in table["patients"]]
    table = table.drop(columns=["mean", "source", "settings", "runs"]).assign(state=FINISHED)
    without_scores = unfinished[["experiment", "model", "image_size", "state"]]
    return pd.concat([table.astype(object), without_scores], ignore_index=True).fillna("")


def _decimal(value: float) -> str:
    return "\N{EN DASH}" if pd.isna(value) else f"{value:.3f}"


def _area(runs: pd.DataFrame) -> str:
    mean = runs["auc"].mean()
    if pd.isna(mean):
        return _decimal(mean)
    if len(runs) > 1:
        return f"{mean:.3f} (seeds {runs['auc'].min():.3f}-{runs['auc'].max():.3f})"
    low, high = runs["auc_low"].iloc[0], runs["auc_high"].iloc[0]
    return f"{mean:.3f}" if pd.isna(low) else f"{mean:.3f} ({low:.3f}-{high:.3f})"


def _published(row: dict, published: pd.DataFrame) -> str:
    """Return results such as `accuracy 0.931 (three-backbones)`; none for simulated patients and for fewer than all."""
    if row["source"] == "phantom" or not pd.isna(row["patients"]):
        return ""
    matching = published
    for key in ("dataset", "model", "regime", "weights"):
        matching = matching[matching[key] == row[key]]
    return "; ".join(f"{result.metric} {result.value:.3f} ({result.preset})" for result in matching.itertuples())


def read_published(path: Path = PUBLISHED) -> pd.DataFrame:
    """Read the results of published studies: preset, dataset, model, regime, weights, metric, value, source."""
    return pd.read_csv(path, keep_default_na=False, dtype={"value": float})
