"""What DVC stores for a repository's commits, by their dvc.lock: listed, pushed, or cleared of everything else.

`dvc gc` and `dvc push --all-commits` go by the stages that the params.yaml of each commit names. dvc.lock lists more:
every backbone that was ever run, so that a fresh clone pulls its models instead of training them. `dvc gc` deletes
those, and `dvc push --all-commits` leaves them behind.
"""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chest_transfer.errors import ChestTransferError
from chest_transfer.git import git
from chest_transfer.lockfile import LOCK, locked_outputs, parse_lock
from chest_transfer.mending import CONFLICT, CONFLICT_END, side_of_conflict


@dataclass(frozen=True)
class StoredOutput:
    """One version of an output.

    Args:
        path: str.
        md5: str, as dvc.lock has it; ends with `.dir` for a folder.
        size: int, bytes.
        is_here: bool, whether it is in the cache of this repository, a folder with all of its files.
    """

    path: str
    md5: str
    size: int
    is_here: bool


def stored_outputs() -> list[StoredOutput]:
    """Return every version of every cached output that a dvc.lock of any commit, experiment or this folder lists.

    Raises:
        ChestTransferError: not a Git and DVC repository.
    """
    sizes = {}
    for content in _locks():
        for out in locked_outputs(content):
            if "md5" in out:
                sizes[out["path"], out["md5"]] = out.get("size", 0)
    with _repository() as repository:
        cache = repository.cache.local
        return [StoredOutput(*key, sizes[key], _is_complete(cache, key[1])) for key in sorted(sizes)]


def collect(execute: bool) -> int:
    """Remove from the cache what no dvc.lock lists; returns how many files those are, also if they are only counted.

    Raises:
        ChestTransferError: it cannot be known what is listed: the clone is shallow, the cache is shared with other
            projects, or the listing of a folder is not here.
    """
    from dvc_data.hashfile.gc import gc

    if git("rev-parse", "--is-shallow-repository") == "true":
        raise ChestTransferError("this clone is shallow, so older commits are unknown; run: git fetch --unshallow")
    with _repository() as repository, repository.lock:
        cache = repository.cache.local
        if not Path(cache.path).resolve().is_relative_to(Path.cwd().resolve()):
            raise ChestTransferError(f"the cache '{cache.path}' may be shared with other projects; nothing was done")
        outputs = stored_outputs()
        used = _hash_infos(outputs)
        for folder in [output for output in used if output.isdir]:
            if not cache.exists(folder.value):
                path = next(output.path for output in outputs if output.md5 == folder.value)
                raise ChestTransferError(
                    f"the listing of the folder '{path}' ({folder.value[:8]}) is not in the cache, so its files are "
                    f"unknown; run: dvc fetch --all-commits, or from the commit that lists it: dvc fetch {path}"
                )
            used += _files_of(cache, folder)
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
        cache = repository.cache.local
        present += [file for folder in present if folder.isdir for file in _files_of(cache, folder)]
        try:
            lacking = len(repository.cloud.status(present, remote=remote).new)
            if execute and lacking:
                failed = repository.cloud.push(present, remote=remote).failed
                if failed:
                    raise ChestTransferError(f"{len(failed)} files could not be pushed; run it again")
        except DvcException as error:
            raise ChestTransferError(f"{' '.join(str(error).split())}; see: dvc remote list") from None
    return lacking, sum(not output.is_here for output in outputs)


