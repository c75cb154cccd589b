"""Whether the results in this folder are those of a commit: to the byte, within what a processor changes, or not.

Training repeats to the byte on one kind of machine. On another processor sums differ in their last bits, and after some
epochs a network is another one, as with another seed: its AUC moves within the interval over patients. See
docs/statistics.md for what was measured.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from chest_transfer.errors import ChestTransferError
from chest_transfer.git import committed_file, git, revision_named
from chest_transfer.lockfile import parse_lock, read_lock
from chest_transfer.machine import machine
from chest_transfer.reporting.current_results import check_results
from chest_transfer.reporting.experiment_list import changed_settings_of
from chest_transfer.settings import read_settings
from chest_transfer.yaml_files import parse_yaml, read_yaml

EQUAL, WITHIN, DIFFERENT = "equal to the byte", "within what a processor changes", "different"
ROUNDING = 1e-5  # of scores that nothing is trained for


@dataclass
class Verification:
    """The results of this folder beside those of a commit.

    Args:
        verdict: str, `EQUAL`, `WITHIN` or `DIFFERENT`.
        reasons: list of str, why it is not equal.
        scores: table of the test AUC of each model: dataset, model, committed, here, change, verdict.
    """

    verdict: str
    reasons: list[str] = field(default_factory=list)
    scores: pd.DataFrame = field(default_factory=pd.DataFrame)


def verify(revision: str) -> Verification:
    """Compare the metrics in this folder with those of a commit.

    Args:
        revision: str, of Git, or the name of an experiment.

    Raises:
        ChestTransferError: there is no such revision, or the metrics here are not of the settings here.
    """
    commit = revision_named(revision)
    files = git("ls-tree", "-r", "--name-only", commit, "--", "metrics", "params.yaml").splitlines()
    if "params.yaml" not in files or not any(path.startswith("metrics/detail/") for path in files):
        raise ChestTransferError(
            f"revision '{revision}' has no params.yaml, or no metrics; see: git log --all -- metrics"
        )
    settings = read_settings()
    check_results(settings)
    lock = (committed_file("dvc.lock", commit) or b"").decode(errors="replace")
    committed = {path: committed_file(path, commit) or b"" for path in files}
    changed = changed_settings_of([parse_yaml(committed.pop("params.yaml").decode()), read_yaml("params.yaml")])
    if changed:
        words = ", ".join(f"{key} is {values[1]!r} (there: {values[0]!r})" for key, values in changed.items())
        return Verification(DIFFERENT, [f"the settings differ: {words}"])
    if all(Path(path).is_file() and Path(path).read_bytes() == content for path, content in committed.items()):
        return Verification(EQUAL)
    reasons = ["the code differs"] * (_code_of(parse_lock(lock)) != _code_of(read_lock()))
    reasons += [
        f"{path} differs, which depends on the radiographs alone"
        for name in settings.datasets
        if not _is_same(path := f"metrics/data/{name}.json", committed)
    ]
    details = {name: _both(f"metrics/detail/{name}.json", committed) for name in settings.datasets}
    scores = pd.DataFrame([row for name, both in details.items() for row in _compared(name, *both)])
    machines = set().union(*(_machines(there) for there, _ in details.values()))
    here = set().union(*(_machines(here) for _, here in details.values())) or {machine()}
    if machines and machines == here:
        reasons.append(
            f"both were made on {'; '.join(here)}, where they are equal to the byte, "
            "unless pretrained weights or features came from another machine"
        )
    is_different = bool(reasons) or (scores["verdict"] == DIFFERENT).any()
    if machines != here:
        reasons.append(f"made on {' and '.join(sorted(here))}; there on {' and '.join(sorted(machines)) or 'unknown'}")
    return Verification(DIFFERENT if is_different else WITHIN, reasons, scores)


def _code_of(lock: dict) -> dict[str, str]:
    """Return the fingerprints of the code that data, models and scores come from."""
    deps = (dep for stage in lock["stages"].values() for dep in stage.get("deps", []))
    return {
        dep["path"]: dep["md5"] for dep in deps if dep["path"].startswith("data/code/") and "report" not in dep["path"]
    }


def _both(path: str, committed: dict[str, bytes]) -> tuple[dict, dict]:
    if path not in committed:
        raise ChestTransferError(f"the commit has no {path}; name one with the results of this version")
    return json.loads(committed[path]), json.loads(Path(path).read_text())


def _is_same(path: str, committed: dict[str, bytes]) -> bool:
    """Return whether all numbers of two files are equal up to rounding, and everything else equal."""
    there, here = (pd.json_normalize(content, sep="/") for content in _both(path, committed))
    if list(there) != list(here):
        return False
    return all(
        abs(one - other) <= ROUNDING if isinstance(one, float) and isinstance(other, float) else one == other
        for one, other in zip(there.iloc[0], here.iloc[0], strict=True)
    )


def _compared(dataset: str, there: dict, here: dict) -> list[dict]:
    rows = []
    for regime in {**there, **here}:
        for start in {**there.get(regime, {}), **here.get(regime, {})}:
            records = [side.get(regime, {}).get(start, {}) for side in (there, here)]
            values = [record.get("auc") for record in records]
            change = None if None in values else values[1] - values[0]
            rows.append(
                {"dataset": dataset, "model": f"{regime} {start}", "committed": values[0], "here": values[1],
                 "change": change, "interval of the commit": _interval(records[0]), "verdict": _verdict(*records)}
            )  # fmt: skip
    return rows


def _interval(record: dict) -> str:
    return "none" if record.get("auc_low") is None else f"{record['auc_low']:.3f} to {record['auc_high']:.3f}"


def _verdict(there: dict, here: dict) -> str:
    if not there or not here:
        return DIFFERENT
    if _scores(there) == _scores(here):
        return EQUAL
    if there.get("auc_low") is None or here.get("auc") is None:
        return WITHIN if there.get("auc") == here.get("auc") else DIFFERENT
    return WITHIN if there["auc_low"] <= here["auc"] <= there["auc_high"] else DIFFERENT


def _scores(record: dict) -> dict:
    """Return a record without what names machines."""
    return {key: value for key, value in record.items() if key not in ("fits", "machine")}


def _machines(detail: dict) -> set[str]:
    """Return the kinds of machine on which the fits of a dataset were trained, as far as they are recorded."""
    fits = (fit for rows in detail.values() for record in rows.values() for fit in record.get("fits", {}).values())
    return {fit["machine"] for fit in fits if fit.get("machine")}


def verification_text(result: Verification, revision: str) -> str:
    """Return a verification to print."""
    lines = [f"The results here are {result.verdict} compared with {revision}."]
    if result.verdict == EQUAL:
        lines = [f"The results here are {EQUAL} those of {revision}."]
    lines += [f"- {reason}" for reason in result.reasons]
    if len(result.scores):
        table = result.scores.to_string(index=False, float_format="{:.3f}".format)
        lines += ["", "Test AUC:", table]
        lines += ["", "Sensitivity and specificity can move further, because a threshold moves with the scores."]
    return "\n".join(lines)
