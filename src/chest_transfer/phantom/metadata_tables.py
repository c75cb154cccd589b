"""The tables of the public archives: NIH's lists as text, the metadata sheets of the COVID archive as Excel files."""

import io
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from chest_transfer.data.findings import ALIASES
from chest_transfer.data.layouts import BOX_LIST
from chest_transfer.files import ArchiveWriter
from chest_transfer.phantom.radiograph import Box

NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
NIH_PIXEL_SPACING = 0.143  # mm, as in NIH's table
BOX_HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
# The findings for which NIH published boxes.
BOXED = ("Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax")
# Excel files state when they were written, in these two forms: a fixed time keeps equal tables equal.
EXCEL_TIME, FIXED_EXCEL_TIME = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", b"1980-01-01T00:00:00Z"


@dataclass(frozen=True)
class NihRow:
    """One image of NIH's layout.

    Args:
        name: str, file name.
        findings: tuple of str; empty for no finding.
        follow_up: int, 0 for the patient's first image.
        patient: int, number of the patient.
        age: int, years.
        sex: str, "M" or "F".
        view: str, "PA" or "AP".
        size: int, rows and columns of the image.
        test: bool, whether the image is in the official test split.
        boxes: dict from finding to a list of Box, for the findings that have a place.
    """

    name: str
    findings: tuple[str, ...]
    follow_up: int
    patient: int
    age: int
    sex: str
    view: str
    size: int
    test: bool
    boxes: dict[str, list[Box]]


@dataclass(frozen=True)
class FolderRow:
    """One image of a layout of class folders.

    Args:
        label: str, class.
        stem: str, file name without its suffix.
        side: int, rows and columns of a square image.
        boxes: list of Box, where the finding is; empty for a normal radiograph.
    """

    label: str
    stem: str
    side: int
    boxes: list[Box]


def nih_tables(rows: list[NihRow]) -> list[tuple[str, bytes]]:
    """NIH's tables as (name, content): the entries, the boxes, and the lists of the two splits.

    As in the public archive, only test images have boxes.
    """
    spelling = {finding: alias for alias, finding in ALIASES.items()}
    entries = [
        f"{row.name},{'|'.join(row.findings) or 'No Finding'},{row.follow_up},{row.patient},{row.age},{row.sex},"
        f"{row.view},{row.size},{row.size},{NIH_PIXEL_SPACING},{NIH_PIXEL_SPACING},"
        for row in rows
    ]
    boxes = (
        (row.name, spelling.get(finding, finding), box)
        for row in rows
        for finding in row.findings
        if row.test and finding in BOXED
        for box in row.boxes.get(finding, [])
    )
    return [
        ("Data_Entry_2017.csv", _text([NIH_HEADER, *entries])),
        (BOX_LIST, box_list(boxes)),
        ("train_val_list.txt", _text([row.name for row in rows if not row.test])),
        ("test_list.txt", _text([row.name for row in rows if row.test])),
    ]


def box_list(boxes: Iterable[tuple[str, str, Box]]) -> bytes:
    """NIH's list of boxes, of (file name, finding, box) triples."""
    rows = ([file, finding, *(str(float(number)) for number in box), "", "", ""] for file, finding, box in boxes)
    return _text([BOX_HEADER, *map(",".join, rows)])


def metadata_sheet(rows: list[FolderRow]) -> bytes:
    """An Excel file with the columns FILE NAME, FORMAT, SIZE and URL; equal rows give equal bytes."""
    table = pd.DataFrame(
        [(row.stem, "PNG", f"{row.side}*{row.side}", "simulated") for row in rows],
        columns=["FILE NAME", "FORMAT", "SIZE", "URL"],
    )
    written, normalized = io.BytesIO(), io.BytesIO()
    table.to_excel(written, index=False)
    with zipfile.ZipFile(written) as source, ArchiveWriter(normalized) as target:
        for name in source.namelist():
            target.write(name, re.sub(EXCEL_TIME, FIXED_EXCEL_TIME, source.read(name)))
    return normalized.getvalue()


def _text(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()
