"""dvc.lock: the hashes of the dependencies and outputs of each stage."""

import hashlib
import json
import re
from functools import lru_cache
from pathlib import Path

from chest_transfer.errors import ChestTransferError
from chest_transfer.files import write_text
from chest_transfer.yaml_files import YAMLError, dump_yaml, parse_yaml

LOCK = Path("dvc.lock")
MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
_EMPTY = {"schema": "2.0", "stages": {}}


def parse_lock(text: str, place: str = str(LOCK), remedy: str = "run: chest-transfer mend") -> dict:
    """Parse the text of a dvc.lock. An empty one has no stages.

    Args:
        text: str.
        place: str, what to call it in the error.
        remedy: str, what helps.

    Raises:
        ChestTransferError: it is no YAML, was written by DVC 1, was cut short, or has a conflict of Git.
    """
    try:
        content = parse_yaml(text) or _EMPTY
        files = [
            file for stage in content["stages"].values() for kind in ("deps", "outs") for file in stage.get(kind, [])
        ]
        is_whole = content["schema"] == "2.0" and all(
            isinstance(file["path"], str) and MD5.fullmatch(file.get("md5", "0" * 32)) for file in files
        )
    except (YAMLError, KeyError, TypeError, AttributeError):
        is_whole = False
    if not is_whole:
        raise ChestTransferError(f"{place} cannot be read; {remedy}")
    return content


def cache_folder() -> Path:
    """Return the folder of DVC's cache in which files lie by their MD5."""
    return Path(_configured_cache(Path(".dvc").resolve()) or ".dvc/cache") / "files/md5"


@lru_cache  # a report looks it up for every folder that a stage read
def _configured_cache(dvc_folder: Path) -> str | None:
    from dvc.config import Config, ConfigError  # late: stages do not need it

    try:
        return Config(dvc_dir=str(dvc_folder)).get("cache", {}).get("dir")
    except ConfigError as error:
        raise ChestTransferError(f"{' '.join(str(error).split())}; correct .dvc/config") from None


def locked_outputs(content: dict) -> list[dict]:
    """Return all outputs in a dvc.lock, each with its `path` and `md5`, in the order of stages."""
    return [out for stage in content["stages"].values() for out in stage.get("outs", [])]


def folder_listing(md5: str) -> dict[str, str] | None:
    """Return the MD5 of each file of a folder by its path in it; None where the cache has no intact listing."""
    file = cache_folder() / md5[:2] / md5[2:]
    try:
        return {entry["relpath"]: entry["md5"] for entry in json.loads(file.read_text())}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def folder_md5(files: dict[str, str]) -> str:
    """Return the MD5 that DVC gives to a folder, from the MD5 of each file by its path in it."""
    listing = [{"md5": files[name], "relpath": name} for name in sorted(files)]
    return hashlib.md5(json.dumps(listing, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


def output_md5(path: Path) -> str | None:
    """Return the MD5 of a file or folder as DVC has it; None where there is none."""
    if path.is_dir():
        return folder_md5(
            {file.relative_to(path).as_posix(): file_md5(file) for file in path.rglob("*") if file.is_file()}
        )
    return file_md5(path) if path.is_file() else None


def file_md5(path: Path) -> str:
    """Return the MD5 of a file."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "md5").hexdigest()


def read_lock(folder: Path = Path()) -> dict:
    """Read the dvc.lock in `folder`. A missing one has no stages; raises as `parse_lock`."""
    path = folder / LOCK
    return parse_lock(path.read_text(errors="replace") if path.exists() else "", str(path))


def write_lock(content: dict, folder: Path = Path()) -> None:
    """Replace the dvc.lock in `folder`."""
    write_text(folder / LOCK, dump_yaml(content))


def is_recorded(lock: dict, path: Path) -> bool:
    """Return whether a file is here, and is what dvc.lock records; any is where it records no stage at all."""
    recorded = {out.get("md5") for out in locked_outputs(lock) if out["path"] == path.as_posix()}
    return path.is_file() and (not lock["stages"] or file_md5(path) in recorded)
