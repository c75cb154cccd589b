"""Archives of radiographs: zip files, read without unpacking."""

import lzma
import zipfile
import zlib
from collections import Counter
from functools import lru_cache
from pathlib import Path, PurePosixPath

from chest_transfer.data.file_kinds import FIRST_BYTES, described
from chest_transfer.errors import ChestTransferError

LARGEST_MEMBER = 128 * 1024 * 1024  # bytes; a radiograph of 4096 x 4096 16-bit pixels has 32 MiB
# What reading a damaged, encrypted or oddly compressed member raises; bzip2 raises OSError itself.
DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, NotImplementedError, OSError)
_ENCRYPTED = 1  # bit of a member's flags
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
SIMULATED = b"simulated patients"  # the comment of an archive without real radiographs
MOST_MEMBERS = 1_000_000  # NIH ChestX-ray14 has 112,134


class Archive:
    """A zip file of radiographs, opened for reading; threads may share it.

    Raises:
        ChestTransferError: the file is not a zip archive, is cut short, encrypted, compressed in a way that Python
            cannot read, or holds what no archive of radiographs does: one name twice, a path that leads out of it, more
            than `MOST_MEMBERS` files.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)
        try:
            self._zip = zipfile.ZipFile(self.path)
        except zipfile.BadZipFile as error:
            with self.path.open("rb") as file:
                kind = described(file.read(FIRST_BYTES))
            reason = f": {kind}" if kind else f" ({error}); delete it and fetch it again"
            raise ChestTransferError(f"'{self.path}' is not a complete zip archive{reason}") from None
        self._check_members()
        self._info_of = {
            with_slashes(info.filename): info
            for info in self._zip.infolist()
            if not info.filename.endswith(("/", "\\")) and not is_hidden(info.filename)
        }
        self.members = sorted(self._info_of)

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *_) -> None:
        self._zip.close()

    def __reduce__(self) -> tuple:
        status = self.path.stat()
        return _open_once, (self.path, status.st_mtime_ns, status.st_size)

    def _check_members(self) -> None:
        problem = self._problem_of_names() or self._problem_of_contents()
        if problem:
            self._zip.close()
            raise ChestTransferError(f"'{self.path}' holds {problem}")

    def _problem_of_names(self) -> str:
        names, reason = [with_slashes(name) for name in self._zip.namelist() if not name.endswith(("/", "\\"))], ""
        if len(names) > MOST_MEMBERS:
            reason = f"{len(names):,} files (at most {MOST_MEMBERS:,})"
        elif len(set(names)) < len(names):
            twice = Counter(names).most_common(1)[0][0]
            return f"'{twice}' twice; unpack it, and name the folder"
        elif outside := next((name for name in names if _leads_out(name)), None):
            reason = f"'{outside}', a path that leads out of it"
        return reason and f"{reason}, which no archive of radiographs does; fetch it again"

    def _problem_of_contents(self) -> str:
        for info in self._zip.infolist():
            if info.flag_bits & _ENCRYPTED:
                return f"'{info.filename}', which is encrypted; unpack the archive, and name the folder"
            if info.compress_type not in _COMPRESSIONS:
                return f"'{info.filename}', compressed in a way that Python cannot read; unpack it, and name the folder"
        return ""

    @property
    def is_simulated(self) -> bool:
        """Whether all patients are simulated, as far as the archive says."""
        return self._zip.comment == SIMULATED

    def start(self, member: str, length: int) -> bytes:
        """Return the first bytes of one member, none where it is damaged."""
        try:
            with self._zip.open(self._info_of[member]) as content:
                return content.read(length)
        except DAMAGED:
            return b""

    def checksum(self, member: str) -> tuple[int, int]:
        """Return the CRC-32 and the size in bytes of one member, as the archive states them."""
        info = self._info_of[member]
        return info.CRC, info.file_size

    def read(self, member: str, size_limit: int = LARGEST_MEMBER) -> bytes:
        """Return the bytes of one member.

        Raises:
            ValueError: the member is damaged, encrypted, or unpacks to more than `size_limit` bytes.
        """
        info = self._info_of[member]
        size = info.file_size
        if size > size_limit:
            raise ValueError(f"{size:,} bytes unpacked, more than {size_limit:,}")
        try:
            content = self._zip.read(info)
        except DAMAGED as error:
            raise ValueError(f"damaged in the archive: {error}") from None
        if len(content) != size:
            raise ValueError(f"damaged in the archive: {len(content):,} bytes where {size:,} should be")
        return content


@lru_cache(maxsize=1)
def _open_once(path: Path, *version: int) -> Archive:
    """Open an archive in another process once for all of its members, and again if the file has changed."""
    return Archive(path)


def with_slashes(name: str) -> str:
    """Return a member's name with slashes between its folders: some programs on Windows write backslashes."""
    return name.replace("\\", "/")


def is_hidden(name: str) -> bool:
    """Return whether a member is one that macOS adds: `__MACOSX/._x` beside every file, `.DS_Store` in every folder."""
    return any(part == "__MACOSX" or part.startswith(".") for part in PurePosixPath(with_slashes(name)).parts)


def _leads_out(name: str) -> bool:
    return name.startswith(("/", "\\")) or (".." in name and ".." in PurePosixPath(name.replace("\\", "/")).parts)
