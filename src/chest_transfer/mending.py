"""Mending: what a kill leaves half-written of DVC's own files, and what a disk damaged; results are had again.

DVC writes dvc.lock and its table of running stages in place, so a kill at that moment cuts them short, and every later
command refuses them.
"""

import hashlib
import json
import re
import subprocess
from pathlib import Path

from ruamel.yaml.error import YAMLError

from chest_transfer.lockfile import LOCK, made, parsed, read_lock

HASH = re.compile(r"[0-9a-f]{32}(\.dir)?")
RUNNING, CACHE = Path(".dvc/tmp/rwlock"), Path(".dvc/cache/files/md5")


def mend() -> list[str]:
    """Replace a broken dvc.lock by Git's, or remove it, and a broken table of running stages; what was done.

    `dvc repro` then takes from DVC's run cache what dvc.lock no longer tells of.
    """
    done = []
    if LOCK.exists() and not _whole_lock():
        kept = subprocess.run(["git", "show", f"HEAD:./{LOCK}"], capture_output=True, check=False)
        if kept.returncode == 0:
            LOCK.write_bytes(kept.stdout)
        else:
            LOCK.unlink()
        done.append(f"{LOCK} was cut short: {'the last commit has it whole' if LOCK.exists() else 'removed'}")
    if RUNNING.exists() and not _whole_table():
        RUNNING.unlink()
        done.append(f"{RUNNING} was cut short: removed")
    return done


def mend_bytes() -> list[str]:
    """Read every byte of DVC's cache and of the outputs here, and remove what is not what its hash says; what it was.

    DVC trusts the cache's write-protected files, and a file whose time and size are as before: a byte that a disk flips
    is never looked for. `dvc repro`, or `dvc pull`, then makes or fetches what is gone.
    """
    md5_of: dict[tuple[int, int], str] = {}  # by inode: what the cache and the workspace share is read once

    def md5(path: Path) -> str:
        status = path.stat()
        inode = status.st_dev, status.st_ino
        if inode not in md5_of:
            with path.open("rb") as content:
                md5_of[inode] = hashlib.file_digest(content, "md5").hexdigest()
        return md5_of[inode]

    objects = (path for path in sorted(CACHE.glob("??/*")) if path.is_file())
    damaged = [path for path in objects if md5(path) != (path.parent.name + path.name).removesuffix(".dir")]
    for out in made(read_lock()):
        if out["path"].startswith(("data/", "models/")):
            damaged += [path for path, expected in _files(out) if path.is_file() and md5(path) != expected]
    for path in damaged:
        path.unlink()
    return [f"{path} was damaged: removed" for path in damaged]


def _files(out: dict) -> list[tuple[Path, str]]:
    """The files of an output with their hashes; of a folder, those that the cache's list names."""
    if not out["md5"].endswith(".dir"):
        return [(Path(out["path"]), out["md5"])]
    listed = CACHE / out["md5"][:2] / out["md5"][2:]
    entries = json.loads(listed.read_text()) if listed.exists() else []
    return [(Path(out["path"], entry["relpath"]), entry["md5"]) for entry in entries]


def _whole_lock() -> bool:
    """Whether it can be read to its end, and each hash in it is one."""
    try:
        text = LOCK.read_text()
        content = parsed(text)
        stages = content["stages"].values()
        hashes = [file["md5"] for stage in stages for kind in ("deps", "outs") for file in stage.get(kind, [])]
        return text.endswith("\n") and content["schema"] == "2.0" and all(HASH.fullmatch(md5) for md5 in hashes)
    except (YAMLError, KeyError, TypeError, AttributeError, UnicodeDecodeError):
        return False


def _whole_table() -> bool:
    try:
        return isinstance(json.loads(RUNNING.read_text()), dict)
    except ValueError:
        return False