def fetch_file(path: str, md5: str, inside: str, target: Path) -> None:
    """Copy one version of an output, or one file of a folder, out of the cache, or out of the default remote.

    By hash: DVC's own commands know an output by the stages of the current params.yaml only.

    Args:
        path: str, of the output, for errors.
        md5: str, as dvc.lock has it.
        inside: str, the path of the file in the folder; `.` where the output is a file.
        target: Path of the file to write.

    Raises:
        ChestTransferError: it is neither in the cache nor in the remote.
    """
    from dvc_data.hashfile.hash_info import HashInfo

    with _repository() as repository:
        cache = repository.cache.local

        def cached(wanted: str) -> str:
            if not cache.exists(wanted):
                repository.cloud.pull([HashInfo("md5", wanted)])
            if not cache.exists(wanted):
                raise FileNotFoundError("the remote does not have it, or cannot be reached")
            return cache.oid_to_path(wanted)

        try:
            file = cached(md5)
            if md5.endswith(".dir"):
                file_of = {"/".join(key): entry.value for key, entry in _files_in(cache, HashInfo("md5", md5))}
                file = cached(file_of[inside])
            shutil.copyfile(file, target)
        except Exception as error:  # of whatever client a remote has
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ChestTransferError(
                f"'{path}' is neither here nor in DVC's cache or remote ({reason}); "
                "see: dvc remote list, or run: dvc repro"
            ) from None


def _locks() -> Iterator[dict]:
    """Yield each version of dvc.lock once: of all commits that Git still knows, of its index, and of this folder.

    Branches, tags, experiments, stashes and what the reflog has: amended commits, and the queue of DVC, of which all
    experiments but the newest are in the reflog alone. Also those of other folders, for projects that were moved.
    """
    history = git(
        "log", "--all", "--reflog", "--full-history", "-m", "--root", "--raw", "--no-abbrev", "--format=", "--",
        f":(top,glob)**/{LOCK}",
    )  # fmt: skip
    blobs = {line.split()[3] for line in history.splitlines() if line.startswith(":")}
    blobs |= {line.split()[1] for line in git("ls-files", "--stage", "--", str(LOCK)).splitlines()}
    for blob in sorted(blobs):
        if blob.strip("0"):
            yield from _parsed(
                git("cat-file", "blob", blob) + "\n",
                f"the dvc.lock in Git's object {blob[:10]}",
                "see: git log -- dvc.lock",
            )
    for lock in (LOCK, *Path(".dvc/tmp/exps").glob(f"**/{LOCK}")):  # those of experiments that are running
        if lock.exists():
            remedy = "run: chest-transfer mend"
            if lock != LOCK:
                remedy = "wait for the experiment, or remove that folder if none is running"
            text = lock.read_text(errors="replace")
            if not text.endswith("\n"):
                raise ChestTransferError(f"{lock} was cut short; {remedy}")
            yield from _parsed(text, str(lock), remedy)


def _parsed(text: str, place: str, remedy: str) -> Iterator[dict]:
    """Yield a dvc.lock, or both sides of one that was committed with a merge conflict."""
    has_conflict = CONFLICT in text and CONFLICT_END in text
    texts = [side_of_conflict(text, side) for side in ("ours", "theirs")] if has_conflict else [text]
    yield from (parse_lock(one, place, remedy) for one in texts)


@contextmanager
def _repository() -> Iterator:
    """Open the DVC repository of this folder.

    Raises:
        ChestTransferError: there is none, another process of DVC holds it, or its cache is damaged.
    """
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo
    from dvc_objects.errors import ObjectFormatError
    from scmrepo.exceptions import SCMError

    try:
        with Repo(str(Path.cwd())) as repository:
            if Path(repository.root_dir).resolve() != Path.cwd().resolve():
                raise ChestTransferError(
                    f"the project's folder is '{repository.root_dir}'; run from the project's folder"
                )
            yield repository
    except NotDvcRepoError:
        raise ChestTransferError("this folder is no DVC repository; run from the project's folder") from None
    except SCMError:
        raise ChestTransferError(
            "this folder is in no Git repository; run: git init, or: dvc config core.no_scm true"
        ) from None
    except ObjectFormatError:
        raise ChestTransferError(
            "a folder's listing in the cache is damaged; run: chest-transfer mend --bytes"
        ) from None
    except DvcException as error:
        raise ChestTransferError(f"{' '.join(str(error).split())}; see: dvc doctor") from None


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
    return [file for _, file in _files_in(cache, folder)]


def _files_in(cache, folder) -> list[tuple]:
    """Return the path in a folder, as a tuple, and the hash of each of its files."""
    from dvc_data.hashfile.tree import Tree

    return [(key, file) for key, (_, file) in Tree.load(cache, folder).iteritems()]
