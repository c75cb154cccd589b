"""Mending: repair DVC's own files after a kill or a power cut, and remove files that the disk has damaged.

DVC writes dvc.lock and its table of running stages in place. A kill at that moment truncates them, and DVC then rejects
them in every later command.
"""

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from chest_transfer.errors import ChestTransferError
from chest_transfer.git import committed_file
from chest_transfer.lockfile import (
    LOCK,
    cache_folder,
    folder_listing,
    locked_outputs,
    parse_lock,
    read_lock,
    write_lock,
)

CONFLICT = b"<<<<<<< "
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
    if LOCK.exists() and CONFLICT in LOCK.read_bytes():
        with suppress(ChestTransferError):  # then it is restored from Git below
            repairs.append(_join_sides())
    if LOCK.exists() and not _lock_is_intact():
        committed = committed_file(str(LOCK), "HEAD")
        if committed is not None:
            LOCK.write_bytes(committed)
            repairs.append(f"{LOCK} was cut short: restored from the last commit")
        else:
            LOCK.unlink()
            repairs.append(f"{LOCK} was cut short: removed")
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
        sides = [_side(text, side) for side in ("ours", "theirs")]
    ours, theirs = (parse_lock(side) for side in sides)
    different = sorted(
        stage for stage in ours["stages"].keys() & theirs["stages"].keys()
        if ours["stages"][stage] != theirs["stages"][stage]
    )  # fmt: skip
    joined = theirs["stages"] | ours["stages"]
    if not is_open:
        joined = {stage: entry for stage, entry in joined.items() if stage not in different}
    write_lock(ours | {"stages": joined})
    kept = "those of HEAD were kept" if is_open else "which are left out"
    note = f"; they differ in {', '.join(different)}: {kept}" if different else ""
    return f"{LOCK} had a merge conflict: the stages of both sides were joined{note}"


def _side(text: str, side: str) -> str:
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
            with path.open("rb") as content:
                hashes[inode] = hashlib.file_digest(content, "md5").hexdigest()
        return hashes[inode]

    cached = {path: (path.parent.name + path.name).removesuffix(".dir") for path in sorted(cache_folder().glob("??/*"))}
    recorded = {
        path: expected
        for output in locked_outputs(read_lock())
        if output["path"].startswith(("data/", "models/"))
        for path, expected in _files(output)
    }
    repairs = []
    for files, problem in ((cached, "was damaged"), (recorded, f"is not what {LOCK} records")):
        for path in [path for path, expected in files.items() if path.is_file() and md5(path) != expected]:
            path.unlink()
            repairs.append(f"{path} {problem}: removed")
    return repairs


def _files(output: dict) -> list[tuple[Path, str]]:
    """Return the (path, MD5) of each file of an output. Those of a folder are listed in the cache."""
    path, md5 = Path(output["path"]), output["md5"]
    if not md5.endswith(".dir"):
        return [(path, md5)]
    return [(path / name, file_md5) for name, file_md5 in (folder_listing(md5) or {}).items()]


def _lock_is_intact() -> bool:
    """Return whether dvc.lock can be parsed, and ends with a newline: cut at one, it lacks whole stages."""
    try:
        text = LOCK.read_text()
        parse_lock(text)
    except (ChestTransferError, UnicodeDecodeError):
        return False
    return text.endswith("\n")


def _running_stages_are_intact() -> bool:
    try:
        return isinstance(json.loads(RUNNING_STAGES.read_text()), dict)
    except ValueError:
        return False
