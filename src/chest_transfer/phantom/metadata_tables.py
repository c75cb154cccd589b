"""The tables that come with the public archives: NIH's lists as text, metadata sheets as Excel files."""

import io
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from chest_transfer.data.archives import ArchiveWriter
from chest_transfer.data.descriptions import BOXES
from chest_transfer.data.layouts import FINDING_ALIASES

NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
BOX_HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
# The findings that NIH's list of boxes has.
BOXED = ("Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax")


@dataclass(frozen=True)
class NihRow:
    """One image of NIH's layout; boxes are (x, y, width, height) in its pixels."""

    name: str
    findings: tuple[str, ...]
    follow_up: int
    patient: int
    age: int
    sex: str
    view: str
    size: int
    test: bool
    boxes: dict[str, tuple[int, int, int, int]]


@dataclass(frozen=True)
class FolderRow:
    """One image of a layout of class folders; the box is (x, y, width, height) in its pixels."""

    label: str
    stem: str
    side: int
    box: tuple[int, int, int, int] | None


def nih_tables(rows: list[NihRow]) -> list[tuple[str, bytes]]:
    """`Data_Entry_2017.csv`, `BBox_List_2017.csv` and the two split lists; as in NIH's, only test images have boxes."""
    spelled = {finding: alias for alias, finding in FINDING_ALIASES.items()}
    entries = [
        f"{row.name},{'|'.join(row.findings) or 'No Finding'},{row.follow_up},{row.patient},{row.age},{row.sex},"
        f"{row.view},{row.size},{row.size},0.143,0.143,"
        for row in rows
    ]
    boxes = (
        (row.name, spelled.get(finding, finding), row.boxes.get(finding))
        for row in rows
        for finding in row.findings
        if row.test and finding in BOXED
    )
    lists = [[row.name for row in rows if row.test is test] for test in (False, True)]
    return [
        ("Data_Entry_2017.csv", _lines([NIH_HEADER, *entries])),
        (BOXES, box_list(boxes)),
        ("train_val_list.txt", _lines(lists[0])),
        ("test_list.txt", _lines(lists[1])),
    ]


def box_list(boxes: Iterable[tuple[str, str, tuple[int, int, int, int] | None]]) -> bytes:
    """NIH's list of (file, finding, box); what shows nowhere in particular (None) is left out."""
    rows = [
        ",".join([file, finding, *map(str, map(float, box)), "", "", ""]) for file, finding, box in boxes if box
    ]  # fmt: skip
    return _lines([BOX_HEADER, *rows])


def metadata_sheet(rows: list[FolderRow]) -> bytes:
    """An Excel file with FILE NAME, FORMAT, SIZE and URL."""
    table = pd.DataFrame(
        [(row.stem, "PNG", f"{row.side}*{row.side}", "simulated") for row in rows],
        columns=["FILE NAME", "FORMAT", "SIZE", "URL"],
    )
    raw, normalised = io.BytesIO(), io.BytesIO()
    table.to_excel(raw, index=False)
    with zipfile.ZipFile(raw) as source, ArchiveWriter(normalised) as target:
        for name in source.namelist():
            # The time of writing stands in the file twice.
            target.write(name, re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", b"1980-01-01T00:00:00Z", source.read(name)))
    return normalised.getvalue()


def _lines(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()
