"""Tables inside an archive: complete, UTF-8 and with the columns that are needed, or an error of one line."""

import io
import zipfile
from pathlib import PurePosixPath

import pandas as pd

from chest_transfer.data.archives import Archive
from chest_transfer.data.layouts import SAMPLE_TABLE
from chest_transfer.errors import ChestTransferError

LARGEST_TABLE = 64 * 1024 * 1024  # bytes; NIH's table of 112,120 images has 8 MB


def table_bytes(archive: Archive, member: str) -> bytes:
    """Return the bytes of a table or a list in an archive.

    Raises:
        ChestTransferError: it is damaged, larger than any such table, or not UTF-8 text.
    """
    try:
        content = archive.read(member, LARGEST_TABLE)
        if b"\0" in content:
            raise ValueError("it contains NUL bytes, so it is not UTF-8 text")
        content.decode("utf-8-sig")
    except ValueError as error:
        raise _unreadable(archive, member, error) from None
    return content


def table_of_labels(archive: Archive) -> str | None:
    """Return the member that is NIH's table or that of Kaggle's sample; None where there is none.

    Raises:
        ChestTransferError: there are two that differ: their labels, ages or views may, too.
    """
    tables = [
        member
        for member in archive.members
        if (name := PurePosixPath(member).name.lower()) == SAMPLE_TABLE
        or (name.startswith("data_entry_2017") and name.endswith(".csv"))
    ]
    if len({archive.checksum(table) for table in tables}) > 1:
        raise ChestTransferError(
            f"'{archive.path}' holds tables of labels that differ: {', '.join(tables)}; keep one of them"
        )
    return tables[0] if tables else None


def read_columns(archive: Archive, member: str, columns: dict[int, str]) -> pd.DataFrame:
    """Read some columns of a comma-separated table below its header row, as text, empty where there is none.

    Args:
        archive: Archive that holds the table.
        member: str, its name there.
        columns: dict, the name to give the column at each position. By position, since NIH's header has commas inside
            brackets.

    Raises:
        ChestTransferError: as `table_bytes`, or the table has fewer columns.
    """
    content = table_bytes(archive, member)
    try:
        table = pd.read_csv(
            io.BytesIO(content), header=None, skiprows=1, usecols=list(columns), dtype=str, keep_default_na=False,
            encoding="utf-8-sig",
        )  # fmt: skip
    except ValueError as error:
        raise _unreadable(archive, member, error) from None
    return table.rename(columns=columns).fillna("")


def read_sheet(archive: Archive, member: str, columns: set[str]) -> pd.DataFrame:
    """Read the first sheet of an Excel file as text, empty where there is none.

    Args:
        archive: Archive that holds the file.
        member: str, its name there.
        columns: set of str, the columns that it must have.

    Raises:
        ChestTransferError: it is damaged, unpacks to more than any such sheet, or lacks a column.
    """
    try:
        content = archive.read(member, LARGEST_TABLE)
        with zipfile.ZipFile(io.BytesIO(content)) as parts:
            if sum(part.file_size for part in parts.infolist()) > LARGEST_TABLE:
                raise ValueError(f"it unpacks to more than {LARGEST_TABLE:,} bytes")
        sheet = pd.read_excel(io.BytesIO(content), dtype=str).fillna("")
    except Exception as error:  # the Excel reader fails on broken files with any exception
        raise _unreadable(archive, member, error) from None
    if not columns <= set(sheet):
        present = ", ".join(map(str, sheet))
        raise ChestTransferError(
            f"'{archive.path}': {member} has the columns {present} (needed: {', '.join(sorted(columns))}); "
            "fetch the archive again"
        )
    return sheet


def _unreadable(archive: Archive, member: str, error: Exception) -> ChestTransferError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return ChestTransferError(f"'{archive.path}': {member} cannot be read ({reason}); fetch the archive again")
