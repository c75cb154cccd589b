"""Whether results belong to the settings beside them: dvc.lock records what each stage ran with."""

import hashlib
from pathlib import PurePosixPath

from chest_transfer.lockfile import folder_listing
from chest_transfer.model_names import REGIMES, TRANSFERRED

_SUFFIX_OF = {"data/predictions": "", "models": ".keras"}  # of a model's output in these folders


def why_stale(lock: dict, params: dict, stage: str, files: dict[str, bytes | None]) -> str:
    """Return why what a stage wrote does not belong to some settings, in a few words; empty where it does.

    The stages behind it must have run with these settings, and after one another: what a stage read must be what the
    stage before it wrote.

    Args:
        lock: content of dvc.lock.
        params: content of params.yaml.
        stage: str, such as `evaluate@pneumonia`.
        files: bytes of the stage's outputs that are read, by path; None where there is none.
    """
    stages = lock["stages"]
    if stage not in stages or None in files.values():
        return f"{stage} has not been run"
    written = {out["path"]: out.get("md5") for out in stages[stage].get("outs", [])}
    for path, content in files.items():
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != written.get(path):
            return f"{path} is not what {stage} wrote"
    models = _models_read(stages[stage], params)
    writer_of = {out["path"]: name for name, entry in stages.items() for out in entry.get("outs", [])}
    if missing := sorted(models - writer_of.keys()):
        return f"{PurePosixPath(missing[0]).stem} has not been run"
    visited, waiting = set(), [stage]
    while waiting:
        name = waiting.pop()
        if name in visited:
            continue
        visited.add(name)
        if reason := _changed_setting(stages[name], params):
            return f"{name} ran with {reason}"
        for dep in stages[name].get("deps", []):
            inside = [path for path in models if name == stage and PurePosixPath(path).is_relative_to(dep["path"])]
            outs = inside or [path for path in writer_of if _overlap(path, dep["path"])]
            if reason := _changed_file(dep, [_out(stages[writer_of[path]], path) for path in outs]):
                return f"{reason} after {name}"
            waiting += [writer_of[path] for path in outs]
    return ""


def _models_read(entry: dict, params: dict) -> set[str]:
    """Return the outputs of the models of an experiment, in those folders of models that a stage depends on."""
    backbone, paths = params.get("model"), set()
    for dep in entry.get("deps", []):
        root, _, dataset = dep["path"].removesuffix(f"/{backbone}").rpartition("/")
        if root in _SUFFIX_OF and dep["path"].count("/") == root.count("/") + 2:
            keys = _model_keys(params, dataset)
            paths |= {f"{root}/{dataset}/{backbone}/{key}{_SUFFIX_OF[root]}" for key in keys}
    return paths


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
            return f"a different {key}"
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
            listing = folder_listing(out.get("md5", ""))
            inside = PurePosixPath(dep["path"]).relative_to(out["path"]).as_posix()
            if listing is not None and listing.get(inside) != dep.get("md5"):
                return f"{dep['path']} changed"
    if len(outs) == 1 and outs[0]["path"] == dep["path"]:
        return f"{dep['path']} changed" if outs[0].get("md5") != dep.get("md5") else ""
    are_parts = outs and all(PurePosixPath(out["path"]).is_relative_to(dep["path"]) for out in outs)
    files, size = sum(out.get("nfiles", 1) for out in outs), sum(out.get("size", 0) for out in outs)
    if are_parts and (files, size) != (dep.get("nfiles", 1), dep.get("size", 0)):
        return f"{dep['path']} changed"
    return ""
