"""Writing: files and folders that appear complete or not at all, and zip archives that depend on content alone."""

import errno
import glob
import json
import os
import shutil
import socket
import uuid
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can state
_COPY_BUFFER = 1 << 20  # bytes
_HOST = socket.gethostname()


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`, for a file or a folder, that replaces `target` when the block succeeds.

    The content is flushed to the disk before it is renamed, so a power cut leaves the old content or the new one. Each
    writer has a temporary path of its own: of two that write the same target, the later one wins, and neither is
    damaged. A target that is a hard link (into DVC's cache) is unlinked, never written through.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(target)
    aside = target.with_name(f"{target.name}.{_HOST}.{os.getpid()}.{uuid.uuid4().hex[:8]}.partial")
    try:
        yield aside
        _flush(aside)
        if aside.is_dir():
            _replace_by_folder(aside, target)
        else:
            aside.replace(target)
        _flush_folder(target.parent)
    finally:
        _remove(aside)


def write_text(target: Path, text: str) -> None:
    """Write a text file, complete or not at all."""
    with atomic_write(target) as aside:
        aside.write_text(text)


def write_json(target: Path, content: Any) -> None:
    """Write JSON with two spaces of indentation, complete or not at all; raises ValueError for NaN and infinity."""
    write_text(target, json.dumps(content, indent=2, allow_nan=False) + "\n")


def keep_only(folder: Path, paths: Iterable[Path]) -> None:
    """Remove everything from a folder but the given paths in it.

    A stage that reads a folder calls this with what the experiment's settings name. What other experiments left there
    (DVC has it in its cache) is then neither read nor part of the folder's hash in dvc.lock, which DVC takes after the
    stage has run.
    """
    kept = set(paths)
    for path in folder.glob("*"):
        if path not in kept:
            _remove(path)


class ArchiveWriter:
    """Writes a zip whose bytes depend on its members alone: fixed times, uncompressed, in the order given.

    Args:
        path: Path or str, of the zip file.
        comment: bytes, of the whole archive.
    """

    def __init__(self, path: Path | str, comment: bytes = b""):
        self._zip = zipfile.ZipFile(path, "w", zipfile.ZIP_STORED)
        self._zip.comment = comment

    def __enter__(self) -> "ArchiveWriter":
        return self

    def __exit__(self, *_) -> None:
        self._zip.close()

    def write(self, member: str, content: bytes | BinaryIO) -> None:
        """Add a member from bytes or from a binary stream."""
        with self.open(member) as target:
            if isinstance(content, bytes):
                target.write(content)
            else:
                shutil.copyfileobj(content, target, _COPY_BUFFER)

    def open(self, member: str):
        """Open a member for writing as a stream; close it before opening the next."""
        info = zipfile.ZipInfo(member, ZIP_EPOCH)
        info.external_attr = 0o644 << 16
        return self._zip.open(info, "w", force_zip64=True)


def _remove_abandoned(target: Path) -> None:
    """Remove what writers of `target` that were killed on this machine left beside it."""
    for partial in target.parent.glob(f"{glob.escape(target.name)}.{_HOST}.*.partial"):
        writer = partial.name.removeprefix(f"{target.name}.{_HOST}.").split(".")[0]
        if writer.isdigit() and not _is_running(int(writer)):
            with suppress(FileNotFoundError):  # another writer removes it, too
                _remove(partial)


def _replace_by_folder(aside: Path, target: Path) -> None:
    """Rename a folder to `target` after moving the old one away; repeat if another writer put one there meanwhile."""
    old = aside.with_name(f"{aside.stem}.old.partial")
    while True:
        with suppress(FileNotFoundError):
            target.replace(old)
        try:
            aside.replace(target)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        finally:
            _remove(old)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _flush(path: Path) -> None:
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    for file in files:
        with file.open("rb") as opened:
            os.fsync(opened.fileno())


def _flush_folder(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
