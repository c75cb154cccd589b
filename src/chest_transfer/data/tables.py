"""Tables inside an archive: whole, UTF-8 and with the columns that are needed, or refused in one line."""

import io
import zipfile

import pandas as pd

from chest_transfer.data.archives import Archive
from chest_transfer.errors import ChestTransferError

LARGEST = 64 * 1024 * 1024  # bytes; NIH's table of 112,120 images has 8 MB


def table_bytes(archive: Archive, member: str) -> bytes:
    """A table or a list, as it is in the archive.

    Raises:
        ChestTransferError: damaged, larger than any such table, or no UTF-8 text.
    """
    try:
        content = archive.read(member, LARGEST)
        if b"\0" in content:
            raise ValueError("it holds NUL bytes, so it is no UTF-8 text")
        content.decode("utf-8-sig")
    except ValueError as error:
        raise _refused(archive, member, error) from None
    return content


def read_columns(archive: Archive, member: str, columns: dict[int, str]) -> pd.DataFrame:
    """Some columns of a comma-separated table, below its header row: text, empty where there is none.

    Args:
        archive: where it is.
        member: its name there.
        columns: position -> name; by position, since NIH's header has commas inside brackets.

    Raises:
        ChestTransferError: as of `table_bytes`, or without these columns.
    """
    content = table_bytes(archive, member)
    try:
        table = pd.read_csv(
            io.BytesIO(content), header=None, skiprows=1, usecols=list(columns), dtype=str, keep_default_na=False,
            encoding="utf-8-sig",
        )  # fmt: skip
    except ValueError as error:
        raise _refused(archive, member, error) from None
    return table.rename(columns=columns).fillna("")


def read_sheet(archive: Archive, member: str, columns: set[str]) -> pd.DataFrame:
    """The first sheet of an Excel file: text, empty where there is none.

    Raises:
        ChestTransferError: no such file, unpacks to more than any such sheet, or without these columns.
    """
    try:
        content = archive.read(member, LARGEST)
        with zipfile.ZipFile(io.BytesIO(content)) as parts:
            if sum(part.file_size for part in parts.infolist()) > LARGEST:
                raise ValueError(f"it unpacks to more than {LARGEST:,} bytes")
        sheet = pd.read_excel(io.BytesIO(content), dtype=str).fillna("")
    except Exception as error:  # its reader meets broken files with any exception
        raise _refused(archive, member, error) from None
    if not columns <= set(sheet):
        held = ", ".join(map(str, sheet))
        raise ChestTransferError(
            f"'{archive.path}': {member} has the columns {held} (needed: {', '.join(sorted(columns))}); "
            "fetch the archive again"
        )
    return sheet


def _refused(archive: Archive, member: str, error: Exception) -> ChestTransferError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return ChestTransferError(f"'{archive.path}': {member} cannot be read ({reason}); fetch the archive again")
