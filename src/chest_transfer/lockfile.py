"""dvc.lock: the hashes of the dependencies and outputs of each stage."""

import json
from pathlib import Path

from chest_transfer.files import write_text
from chest_transfer.yaml_files import dump_yaml, parse_yaml

LOCK = Path("dvc.lock")
CACHE = Path(".dvc/cache/files/md5")  # DVC's, where no other is configured


def parse_lock(text: str) -> dict:
    """Parse the text of a dvc.lock. An empty one has no stages."""
    return parse_yaml(text) or {"schema": "2.0", "stages": {}}


def locked_outputs(content: dict) -> list[dict]:
    """Return all outputs in a dvc.lock, each with its `path` and `md5`, in the order of stages."""
    return [out for stage in content["stages"].values() for out in stage.get("outs", [])]


def folder_listing(md5: str) -> dict[str, str] | None:
    """Return the MD5 of each file of a folder by its path in it; None where the cache does not have the folder."""
    file = CACHE / md5[:2] / md5[2:]
    if not file.exists():
        return None
    return {entry["relpath"]: entry["md5"] for entry in json.loads(file.read_text())}


def read_lock(folder: Path = Path()) -> dict:
    """Read the dvc.lock in `folder`. A missing one has no stages."""
    path = folder / LOCK
    return parse_lock(path.read_text() if path.exists() else "")


def write_lock(content: dict, folder: Path = Path()) -> None:
    """Replace the dvc.lock in `folder`."""
    write_text(folder / LOCK, dump_yaml(content))
