"""Tables of labels as people keep them: CSV of any separator and encoding, or Excel, read as clean text."""

import csv
import difflib
import gzip
import io
import re
import unicodedata
import zipfile
import zlib
from pathlib import Path

import pandas as pd

from chest_transfer.data.label_words import without_decimals
from chest_transfer.errors import ChestTransferError

TEXT_SUFFIXES, EXCEL_SUFFIXES = (".csv", ".tsv", ".txt", ".tab"), (".xlsx", ".xlsm")
LARGEST_TABLE = 512 * 1024 * 1024  # bytes, unpacked; MIMIC-CXR's list of 377,110 radiographs has 60 MB
# Attributes of a table: the rows with fewer cells than its header, and what was guessed while it was read.
SHORT_ROWS, GUESSES = "short rows", "guesses"
_SEPARATORS = ",;\t|"
_ENCODINGS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}  # by the first bytes
_SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)  # that Excel understands as the first line
_INVISIBLE = str.maketrans({"\N{NO-BREAK SPACE}": " ", "\N{ZERO WIDTH SPACE}": "", "\N{ZERO WIDTH NO-BREAK SPACE}": ""})


def read_label_table(path: Path) -> pd.DataFrame:
    """Read a table from a file; as `parse_label_table`.

    Raises:
        ChestTransferError: there is no such file, it is no table, or a column's name occurs twice.
    """
    if not path.is_file():
        raise ChestTransferError(f"no table at '{path}'; correct `table` in params.yaml")
    if path.stat().st_size > LARGEST_TABLE:
        raise ChestTransferError(f"'{path}' has more than {LARGEST_TABLE:,} bytes, too many for a table")
    return parse_label_table(path.read_bytes(), str(path))


def parse_label_table(content: bytes, name: str) -> pd.DataFrame:
    """Read a table as text without blanks around it; empty where a cell is. Empty rows and columns are left out.

    Text may be UTF-8, UTF-16 or Windows-1252, with commas, semicolons, tabs or bars between columns, compressed with
    gzip or not. Of an Excel file the first visible sheet is read.

    Args:
        content: bytes of the file.
        name: str, its name, whose suffix says what it is.

    Returns:
        DataFrame of str in Unicode's composed form (NFC), whose index is the row in the file, counted from 1 as a
        spreadsheet does. Its attributes `SHORT_ROWS` and `GUESSES` say what was unusual.

    Raises:
        ChestTransferError: it is no table, or a column's name occurs twice.
    """
    plain = name.lower().removesuffix(".gz")
    if plain != name.lower():
        content = _unpacked(content, name)
    guesses: list[str] = []
    if plain.endswith(EXCEL_SUFFIXES):
        rows = _excel_rows(content, name, guesses)
    elif plain.endswith(TEXT_SUFFIXES):
        rows = _text_rows(content, name, guesses)
    else:
        raise ChestTransferError(
            f"'{name}' is no table (allowed: {', '.join(TEXT_SUFFIXES + EXCEL_SUFFIXES)}); save it as CSV"
        )
    table = _as_table(name, rows)
    table.attrs[GUESSES] = tuple(guesses)
    return table


def clean(text: str) -> str:
    """Return a cell's text without blanks around it, and with one blank where there are several."""
    return unicodedata.normalize("NFC", " ".join(text.translate(_INVISIBLE).split()))


def column_named(table: pd.DataFrame, name: str, key: str) -> str:
    """Return the column that a setting names, whatever its case and the blanks in it.

    Args:
        table: DataFrame.
        name: str, the name in the settings.
        key: str, the setting, to name in the error.

    Raises:
        ChestTransferError: there is none; the message has the columns that there are.
    """
    if name in table:
        return name
    same = [column for column in table if _plain(column) == _plain(name)]
    if len(same) == 1:
        return same[0]
    similar = difflib.get_close_matches(name, list(table), n=1)
    hint = f"; did you mean '{similar[0]}'?" if similar else ""
    raise ChestTransferError(
        f"the table has no column '{name}'{hint} (it has: {', '.join(table)}); correct {key} in params.yaml"
    )


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()


