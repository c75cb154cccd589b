"""Where the radiographs of each dataset come from, as a record that changes when they do.

DVC cannot depend on paths that settings name, so one stage looks at them whenever an experiment is run.
"""

import hashlib
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from chest_transfer.data.archive_packing import files_below
from chest_transfer.data.archives import is_hidden
from chest_transfer.data.catalog import POOL, dataset_named, source_of
from chest_transfer.data.downloads import cache_folder, local_archive, sha256_of
from chest_transfer.data.public_sets import public_sets
from chest_transfer.files import write_json
from chest_transfer.git import committed_file
from chest_transfer.yaml_files import parse_yaml

if TYPE_CHECKING:
    from chest_transfer.settings import Settings

MISSING = "missing"  # the content of a path that does not exist
_PATHS = ("images", "table")  # settings of one's own datasets that say where, not how
# A file that was changed in the same tick of the clock as it was hashed may change again without a later time.
_SETTLED = 2 * 10**9  # nanoseconds


def source_record(name: str, settings: "Settings", previous: dict) -> dict:
    """Return what the archive of a dataset is made of, JSON; equal where its content and its settings are.

    It has no paths and no names of files, so a folder may be moved, and another machine have it elsewhere. Where the
    files are not on this machine, the last record of them counts.

    Args:
        name: str, of the dataset.
        settings: Settings. The splits of a pool follow from them, too, and so does its record.
        previous: dict, the last record; empty where there is none.
    """
    source = source_of(name, settings)
    if source == POOL:
        last = {member["dataset"]: member for member in previous.get("pool", [])}
        members = [
            {"dataset": member} | source_record(member, settings, last.get(member, {}))
            for member in settings.pools[name]
        ]
        return {"pool": members, "preprocess": settings.preprocess.model_dump()}
    if source == "own":
        entry = settings.own[name]
        paths = [Path(path).expanduser() for path in (entry.images, entry.table) if path]
        described = {"own": entry.model_dump(mode="json", exclude=set(_PATHS), exclude_defaults=True)}
        return described | _content(name, paths, settings, previous)
    entry = public_sets().get(name)
    described = {"table": entry.model_dump(mode="json", exclude_defaults=True)} if entry else {}
    if source == "phantom":
        return {"source": source, "phantom": settings.phantom.model_dump()} | described
    if source == "kaggle":
        return {"source": source}
    path = Path(source).expanduser()
    return (
        {"source": "files"} | described | _content(name, [local_archive(dataset_named(name), path)], settings, previous)
    )


def _content(name: str, paths: list[Path], settings: "Settings", previous: dict) -> dict:
    """Return how many files there are, how many bytes, and a hash of them all.

    Where there are none, the stage that reads them says so, and those of other datasets go on.
    """
    if missing := next((path for path in paths if not path.exists()), None):
        if previous.get("content", MISSING) != MISSING and _are_committed(name, settings):
            print(f"{name}: '{missing}' is not on this machine; its last content counts", flush=True)
            return {key: previous[key] for key in ("files", "bytes", "content")}
        return {"files": 0, "bytes": 0, "content": MISSING}
    files = {f"{number}/{inside}": file for number, path in enumerate(paths) for inside, file in _files_at(path)}
    digests = _digests(files.values(), cache_folder() / "fingerprints" / f"{_key(paths)}.json")
    listing = "".join(f"{inside} {digests[file]}\n" for inside, file in files.items())
    content = hashlib.sha256(listing.encode(errors="surrogateescape"))
    size = sum(file.stat().st_size for file in files.values())
    return {"files": len(files), "bytes": size, "content": content.hexdigest()}


def _are_committed(name: str, settings: "Settings") -> bool:
    """Return whether the paths of a dataset are those of the last commit: one that is mistyped is not believed."""
    content = parse_yaml(committed_file("params.yaml", "HEAD") or b"") or {}
    if name in settings.own:
        committed, entry = (content.get("own") or {}).get(name) or {}, settings.own[name]
        return all(committed.get(key) == getattr(entry, key) for key in _PATHS)
    return (content.get("sources") or {}).get(name, content.get("source")) == source_of(name, settings)


def _files_at(path: Path) -> Iterable[tuple[str, Path]]:
    if path.is_file():
        return [("", path)]
    inside = ((file.relative_to(path).as_posix(), file) for file in files_below(path))
    return [(name, file) for name, file in inside if not is_hidden(name)]


def _key(paths: list[Path]) -> str:
    return hashlib.sha256("\n".join(str(path.resolve()) for path in paths).encode()).hexdigest()[:32]


def _digests(files: Iterable[Path], remembered: Path) -> dict[Path, str]:
    """Return the SHA-256 of each file; a file that is as large and as old as when it was last hashed is not read."""
    known = json.loads(remembered.read_text()) if remembered.exists() else {}
    digests, kept = {}, {}
    for file in files:
        status = file.stat()
        state = [status.st_size, status.st_mtime_ns, status.st_ino]
        entry = known.get(str(file))
        if entry is None or entry[:-1] != state:
            entry = [*state, sha256_of(file)]
        digests[file] = entry[-1]
        if time.time_ns() - status.st_mtime_ns > _SETTLED:
            kept[str(file)] = entry
    if kept != known:
        write_json(remembered, kept)
    return digests
