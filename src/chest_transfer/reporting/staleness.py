"""Whether tracked metrics were computed with the settings beside them: dvc.lock tells what each stage ran with."""

import hashlib
from pathlib import PurePosixPath

from chest_transfer.lockfile import folder_listing
from chest_transfer.model_names import REGIMES, TRANSFERRED


def why_stale(lock: dict, params: dict, dataset: str, metrics: bytes | None) -> str:
    """Return why the metrics of a dataset do not belong to some settings, in a few words; empty where they do.

    The stages behind them must have run with these settings, and after one another: what a stage read must be what the
    stage before it wrote.

    Args:
        lock: content of dvc.lock.
        params: content of params.yaml.
        dataset: str.
        metrics: bytes of `metrics/<dataset>.json`; None where there is none.
    """
    stages, name = lock["stages"], f"evaluate@{dataset}"
    if name not in stages or metrics is None:
        return f"{name} has not been run"
    written = next(out for out in stages[name]["outs"] if out["path"] == f"metrics/{dataset}.json")
    if hashlib.md5(metrics, usedforsecurity=False).hexdigest() != written["md5"]:
        return f"metrics/{dataset}.json is not what {name} wrote"
    expected = {f"data/predictions/{dataset}/{params.get('model')}/{key}" for key in _model_keys(params, dataset)}
    writer_of = {out["path"]: stage for stage, entry in stages.items() for out in entry.get("outs", [])}
    if missing := sorted(expected - writer_of.keys()):
        return f"{PurePosixPath(missing[0]).name} has not been run"
    visited, waiting = set(), [name]
    while waiting:
        stage = waiting.pop()
        if stage in visited:
            continue
        visited.add(stage)
        if reason := _changed_setting(stages[stage], params):
            return f"{stage} ran with {reason}"
        for dep in stages[stage].get("deps", []):
            inside = [path for path in expected if PurePosixPath(path).is_relative_to(dep["path"])]
            outs = inside if stage == name and inside else [path for path in writer_of if _overlap(path, dep["path"])]
            if reason := _changed_file(dep, [_out(stages[writer_of[path]], path) for path in outs]):
                return f"{reason} after {stage}"
            waiting += [writer_of[path] for path in outs]
    return ""


def _model_keys(params: dict, dataset: str) -> list[str]:
    """Return the models of a dataset that settings ask for, without a schema, which older commits may not match."""
    sections = {"probe": params, "finetune": params.get("finetune") or {}, "train": params.get("train") or {}}
    keys = [f"{regime}-{start}" for regime in REGIMES[:3] for start in sections[regime].get("weights") or []]
    transfer = params.get("transfer") or {}
    if transfer.get("target") == dataset:
        keys += [f"{regime}-{source}" for source in transfer.get("sources") or [] for regime in TRANSFERRED]
    return keys


def _changed_setting(entry: dict, params: dict) -> str:
    for key, recorded in (entry.get("params") or {}).get("params.yaml", {}).items():
        value = params
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value != recorded:
            if isinstance(value, dict) and isinstance(recorded, dict):
                name = next(name for name in {**value, **recorded} if value.get(name) != recorded.get(name))
                key = f"{key}.{name}"
            return f"another {key}"
    return ""


def _overlap(path: str, other: str) -> bool:
    return PurePosixPath(path).is_relative_to(other) or PurePosixPath(other).is_relative_to(path)


def _out(entry: dict, path: str) -> dict:
    return next(out for out in entry["outs"] if out["path"] == path)


def _changed_file(dep: dict, outs: list[dict]) -> str:
    """Return what a stage read that is not what was written.

    By hash; of a file in a folder by the folder's listing, where the cache has it; of a folder of several outputs by
    size.
    """
    for out in outs:
        if dep["path"] != out["path"] and PurePosixPath(dep["path"]).is_relative_to(out["path"]):
            listing = folder_listing(out["md5"])
            inside = PurePosixPath(dep["path"]).relative_to(out["path"]).as_posix()
            if listing is not None and listing.get(inside) != dep["md5"]:
                return f"{dep['path']} changed"
    if len(outs) == 1 and outs[0]["path"] == dep["path"]:
        return f"{dep['path']} changed" if outs[0]["md5"] != dep["md5"] else ""
    are_parts = outs and all(PurePosixPath(out["path"]).is_relative_to(dep["path"]) for out in outs)
    if are_parts and any(sum(out.get(key, 0) for out in outs) != dep.get(key, 0) for key in ("size", "nfiles")):
        return f"{dep['path']} changed"
    return ""
