"""Whether results belong to the settings beside them: dvc.lock records what each stage ran with."""

from itertools import islice, product
from pathlib import PurePosixPath

from chest_transfer.lockfile import folder_listing, folder_md5
from chest_transfer.model_names import ALL_PATIENTS, NOT_FITTED, REGIMES, TRANSFERRED, WITHOUT_NETWORK

WRITTEN_BY_STAGES = (
    "data/arrays/",
    "data/features/",
    "data/fingerprints/",
    "data/predictions/",
    "data/random_features/",
    "data/raw/",
    "models/",
)
_MOST_COMBINATIONS = 64  # of writers, where several stages in dvc.lock wrote the same outputs


def why_stale(lock: dict, params: dict, stage: str, found: dict[str, str | None]) -> str:
    """Return why what a stage wrote does not belong to some settings, in a few words; empty where it does.

    The stages behind it must have run with these settings, and after one another: what a stage read must be what the
    stage before it wrote.

    Args:
        lock: content of dvc.lock.
        params: content of params.yaml.
        stage: str, such as `evaluate@pneumonia`.
        found: MD5 of the stage's outputs that are read, by path, as they are; None where there is none.
    """
    stages = lock["stages"]
    if stage not in stages or None in found.values():
        return f"{stage} has not been run"
    written = {out["path"]: out.get("md5") for out in stages[stage].get("outs", [])}
    for path, md5 in found.items():
        if md5 != written.get(path):
            return f"{path} is not what {stage} wrote"
    return _Records(stages, params).why_stale(stage)


class _Records:
    """The stages of a dvc.lock, and why each is not of some settings."""

    def __init__(self, stages: dict, params: dict):
        self._stages, self._params, self._reasons = stages, params, {}
        self._writers_of: dict[str, list[tuple[str, dict]]] = {}  # several, where a stage was renamed
        for name, entry in stages.items():
            for out in entry.get("outs", []):
                self._writers_of.setdefault(out["path"], []).append((name, out))

    def why_stale(self, name: str) -> str:
        if name not in self._reasons:
            self._reasons[name] = ""  # while it is looked into, should a damaged dvc.lock have a circle
            self._reasons[name] = self._find_reason(name)
        return self._reasons[name]

    def _find_reason(self, name: str) -> str:
        if reason := _changed_setting(self._stages[name], self._params):
            return f"{name} ran with {reason}"
        reasons = (self._why_dep_is_stale(name, dep) for dep in self._stages[name].get("deps", []))
        return next(filter(None, reasons), "")

    def _why_dep_is_stale(self, name: str, dep: dict) -> str:
        parts = _expected_parts(dep["path"], self._params)
        if missing := [part for part in parts if part not in self._writers_of]:
            return f"there is no {PurePosixPath(missing[0]).stem} in dvc.lock"
        paths = parts or [path for path in self._writers_of if _overlap(path, dep["path"])]
        if not paths:
            is_missing = dep["path"].startswith(WRITTEN_BY_STAGES)
            return f"the stage that writes {dep['path']} has not been run" if is_missing else ""
        reason = f"{name} read another version of {dep['path']}"
        for writers in islice(product(*(self._current_first(path) for path in paths)), _MOST_COMBINATIONS):
            if _is_what_was_written(dep, [out for _, out in writers]):
                reason = next(filter(None, (self.why_stale(writer) for writer, _ in writers)), "")
                if not reason:
                    return ""
        return reason

    def _current_first(self, path: str) -> list[tuple[str, dict]]:
        """Return the stages that wrote a path, those first that are of the settings."""
        writers = self._writers_of[path]
        if len(writers) == 1:
            return writers
        return sorted(writers, key=lambda writer: bool(self.why_stale(writer[0])))


def _expected_parts(folder: str, params: dict) -> list[str]:
    """Return the outputs that settings ask for in a folder to which several stages write; none for another folder."""
    if folder == "data/fingerprints":
        return [f"{folder}/{dataset}.npz" for dataset in params.get("datasets") or []]
    if folder == f"models/pretrained/{params.get('model')}":
        return [f"{folder}/{weights}.keras" for weights in params.get("weights") or []]
    for root, suffix in (("data/predictions/", ""), ("models/", ".keras")):
        dataset, _, backbone = folder.removeprefix(root).partition("/")
        if folder.startswith(root) and backbone and backbone == params.get("model"):
            keys = _model_keys(params, dataset)
            has_part = [key for key in keys if not suffix or key.split("-")[0] not in WITHOUT_NETWORK]
            return [f"{folder}/{key}{suffix}" for key in has_part]
    return []


def _model_keys(params: dict, dataset: str) -> list[str]:
    """Return the models of a dataset that settings ask for, without a schema, which older commits may not match."""
    sections = {"probe": params, "finetune": params.get("finetune") or {}, "train": params.get("train") or {}}
    keys = [(regime, start) for regime in REGIMES[:3] for start in sections[regime].get("weights") or []]
    transfer = params.get("transfer") or {}
    if transfer.get("target") == dataset:
        keys += [(regime, source) for source in transfer.get("sources") or [] for regime in TRANSFERRED]
    if "seeds" not in params:  # before seeds and numbers of patients were part of the name
        return [f"{regime}-{start}" for regime, start in keys]
    return [
        f"{regime}-{start}-seed{seed}-{patients}"
        for regime, start in keys
        for seed in params["seeds"]
        for patients in ([ALL_PATIENTS] if regime in NOT_FITTED else params.get("patients") or [])
    ]


def _changed_setting(entry: dict, params: dict) -> str:
    for key, recorded in (entry.get("params") or {}).get("params.yaml", {}).items():
        value = params
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        value, recorded = _with_text_keys(value), _with_text_keys(recorded)
        if value != recorded:
            if isinstance(value, dict) and isinstance(recorded, dict):
                names = [name for name in {**value, **recorded} if value.get(name) != recorded.get(name)]
                key = ".".join([key, *names[:1]])
            return f"another value of {key}"
    return ""


def _with_text_keys(value):
    """Return nested dicts with text for keys, as JSON has them."""
    return {str(key): _with_text_keys(entry) for key, entry in value.items()} if isinstance(value, dict) else value


def _overlap(path: str, other: str) -> bool:
    return PurePosixPath(path).is_relative_to(other) or PurePosixPath(other).is_relative_to(path)


def _is_what_was_written(dep: dict, outs: list[dict]) -> bool:
    """Return whether a dependency is what was written, as far as can be known.

    By hash; of a file in a folder by the folder's listing, where the cache has it; of a folder of several outputs by
    the hash of all, or by their size where the listing of one is not in the cache.
    """
    if outs[0]["path"] == dep["path"]:
        return outs[0].get("md5") == dep.get("md5")
    if PurePosixPath(dep["path"]).is_relative_to(outs[0]["path"]):
        listing = folder_listing(outs[0].get("md5", ""))
        inside = PurePosixPath(dep["path"]).relative_to(outs[0]["path"]).as_posix()
        return listing is None or listing.get(inside) == dep.get("md5")
    files = {}
    for out in outs:
        relative = PurePosixPath(out["path"]).relative_to(dep["path"]).as_posix()
        listing = folder_listing(out["md5"]) if out["md5"].endswith(".dir") else {"": out["md5"]}
        if listing is None:
            size, count = sum(out.get("size", 0) for out in outs), sum(out.get("nfiles", 1) for out in outs)
            return (size, count) == (dep.get("size", 0), dep.get("nfiles", 1))
        files |= {f"{relative}/{name}".rstrip("/"): md5 for name, md5 in listing.items()}
    return folder_md5(files) == dep.get("md5")