def _unpacked(content: bytes, name: str) -> bytes:
    try:
        with gzip.open(io.BytesIO(content)) as packed:
            unpacked = packed.read(LARGEST_TABLE + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ChestTransferError(f"'{name}' is no complete gzip file ({error}); fetch it again") from None
    if len(unpacked) > LARGEST_TABLE:
        raise ChestTransferError(f"'{name}' unpacks to more than {LARGEST_TABLE:,} bytes, too many for a table")
    return unpacked


def _text_rows(content: bytes, path: str, guesses: list[str]) -> list[list[str]]:
    text = _decoded(content, path, guesses)
    stated = _SEPARATOR_LINE.match(text)
    text = text[stated.end() :] if stated else text
    separator = stated[1] if stated else _separator(text)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        raise ChestTransferError(f"'{path}' cannot be read as a table ({error}); save it again as CSV") from None
    return ([[]] if stated else []) + rows


def _decoded(content: bytes, path: str, guesses: list[str]) -> str:
    encoding = next((name for start, name in _ENCODINGS.items() if content.startswith(start)), None)
    try:
        if encoding is None and b"\0" in content:
            raise ValueError("it contains NUL bytes, so it is no text")
        return content.decode(encoding or "utf-8")
    except UnicodeDecodeError:
        if encoding:
            raise ChestTransferError(f"'{path}' is damaged {encoding} text; save it again as CSV UTF-8") from None
        guesses.append("it is not UTF-8, and was read as Windows-1252")
        return content.decode("cp1252", "replace")  # as Excel saves CSV in Western Europe and America
    except ValueError as error:
        raise ChestTransferError(f"'{path}' is no table ({error}); save it as CSV") from None


def _separator(text: str) -> str:
    """Return the separator that splits the header, and most rows into as many columns."""
    lines = [line for line in text.splitlines()[:200] if line.strip()]
    if not lines:
        return ","

    def agreement(separator: str) -> tuple[float, int]:
        counts = [len(row) for row in csv.reader(lines, delimiter=separator)]
        return (counts[0] > 1) * sum(count == counts[0] for count in counts) / len(counts), counts[0]

    return max(_SEPARATORS, key=agreement)


def _excel_rows(content: bytes, path: str, guesses: list[str]) -> list[list[str]]:
    import openpyxl

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as parts:
            if sum(part.file_size for part in parts.infolist()) > LARGEST_TABLE:
                raise ValueError(f"it unpacks to more than {LARGEST_TABLE:,} bytes")
        workbook = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        sheet = next((sheet for sheet in workbook.worksheets if sheet.sheet_state == "visible"), workbook.worksheets[0])
        if len(workbook.worksheets) > 1:
            guesses.append(f"of {len(workbook.worksheets)} sheets the first visible one was read, '{sheet.title}'")
        sheet.reset_dimensions()  # those that a file states are often wrong
        return [[_cell_text(cell) for cell in row] for row in sheet.iter_rows(values_only=True)]
    except Exception as error:  # the reader fails on broken files with any exception
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ChestTransferError(f"'{path}' cannot be read as an Excel file ({reason}); save it as CSV") from None


def _cell_text(cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return without_decimals(str(cell)) if isinstance(cell, float) else str(cell)


def _as_table(path: str, rows: list[list[str]]) -> pd.DataFrame:
    cleaned = [[clean(cell) for cell in row] for row in rows]
    filled = [sum(map(bool, row)) for row in cleaned]
    # A title above the header fills one cell.
    header_row = next((number for number, cells in enumerate(filled) if cells >= min(2, max(filled)) > 0), None)
    if header_row is None:
        raise ChestTransferError(f"'{path}' is empty; correct `table` in params.yaml")
    header = cleaned[header_row]
    width = max(number + 1 for number, name in enumerate(header) if name)
    names = header[:width]
    if twice := next((name for name in names if name and names.count(name) > 1), None):
        raise ChestTransferError(f"'{path}' has two columns '{twice}'; rename one of them")
    content, numbers, short = [], [], []
    for number, row in enumerate(cleaned[header_row + 1 :], header_row + 2):
        if len(row) > width and any(row[width:]):
            raise ChestTransferError(
                f"'{path}' row {number} has {len(row)} cells where the header has {width}; "
                "correct that row, or put text that has separators in it between quotes"
            )
        if any(row):
            if len(row) < width:
                short.append(f"row {number}")
            content.append((row + [""] * width)[:width])
            numbers.append(number)
    table = pd.DataFrame(content, index=pd.Index(numbers, name="row"), columns=names, dtype=str)
    table = table.loc[:, [name for name in names if name]]
    table.attrs[SHORT_ROWS] = tuple(short)
    return table
