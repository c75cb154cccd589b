"""Mending: repair DVC's own files after a kill or a power cut, and remove files that the disk has damaged.

DVC writes dvc.lock and its table of running stages in place. A kill at that moment truncates them, and DVC then rejects
them in every later command.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from chest_transfer.errors import ChestTransferError
from chest_transfer.git import committed_file, git
from chest_transfer.lockfile import (
    LOCK,
    cache_folder,
    file_md5,
    folder_listing,
    locked_outputs,
    parse_lock,
    read_lock,
    write_lock,
)

CONFLICT = "<<<<<<< "
CONFLICT_END = ">>>>>>> "
CONFLICT_PARTS = {"<<<<<<<": "ours", "|||||||": "ancestor", "=======": "theirs", ">>>>>>>": "both"}
RUNNING_STAGES = Path(".dvc/tmp/rwlock")


def mend() -> list[str]:
    """Mend dvc.lock and DVC's table of running stages.

    A dvc.lock in which Git left a merge conflict gets the entries of both sides; a truncated one is replaced by the
    version in Git, or removed. A truncated table of running stages is removed.

    `dvc repro` then restores from DVC's run cache what is no longer in dvc.lock.

    Returns:
        List of strings, a sentence for each file that was mended.
    """
    repairs = []
    if LOCK.exists() and CONFLICT in LOCK.read_text(errors="replace"):
        with suppress(ChestTransferError):  # then it is restored from Git below
            repairs.append(_join_sides())
    if LOCK.exists() and not _is_intact(LOCK.read_bytes()):
        commit, committed = _last_intact_lock()
        if committed is not None:
            LOCK.write_bytes(committed)
            repairs.append(f"{LOCK} could not be read: restored from {commit}")
        else:
            LOCK.unlink()
            repairs.append(f"{LOCK} could not be read: removed")
    if RUNNING_STAGES.exists() and not _running_stages_are_intact():
        RUNNING_STAGES.unlink()
        repairs.append(f"{RUNNING_STAGES} was cut short: removed")
    return repairs


def _join_sides() -> str:
    """Write a dvc.lock with the stages of both sides of a merge conflict; of a stage on both, that of HEAD is kept.

    The sides are those that Git's index has: between the markers in the file, Git has already joined single lines, so
    that an entry may have settings that it never ran with. Without them (the conflict was committed), stages of which
    the sides differ are left out, and DVC runs them again.

    Raises:
        ChestTransferError: a side is no dvc.lock, or the conflict was cut short.
    """
    indexed = [committed_file(str(LOCK), f":{number}") for number in (2, 3)]
    is_open = None not in indexed
    if is_open:
        sides = [side.decode(errors="replace") for side in indexed]
    else:
        text = LOCK.read_text(errors="replace")
        if CONFLICT_END not in text:
            raise ChestTransferError("the conflict was cut short")
        sides = [side_of_conflict(text, side) for side in ("ours", "theirs")]
    ours, theirs = (parse_lock(side) for side in sides)
    different = sorted(
        stage for stage in ours["stages"].keys() & theirs["stages"].keys()
        if ours["stages"][stage] != theirs["stages"][stage]
    )  # fmt: skip
    joined = theirs["stages"] | ours["stages"]
    if not is_open:
        joined = {stage: entry for stage, entry in joined.items() if stage not in different}
    write_lock(ours | {"stages": joined})
    kept = "HEAD's were kept, and `dvc repro` checks them" if is_open else "which are left out"
    note = f"; they differ in {', '.join(different)}: {kept}" if different else ""
    return f"{LOCK} had a merge conflict: the stages of both sides were joined{note}"


def side_of_conflict(text: str, side: str) -> str:
    """Return the text of one side of Git's conflict markers; that of their common ancestor, if there, is left out."""
    lines, part = [], "both"
    for line in text.splitlines(keepends=True):
        marker = line[:7]
        if marker in CONFLICT_PARTS and (line[7:8].isspace() or not line[7:8]):
            part = CONFLICT_PARTS[marker]
        elif part in ("both", side):
            lines.append(line)
    return "".join(lines)


def mend_bytes() -> list[str]:
    """Hash every file in DVC's cache and every output, and remove those that do not match their recorded hash.

    DVC trusts the write-protected files in its cache, and any file whose time and size have not changed, so it does not
    notice a byte that the disk has flipped. `dvc repro` or `dvc pull` then restores what was removed. An output that a
    person has changed is removed as well.

    Returns:
        List of strings, a sentence for each file that was removed.
    """
    hashes: dict[tuple[int, int], str] = {}  # by inode: a file that the cache and the workspace share is read once

    def md5(path: Path) -> str:
        status = path.stat()
        inode = status.st_dev, status.st_ino
        if inode not in hashes:
            hashes[inode] = file_md5(path)
        return hashes[inode]

    def removed(expected: Iterable[tuple[Path, set[str]]], problem: str) -> list[str]:
        wrong = [path for path, right in expected if path.is_file() and md5(path) not in right]
        for path in wrong:
            path.unlink()
        return [f"{path} {problem}: removed" for path in wrong]

    cached = sorted(cache_folder().glob("??/*"))
    named = [(path, {(path.parent.name + path.name).removesuffix(".dir")}) for path in cached]
    repairs = removed(named, "was damaged")
    # Only now, because a damaged listing of a folder tells wrong hashes of its files. A stage that was renamed is
    # recorded twice.
    recorded: dict[Path, set[str]] = {}
    for output in locked_outputs(read_lock()):
        for path, right in _files(output):
            recorded.setdefault(path, set()).add(right)
    return repairs + removed(recorded.items(), f"is not what {LOCK} records")


def _files(output: dict) -> list[tuple[Path, str]]:
    """Return the (path, MD5) of each file of an output. Those of a folder are listed in the cache."""
    path, md5 = Path(output["path"]), output.get("md5", "")
    if not (md5 and output["path"].startswith(("data/", "models/"))):
        return []
    if not md5.endswith(".dir"):
        return [(path, md5)]
    return [(path / name, file_md5) for name, file_md5 in (folder_listing(md5) or {}).items()]


def _is_intact(content: bytes) -> bool:
    """Return whether a dvc.lock can be parsed, and ends with a newline: cut at one, it lacks whole stages."""
    try:
        parse_lock(content.decode())
    except (ChestTransferError, UnicodeDecodeError):
        return False
    return content.endswith(b"\n")


def _last_intact_lock() -> tuple[str, bytes | None]:
    """Return the last commit whose dvc.lock is intact, in words, and that file; None where there is none."""
    try:
        commits = git("log", "--format=%h", "--", str(LOCK)).split()
    except ChestTransferError:  # no commit, or no repository
        commits = []
    for commit in commits:
        content = committed_file(str(LOCK), commit)
        if content is not None and _is_intact(content):
            return "the last commit" if commit == commits[0] else f"commit {commit}", content
    return "", None


def _running_stages_are_intact() -> bool:
    try:
        return isinstance(json.loads(RUNNING_STAGES.read_text()), dict)
    except ValueError:
        return False
