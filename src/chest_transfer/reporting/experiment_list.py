"""The experiments that DVC and Git keep, each with its settings and scores, and whether these belong together."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from chest_transfer.errors import ChestTransferError
from chest_transfer.git import check_commit, committed_file, git, revision_named
from chest_transfer.lockfile import parse_lock
from chest_transfer.model_names import ALL_PATIENTS
from chest_transfer.reporting.staleness import why_stale

# Settings whose keys are names of the user's choice: one value each.
MAPPINGS = ("own", "pools", "sources", "weights_files", "partial_weights", "degrade", "folders")
FINISHED = "finished"
STALE = "stale: "  # before the reason
NOT_RUN = f"{STALE}nothing has been run"
WORKSPACE = "workspace"
# Settings of `preprocess` that decide which radiographs are tested.
SPLIT_SETTINGS = ("test_share", "validation_share", "split_seed", "splits", "folders", "duplicates")


@dataclass
class ListedExperiment:
    """One experiment, commit or the workspace.

    Args:
        name: str, as `dvc exp show` has it, or the first seven digits of a commit.
        revision: str, of Git, or `WORKSPACE`.
        state: str, `FINISHED`, queued, running, failed, or why its scores do not belong to its settings.
        params: dict, its params.yaml.
        scores: dict, of each dataset the scores by regime and start, as `metrics/detail/D.json` has them.
        test_splits: dict, of each dataset a short name of what its models are tested on; the same for the same archive,
            split in the same way.
        is_head: bool, whether it is the commit that is checked out.
    """

    name: str
    revision: str
    state: str
    params: dict
    scores: dict[str, dict] = field(default_factory=dict)
    test_splits: dict[str, str] = field(default_factory=dict)
    is_head: bool = False

    @property
    def seeds(self) -> list:
        """The training seeds; of an earlier version its single `seed`."""
        return _as_list(self.params.get("seeds", self.params.get("seed")))

    @property
    def most_patients(self) -> int | None:
        """The most training patients of a model; None for all of them."""
        numbers = _as_list(self.params.get("patients", ALL_PATIENTS))
        return None if ALL_PATIENTS in numbers else max((one for one in numbers if type(one) is int), default=None)


def _as_list(value) -> list:
    return value if isinstance(value, list) else [value]


def list_experiments(all_commits: bool = False, names: Iterable[str] = ()) -> list[ListedExperiment]:
    """Return the workspace, and the last commit or all commits, with their experiments, as `dvc exp show` lists them.

    Args:
        all_commits: bool, whether all commits are read, about three in a second.
        names: experiments of any commit, or revisions of Git, that are listed, too, by these names, if they exist.

    Raises:
        ChestTransferError: not a Git and DVC repository.
    """
    check_commit("experiments are kept beside a commit")
    named = _names_by_revision(names)
    chosen = [*["--all-commits"] * all_commits, *(f"--rev={revision}" for revision in ("HEAD", *named))]
    words = [sys.executable, "-m", "dvc", "exp", "show", "--json", *chosen]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ChestTransferError(f"dvc exp show failed: {reason}; run from the project's folder")
    head = git("rev-parse", "HEAD")
    listed = [_listed(entry, executor, head) for entry, executor in _revisions(json.loads(done.stdout))]
    taken = {name for of_revision in named.values() for name in of_revision}
    return [
        replace(one, name=name)
        for one in listed
        for name in named.get(one.revision) or [one.revision[:7] if one.name in taken else one.name]
    ]


def _names_by_revision(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the names that exist by their commit; without `HEAD` and the workspace, which are always listed."""
    named: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        if name not in ("HEAD", WORKSPACE):
            with suppress(ChestTransferError):
                named.setdefault(revision_named(name), []).append(name)
    return named


def _revisions(experiments: list[dict]):
    """Yield each revision with what DVC says about its execution, None for one that has been executed."""
    for entry in experiments:
        yield entry, None
        for experiment in entry.get("experiments") or []:
            for revision in experiment["revs"]:
                yield revision, experiment.get("executor")


