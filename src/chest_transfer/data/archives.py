"""Archives of radiographs: read without unpacking, or made from a folder or a tar file.

Inside the pipeline an archive is always one zip file, because its members can be read in any order.
"""

import shutil
import tarfile
import zipfile
from collections import Counter
from functools import lru_cache
from pathlib import Path, PurePosixPath

from chest_transfer.errors import ChestTransferError
from chest_transfer.files import ArchiveWriter

LARGEST_MEMBER = 128 * 1024 * 1024  # bytes; a radiograph of 4096 x 4096 16-bit pixels has 32 MiB
MOST_MEMBERS = 1_000_000  # NIH ChestX-ray14 has 112,134


class Archive:
    """A zip file of radiographs, opened for reading; threads may share it.

    Raises:
        ChestTransferError: the file is not a zip archive, is cut short, or holds what no archive of radiographs does:
            one name twice, a path that leads out of it, more than `MOST_MEMBERS` files.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)
        try:
            self._zip = zipfile.ZipFile(self.path)
        except zipfile.BadZipFile as error:
            raise ChestTransferError(
                f"'{self.path}' is not a complete zip archive ({error}); delete it and fetch it again"
            ) from None
        self._check_members()
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
        return _open_once, (self.path, status.st_mtime_ns, status.st_size)

    def _check_members(self) -> None:
        names, reason = self._zip.namelist(), ""
        if len(names) > MOST_MEMBERS:
            reason = f"{len(names):,} files (at most {MOST_MEMBERS:,})"
        elif len(set(names)) < len(names):
            reason = f"'{Counter(names).most_common(1)[0][0]}' twice"
        elif outside := next((name for name in names if _leads_out(name)), None):
            reason = f"'{outside}', a path that leads out of it"
        if reason:
            self._zip.close()
            raise ChestTransferError(
                f"'{self.path}' holds {reason}, which no archive of radiographs does; fetch it again"
            )

    def read(self, member: str, size_limit: int = LARGEST_MEMBER) -> bytes:
        """Return the bytes of one member.

        Raises:
            ValueError: the member is damaged, encrypted, or unpacks to more than `size_limit` bytes.
        """
        size = self._zip.getinfo(member).file_size
        if size > size_limit:
            raise ValueError(f"{size:,} bytes unpacked, more than {size_limit:,}")
        try:
            content = self._zip.read(member)
        except (zipfile.BadZipFile, zipfile.zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
            raise ValueError(f"damaged in the archive: {error}") from None
        if len(content) != size:
            raise ValueError(f"damaged in the archive: {len(content):,} bytes where {size:,} should be")
        return content


@lru_cache(maxsize=1)
def _open_once(path: Path, *version: int) -> Archive:
    """Open an archive in another process once for all of its members, and again if the file has changed."""
    return Archive(path)


def _leads_out(name: str) -> bool:
    return name.startswith(("/", "\\")) or (".." in name and ".." in PurePosixPath(name.replace("\\", "/")).parts)


def pack(source: Path, target: Path) -> None:
    """Write a folder, a tar file or a zip file as the zip archive `target`.

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
        raise ChestTransferError(
            f"'{source}' is not a zip archive, tar archive or folder; point `sources` at one that is"
        )


def _pack_tar(source: Path, target: Path) -> None:
    # In the file's own order, because a compressed tar can only be read forward.
    try:
        with tarfile.open(source) as tar, ArchiveWriter(target) as writer:
            for member in tar:
                if member.isfile() and member.size <= LARGEST_MEMBER:
                    writer.write(str(PurePosixPath(member.name)), tar.extractfile(member))
                elif not member.isdir():
                    reason = f"more than {LARGEST_MEMBER:,} bytes" if member.isfile() else "a link or a device"
                    raise ChestTransferError(
                        f"'{source}' holds '{member.name}', {reason}; pack it again with `tar --dereference`"
                    )
    except (tarfile.TarError, EOFError, zipfile.zlib.error) as error:
        raise ChestTransferError(f"'{source}' is not a complete tar archive ({error}); fetch it again") from None
