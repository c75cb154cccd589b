"""Whether results in a folder are of the settings beside them, as far as dvc.lock says."""

from pathlib import Path

from chest_transfer.errors import ChestTransferError
from chest_transfer.lockfile import output_md5, read_lock
from chest_transfer.reporting.cautions import Caution
from chest_transfer.reporting.staleness import why_stale
from chest_transfer.settings import Settings
from chest_transfer.yaml_files import read_yaml


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
        paths = [f"metrics/detail/{name}.json", f"metrics/gain/{name}.json"]
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
