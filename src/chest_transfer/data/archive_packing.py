"""Packing: a folder, a zip or a tar file, with the archives inside them, becomes one zip file.

Inside the pipeline an archive is always one zip file, because its members can be read in any order.
"""

import lzma
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from chest_transfer.data.archives import LARGEST_MEMBER, is_hidden, with_slashes
from chest_transfer.data.file_kinds import FIRST_BYTES, described
from chest_transfer.errors import ChestTransferError
from chest_transfer.files import ArchiveWriter

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError)
_BLOCK = 1024 * 1024  # bytes
MOST_LEVELS = 3  # of archives in archives: more are left packed


def pack(source: Path, target: Path) -> None:
    """Write a folder, a tar file or a zip file as the zip archive `target`.

    Archives inside are unpacked to folders of their name: Kaggle's first layout was a zip in a zip, NIH's own
    distribution is a folder of tar files. Links to files and folders are followed.

    Raises:
        ChestTransferError: `source` is none of these, or it or an archive inside is damaged; a link leads nowhere.
    """
    if is_plain_zip(source):
        shutil.copyfile(source, target)  # a copy, not a link: DVC write-protects what it caches
        return
    with ArchiveWriter(target) as writer:
        _Packer(writer, target.parent).add(source, PurePosixPath(), levels=0)


def is_plain_zip(source: Path) -> bool:
    """Return whether a path is a zip file without archives inside, which can be read as it is."""
    return source.is_file() and _is_zip(source) and not holds_archives(source)


@contextmanager
def folder_beside(aside: Path) -> Iterator[Path]:
    """Give a temporary folder beside an archive that is being written aside.

    It is named like that archive, so that what a killed process leaves is removed with it by the next one.
    """
    with tempfile.TemporaryDirectory(dir=aside.parent, prefix=f"{aside.name}.", suffix=".partial") as folder:
        yield Path(folder)


def files_below(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder in the order of their names; links to folders are followed, circles are not.

    Raises:
        ChestTransferError: a link leads nowhere.
    """
    yield from _files_below(folder, frozenset())


def _files_below(folder: Path, around: frozenset[Path]) -> Iterator[Path]:
    around |= {folder.resolve(), *folder.resolve().parents}
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if path.resolve() not in around:
                yield from _files_below(path, around)
        elif path.exists():
            yield path
        else:
            raise ChestTransferError(f"'{path}' is a link that leads nowhere; mend or remove it")


def holds_archives(source: Path) -> bool:
    """Return whether a zip file has archives inside."""
    try:
        with zipfile.ZipFile(source) as opened:
            return any(_is_archive(info.filename) for info in opened.infolist() if not info.is_dir())
    except zipfile.BadZipFile as error:
        raise ChestTransferError(f"'{source}' is not a complete archive ({error}); fetch it again") from None


def _is_zip(path: Path) -> bool:
    """Return whether a file is a zip archive; a tar file whose last member is one looks like it as well."""
    return zipfile.is_zipfile(path) and not tarfile.is_tarfile(path)


class _StrictTarInfo(tarfile.TarInfo):
    """Raises an error at a damaged header; Python's own class takes it for the end of the archive."""

    @classmethod
    def fromtarfile(cls, opened):
        try:
            return super().fromtarfile(opened)
        except tarfile.EOFHeaderError:
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"damaged at byte {opened.offset:,}: {error}") from None


def _is_archive(name: str) -> bool:
    return name.lower().endswith(ARCHIVE_SUFFIXES) and not is_hidden(name)


def _without_suffix(name: str) -> str:
    suffix = max((suffix for suffix in ARCHIVE_SUFFIXES if name.lower().endswith(suffix)), key=len)
    return name[: -len(suffix)]


def _as_text(name: str) -> str:
    """Return a file's name as text: where it is not UTF-8, as Windows wrote it before."""
    try:
        return name.encode("utf-8") and name
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogateescape").decode("cp1252", "replace")


