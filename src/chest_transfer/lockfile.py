"""dvc.lock: the hashes of the dependencies and outputs of each stage."""

import json
import re
from pathlib import Path

from chest_transfer.errors import ChestTransferError
from chest_transfer.files import write_text
from chest_transfer.yaml_files import YAMLError, dump_yaml, parse_yaml

LOCK = Path("dvc.lock")
MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
_EMPTY = {"schema": "2.0", "stages": {}}


def parse_lock(text: str, place: str = str(LOCK)) -> dict:
    """Parse the text of a dvc.lock. An empty one has no stages.

    Args:
        text: str.
        place: str, what to call it in the error.

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
        raise ChestTransferError(f"{place} cannot be read; run: chest-transfer mend")
    return content


def cache_folder() -> Path:
    """Return the folder of DVC's cache in which files lie by their MD5."""
    from dvc.config import Config  # late: stages do not need it

    configured = Config(dvc_dir=str(Path(".dvc").resolve())).get("cache", {}).get("dir")
    return Path(configured or ".dvc/cache") / "files/md5"


def locked_outputs(content: dict) -> list[dict]:
    """Return all outputs in a dvc.lock, each with its `path` and `md5`, in the order of stages."""
    return [out for stage in content["stages"].values() for out in stage.get("outs", [])]


def folder_listing(md5: str) -> dict[str, str] | None:
    """Return the MD5 of each file of a folder by its path in it; None where the cache does not have the folder."""
    file = cache_folder() / md5[:2] / md5[2:]
    if not file.is_file():
        return None
    return {entry["relpath"]: entry["md5"] for entry in json.loads(file.read_text())}


def read_lock(folder: Path = Path()) -> dict:
    """Read the dvc.lock in `folder`. A missing one has no stages; raises as `parse_lock`."""
    path = folder / LOCK
    return parse_lock(path.read_text(errors="replace") if path.exists() else "", str(path))


def write_lock(content: dict, folder: Path = Path()) -> None:
    """Replace the dvc.lock in `folder`."""
    write_text(folder / LOCK, dump_yaml(content))