def _listed(entry: dict, executor: dict | None, head: str) -> ListedExperiment:
    params = (((entry.get("data") or {}).get("params") or {}).get("params.yaml") or {}).get("data") or {}
    name = entry["name"] or (entry["rev"] if entry["rev"] == WORKSPACE else entry["rev"][:7])
    listed = ListedExperiment(name, entry["rev"], (executor or {}).get("state") or FINISHED, params)
    listed.is_head = entry["rev"] == head
    if entry.get("error"):
        listed.state = f"unreadable: {' '.join(str(entry['error'].get('msg', '')).split())}"
    elif listed.state in (FINISHED, "success"):
        listed.state = _read_scores(listed) or FINISHED
    return listed


def _read_scores(listed: ListedExperiment) -> str:
    """Read scores and test splits; return why they do not belong to the settings, empty where they do."""
    try:
        text = (_file_of(listed.revision, "dvc.lock") or b"").decode(errors="replace")
        lock = parse_lock(text, remedy="see: git log -- dvc.lock")
    except ChestTransferError as error:
        return f"{STALE}{error}"
    if not any(stage.startswith("evaluate@") for stage in lock["stages"]):
        return NOT_RUN
    if not listed.params.get("datasets"):
        return f"{STALE}params.yaml names no datasets"
    for dataset in listed.params["datasets"]:
        path = f"metrics/detail/{dataset}.json"
        content = _file_of(listed.revision, path)
        md5 = None if content is None else hashlib.md5(content, usedforsecurity=False).hexdigest()
        if reason := why_stale(lock, listed.params, f"evaluate@{dataset}", {path: md5}):
            listed.scores = {}
            return f"{STALE}{reason}"
        listed.scores[dataset] = json.loads(content)
        listed.test_splits[dataset] = name_of_test_split(lock, listed.params, dataset)
    return ""


def name_of_test_split(lock: dict, params: dict, dataset: str) -> str:
    """Return a short name of what a dataset's models are tested on: its source, and digits of a hash.

    Args:
        lock: content of dvc.lock.
        params: content of params.yaml.
        dataset: str.
    """
    deps = lock["stages"].get(f"preprocess@{dataset}", {}).get("deps", [])
    archive = next((dep.get("md5") for dep in deps if dep["path"] == f"data/raw/{dataset}.zip"), None)
    preprocess = params.get("preprocess") or {}
    content = json.dumps([archive, {key: preprocess.get(key) for key in SPLIT_SETTINGS}], sort_keys=True)
    own = "own" if dataset in (params.get("own") or {}) else "pool" if dataset in (params.get("pools") or {}) else None
    source = own or (params.get("sources") or {}).get(dataset) or params.get("source")
    return f"{Path(str(source)).stem} {hashlib.sha256(content.encode()).hexdigest()[:4]}"


def _file_of(revision: str, path: str) -> bytes | None:
    if revision == WORKSPACE:
        return Path(path).read_bytes() if Path(path).exists() else None
    return committed_file(path, revision)


def changed_settings(experiments: list[ListedExperiment]) -> dict[str, list]:
    """Return the settings in which experiments differ: of each key `train.epochs` the value in every experiment.

    A value is None where an experiment has no such key. Mappings with names of the user's as keys are one value.
    """
    return changed_settings_of([experiment.params for experiment in experiments])


def changed_settings_of(params: list[dict]) -> dict[str, list]:
    """Return the settings in which several params.yaml differ, as `changed_settings`."""
    flat = [dict(_leaves(content)) for content in params]
    keys = dict.fromkeys(key for settings in flat for key in settings)
    values = {key: [settings.get(key) for settings in flat] for key in keys}
    return {key: of for key, of in values.items() if any(value != of[0] for value in of)}


def values_as_text(values: list) -> list[str]:
    """Return values of settings as text; an empty one where there is no such setting."""
    return [
        json.dumps(value) if isinstance(value, dict | list) else "" if value is None else str(value) for value in values
    ]


def _leaves(content: dict, prefix: str = ""):
    for key, value in content.items():
        if isinstance(value, dict) and key not in MAPPINGS:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