class _Packer:
    """Adds folders and archives to a zip file.

    Args:
        writer: ArchiveWriter.
        space: Path of a folder for archives that have to be taken out of others.
    """

    def __init__(self, writer: ArchiveWriter, space: Path):
        self._writer, self._space, self._names = writer, space, set()

    def add(self, source: Path, folder: PurePosixPath, levels: int) -> None:
        """Add the content of a folder or an archive to a folder of the zip file; `levels` archives are around it."""
        try:
            if source.is_dir():
                self._add_folder(source, folder)
            elif _is_zip(source):
                self._add_zip(source, folder, levels)
            elif source.is_file() and tarfile.is_tarfile(source):
                self._add_tar(source, folder, levels)
            else:
                raise _not_an_archive(source, folder)
        except (NotImplementedError, RuntimeError) as error:  # a compression that Python does not know; encryption
            raise ChestTransferError(
                f"'{source if levels == 0 else folder}' cannot be read ({error}); unpack it, and name the folder"
            ) from None
        except (*_DAMAGED, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:  # of the disk; bzip2's own has no number
                raise
            raise ChestTransferError(
                f"'{source if levels == 0 else folder}' is not a complete archive ({error}); fetch it again"
            ) from None

    def _add_folder(self, source: Path, folder: PurePosixPath) -> None:
        for path in files_below(source):
            name = path.relative_to(source).as_posix()
            if _is_archive(name):
                self.add(path, folder / _without_suffix(name), levels=1)
            else:
                with path.open("rb") as content:
                    self._write(folder / name, content)

    def _add_zip(self, source: Path, folder: PurePosixPath, levels: int) -> None:
        with zipfile.ZipFile(source) as opened:
            for info in opened.infolist():
                if not info.is_dir():
                    with opened.open(info) as content:
                        self._add_member(folder / with_slashes(info.filename), content, levels)

    def _add_tar(self, source: Path, folder: PurePosixPath, levels: int) -> None:
        # In the file's own order, because a compressed tar can only be read forward.
        with tarfile.open(source, tarinfo=_StrictTarInfo) as opened:
            for member in opened:
                if member.isfile():
                    if member.size > LARGEST_MEMBER and not _is_archive(member.name):
                        raise _refused(source, member, f"more than {LARGEST_MEMBER:,} bytes")
                    name = with_slashes(member.name).lstrip("/")  # as tar itself does it
                    self._add_member(folder / name, opened.extractfile(member), levels)
                elif not member.isdir():
                    raise _refused(source, member, "a link or a device")
            while opened.fileobj.read(_BLOCK):  # to its end, where the checksum of a compressed tar is
                pass

    def _write(self, name: PurePosixPath, content: BinaryIO) -> None:
        member = _as_text(str(name))
        if member in self._names:
            raise ChestTransferError(f"there are two files '{member}', such as in an archive and unpacked; keep one")
        self._names.add(member)
        self._writer.write(member, content)

    def _add_member(self, name: PurePosixPath, content: BinaryIO, levels: int) -> None:
        if not _is_archive(str(name)) or levels >= MOST_LEVELS:
            self._write(name, content)
            return
        with tempfile.NamedTemporaryFile(dir=self._space, prefix="packing-") as taken_out:
            shutil.copyfileobj(content, taken_out)
            taken_out.flush()
            self.add(Path(taken_out.name), name.with_name(_without_suffix(name.name)), levels + 1)


def _refused(source: Path, member: tarfile.TarInfo, reason: str) -> ChestTransferError:
    return ChestTransferError(
        f"'{source}' holds '{member.name}', {reason}; pack it again with `tar --dereference --hard-dereference`"
    )


def _not_an_archive(source: Path, folder: PurePosixPath) -> ChestTransferError:
    with source.open("rb") as file:
        start = file.read(FIRST_BYTES)
    kind = "it is a zip archive that was cut short; fetch it again" if start.startswith(b"PK") else described(start)
    name = f"'{source}'" if folder == PurePosixPath() else f"'{folder}' in the archive"
    return ChestTransferError(
        f"{name} is not a zip archive, tar archive or folder{kind and f': {kind}'}; name one that is, in params.yaml"
    )
