"""Archives of radiographs: read without unpacking, made from a folder or a tar file.

Inside the pipeline an archive is always one zip file, because a zip is read in any order.
"""

import shutil
import tarfile
import zipfile
from collections import Counter
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from chest_transfer.errors import ChestTransferError

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can state: equal contents give equal bytes
LARGEST_MEMBER = 128 * 1024 * 1024  # bytes; a radiograph of 4096 x 4096 16-bit pixels has 32 MiB
MOST_MEMBERS = 1_000_000  # NIH ChestX-ray14 has 112,134


class Archive:
    """A zip file of radiographs, opened for reading; threads may share it.

    Raises:
        ChestTransferError: the file is no zip archive, is cut short, or holds what no archive of radiographs does: a
            name twice, a path outside of it, a million files.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)
        try:
            self._zip = zipfile.ZipFile(self.path)
        except zipfile.BadZipFile as error:
            raise ChestTransferError(
                f"'{self.path}' is no whole zip archive ({error}); delete it and fetch it again"
            ) from None
        self._check()
        # macOS writes a resource fork `__MACOSX/._x` beside every file, and `.DS_Store` into every folder.
        self.members = sorted(
            info.filename
            for info in self._zip.infolist()
            if not info.is_dir()
            and not any(part == "__MACOSX" or part.startswith(".") for part in PurePosixPath(info.filename).parts)
        )

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *_) -> None:
        self._zip.close()

    def __reduce__(self) -> tuple:
        status = self.path.stat()
        return _opened, (self.path, status.st_mtime_ns, status.st_size)

    def _check(self) -> None:
        names, reason = self._zip.namelist(), ""
        if len(names) > MOST_MEMBERS:
            reason = f"{len(names):,} files (at most {MOST_MEMBERS:,})"
        elif len(set(names)) < len(names):
            reason = f"'{Counter(names).most_common(1)[0][0]}' twice"
        elif outside := next((name for name in names if _leads_out(name)), None):
            reason = f"'{outside}', a path that leads out of it"
        if reason:
            self._zip.close()
            raise ChestTransferError(f"'{self.path}' holds {reason}: no archive of radiographs does; fetch it again")

    def read(self, member: str, largest: int = LARGEST_MEMBER) -> bytes:
        """One member's bytes.

        Raises:
            ValueError: the member is damaged, encrypted, or larger than any radiograph, or than `largest` bytes.
        """
        size = self._zip.getinfo(member).file_size
        if size > largest:
            raise ValueError(f"{size:,} bytes unpacked, more than {largest:,}")
        try:
            content = self._zip.read(member)
        except (zipfile.BadZipFile, zipfile.zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
            raise ValueError(f"damaged in the archive: {error}") from None
        if len(content) != size:
            raise ValueError(f"damaged in the archive: {len(content):,} bytes where {size:,} should be")
        return content


@lru_cache(maxsize=1)
def _opened(path: Path, *version: int) -> Archive:
    """In another process: opened once for all of its members, and anew if it is another file."""
    return Archive(path)


def _leads_out(name: str) -> bool:
    return name.startswith(("/", "\\")) or (".." in name and ".." in PurePosixPath(name.replace("\\", "/")).parts)


class ArchiveWriter:
    """Writes a zip whose bytes depend on its members alone: fixed times, stored, in the order given."""

    def __init__(self, path: Path | str):
        self._zip = zipfile.ZipFile(path, "w", zipfile.ZIP_STORED)

    def __enter__(self) -> "ArchiveWriter":
        return self

    def __exit__(self, *_) -> None:
        self._zip.close()

    def write(self, member: str, content: bytes | BinaryIO) -> None:
        with self.open(member) as target:
            if isinstance(content, bytes):
                target.write(content)
            else:
                shutil.copyfileobj(content, target, 1 << 20)

    def open(self, member: str):
        """A member opened for writing as a stream; close it before the next."""
        info = zipfile.ZipInfo(member, EPOCH)
        info.external_attr = 0o644 << 16
        return self._zip.open(info, "w", force_zip64=True)


def pack(source: Path, target: Path) -> None:
    """Turn a folder, a tar file or a zip file into the zip archive `target`.

    Raises:
        ChestTransferError: `source` is none of these, or a damaged tar file.
    """
    if source.is_dir():
        with ArchiveWriter(target) as writer:
            for path in sorted(path for path in source.rglob("*") if path.is_file()):
                with path.open("rb") as content:
                    writer.write(path.relative_to(source).as_posix(), content)
    elif zipfile.is_zipfile(source):
        shutil.copyfile(source, target)  # a copy, not a link: DVC write-protects what it caches
    elif source.is_file() and tarfile.is_tarfile(source):
        _pack_tar(source, target)
    else:
        raise ChestTransferError(f"'{source}' is no zip archive, tar archive or folder; point `sources` at one that is")


def _pack_tar(source: Path, target: Path) -> None:
    # In the file's own order: a compressed tar can only be read forwards.
    try:
        with tarfile.open(source) as tar, ArchiveWriter(target) as writer:
            for member in tar:
                if member.isfile() and member.size <= LARGEST_MEMBER:
                    writer.write(str(PurePosixPath(member.name)), tar.extractfile(member))
                elif not member.isdir():
                    reason = f"more than {LARGEST_MEMBER:,} bytes" if member.isfile() else "a link or a device"
                    raise ChestTransferError(
                        f"'{source}' holds '{member.name}', {reason}; pack it anew, links by `tar --dereference`"
                    )
    except (tarfile.TarError, EOFError, zipfile.zlib.error) as error:
        raise ChestTransferError(f"'{source}' is no whole tar archive ({error}); fetch it again") from None
