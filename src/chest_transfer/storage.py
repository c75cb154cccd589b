"""What DVC stores for a repository's commits, by their dvc.lock: listed, pushed, or cleared of everything else.

`dvc gc` and `dvc push --all-commits` go by the stages that the params.yaml of each commit names. dvc.lock lists more:
every backbone that was ever run, so that a fresh clone pulls its models instead of training them. `dvc gc` deletes
those, and `dvc push --all-commits` leaves them behind.
"""

import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from chest_transfer.errors import ChestTransferError
from chest_transfer.lockfile import LOCK, locked_outputs, parse_lock
from chest_transfer.yaml_files import YAMLError


@dataclass(frozen=True)
class StoredOutput:
    """One version of an output.

    Args:
        path: str.
        md5: str, as dvc.lock has it; ends with `.dir` for a folder.
        size: int, bytes.
        commits: int, how many versions of dvc.lock list it.
        is_here: bool, whether it is in the cache of this repository, a folder with all of its files.
    """

    path: str
    md5: str
    size: int
    commits: int
    is_here: bool


def stored_outputs() -> list[StoredOutput]:
    """Return every version of every cached output that a dvc.lock of any commit, experiment or this folder lists.

    Raises:
        ChestTransferError: not a Git and DVC repository.
    """
    counts: dict[tuple[str, str], int] = {}
    sizes = {}
    for content in _locks():
        for out in locked_outputs(content):
            if out["path"].startswith(("data/", "models/")) and "md5" in out:  # metrics are in Git
                key = out["path"], out["md5"]
                counts[key], sizes[key] = counts.get(key, 0) + 1, out.get("size", 0)
    with _repository() as repository:
        cache = repository.cache.local
        here = {key: _is_complete(cache, key[1]) for key in counts}
    return [StoredOutput(*key, sizes[key], counts[key], here[key]) for key in sorted(counts)]


def collect(execute: bool) -> int:
    """Remove from the cache what no dvc.lock lists; returns how many files those are, also if they are only counted."""
    from dvc_data.hashfile.gc import gc

    used = _hash_infos(stored_outputs())
    with _repository() as repository:
        cache = repository.cache.local
        folders = [output for output in used if output.isdir and cache.exists(output.value)]
        used += [entry for folder in folders for entry in _files_of(cache, folder)]
        return gc(cache, used, dry=not execute)


def push(remote: str | None, execute: bool) -> tuple[int, int]:
    """Push what the remote lacks of everything that is listed and is here.

    Args:
        remote: str, of DVC; None for the default.
        execute: bool, whether to push, or only to count.

    Returns:
        How many files the remote lacks, and how many outputs cannot be pushed because they are not here.

    Raises:
        ChestTransferError: there is no such remote, or it cannot be reached.
    """
    from dvc.exceptions import DvcException

    outputs = stored_outputs()
    present = _hash_infos(output for output in outputs if output.is_here)
    with _repository() as repository:
        try:
            lacking = len(repository.cloud.status(present, remote=remote).new)
            if execute and lacking:
                failed = repository.cloud.push(present, remote=remote).failed
                if failed:
                    raise ChestTransferError(f"{len(failed)} files could not be pushed; run it again")
        except DvcException as error:
            raise ChestTransferError(f"{' '.join(str(error).split())}; see: dvc remote list") from None
    return lacking, sum(not output.is_here for output in outputs)


def _locks() -> Iterator[dict]:
    """Yield each version of dvc.lock once: of all branches, tags and experiments, and of this folder."""
    if LOCK.exists():
        yield parse_lock(LOCK.read_text())
    seen = set()
    for commit in _git("rev-list", "--all", "--", str(LOCK)).split():
        blob = subprocess.run(["git", "rev-parse", f"{commit}:./{LOCK}"], capture_output=True, text=True, check=False)
        if blob.returncode or blob.stdout in seen:  # a commit may have removed it
            continue
        seen.add(blob.stdout)
        try:
            yield parse_lock(_git("cat-file", "blob", blob.stdout.strip()))
        except YAMLError:
            raise ChestTransferError(
                f"dvc.lock of commit {commit[:7]} is not YAML, so it is not known what it lists; nothing was done"
            ) from None


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["git failed"])[-1]
        raise ChestTransferError(f"{reason}; run from the project's folder, in a Git repository")
    return done.stdout


def _repository():
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    try:
        return Repo(str(Path.cwd()))
    except NotDvcRepoError:
        raise ChestTransferError("this folder is no DVC repository; run from the project's folder") from None


def _hash_infos(outputs: Iterable[StoredOutput]) -> list:
    from dvc_data.hashfile.hash_info import HashInfo

    return [HashInfo("md5", md5) for md5 in sorted({output.md5 for output in outputs})]


def _is_complete(cache, md5: str) -> bool:
    from dvc_data.hashfile.hash_info import HashInfo

    if not cache.exists(md5):
        return False
    if not md5.endswith(".dir"):
        return True
    return all(cache.exists(entry.value) for entry in _files_of(cache, HashInfo("md5", md5)))


def _files_of(cache, folder) -> list:
    """Return the hash of each file of a folder in the cache, from the hash of the folder."""
    from dvc_data.hashfile.tree import Tree

    return [entry for _, (_, entry) in Tree.load(cache, folder).iteritems()]
