"""Mending: what a kill or a power cut leaves half-written of DVC's own files; results come back from its cache.

DVC writes dvc.lock and its table of running stages in place, so a kill at that moment cuts them short, and every later
command refuses them.
"""

import json
import re
import subprocess
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

HASH = re.compile(r"[0-9a-f]{32}(\.dir)?")
LOCK, RUNNING = Path("dvc.lock"), Path(".dvc/tmp/rwlock")


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


def _whole_lock() -> bool:
    """Whether it can be read, and each hash in it is one."""
    try:
        content = YAML(typ="safe", pure=True).load(LOCK.read_text())
        stages = content["stages"].values()
        hashes = [file["md5"] for stage in stages for kind in ("deps", "outs") for file in stage.get(kind, [])]
        return content["schema"] == "2.0" and all(HASH.fullmatch(md5) for md5 in hashes)
    except (YAMLError, KeyError, TypeError, AttributeError, UnicodeDecodeError):
        return False


def _whole_table() -> bool:
    try:
        return isinstance(json.loads(RUNNING.read_text()), dict)
    except ValueError:
        return False
