"""What an archive tells of its radiographs beside their labels: whose they are, where from, and where a finding is."""

import re
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import pandas as pd

from chest_transfer.data.archives import Archive
from chest_transfer.data.layouts import FINDING_ALIASES, Radiograph
from chest_transfer.data.tables import read_columns, read_sheet
from chest_transfer.errors import ChestTransferError

ATTRIBUTES = ("sex", "age", "view", "subtype", "source")  # that subgroups are made of, where an archive has them
OLDEST = 120  # years; NIH's table has ages up to 414
_AGES = {"0-17": 18, "18-39": 40, "40-59": 60, "60-79": 80, "80+": OLDEST + 1}
_SUBTYPES = re.compile(r"person\d+_(bacteria|virus)_|(BACTERIA|VIRUS)-")
BOXES = "BBox_List_2017.csv"


def described(archive: Archive, radiographs: list[Radiograph]) -> pd.DataFrame:
    """The attributes that an archive knows of its radiographs.

    Returns:
        Indexed by radiograph name; of `ATTRIBUTES` the columns that the archive has, text, empty where unknown: `age`
        is a band, `view` PA or AP, `subtype` of pneumonia bacterial or viral, `source` the address in a metadata sheet.

    Raises:
        ChestTransferError: a metadata sheet without the columns FILE NAME and URL.
    """
    columns = {"subtype": {radiograph.name: _subtype(radiograph) for radiograph in radiographs}}
    by_file = {PurePosixPath(radiograph.name).name: radiograph.name for radiograph in radiographs}
    for member in archive.members:
        name = PurePosixPath(member).name
        if name.startswith("Data_Entry_2017"):
            table = read_columns(archive, member, {0: "image", 4: "age", 5: "sex", 6: "view"})
            table["age"] = table["age"].map(_age)
            for column in ("age", "sex", "view"):
                columns[column] = dict(zip(table["image"].map(by_file.get), table[column], strict=True))
        elif name.endswith(".metadata.xlsx"):
            by_stem = {PurePosixPath(file).stem.lower(): whole for file, whole in by_file.items()}
            columns.setdefault("source", {}).update(
                {by_stem[stem]: source for stem, source in _sources(archive, member).items() if stem in by_stem}
            )
    index = [radiograph.name for radiograph in radiographs]
    table = pd.DataFrame(columns, index=pd.Index(index, name="name"), columns=[a for a in ATTRIBUTES if a in columns])
    table = table.fillna("")
    return table.loc[:, (table != "").any()]


def _subtype(radiograph: Radiograph) -> str:
    match = _SUBTYPES.match(PurePosixPath(radiograph.name).name)
    return {"bacteria": "bacterial", "virus": "viral"}[match[match.lastindex].lower()] if match else ""


def _age(text: str) -> str:
    """The band of `058Y`, `58` or `58.0`; empty for what no patient is."""
    digits = re.match(r"0*(\d+)", text)
    years = int(digits[1]) if digits else OLDEST + 1
    return next((band for band, end in _AGES.items() if years < end), "")


def _sources(archive: Archive, member: str) -> dict[str, str]:
    """File stem, in lower case as sheets and files differ in it -> site and first two folders of its address."""
    sheet = read_sheet(archive, member, {"FILE NAME", "URL"})
    return {file.lower(): _site(url) for file, url in zip(sheet["FILE NAME"], sheet["URL"], strict=True)}


def _site(url: str) -> str:
    parts = urlsplit(url)
    if not parts.netloc:
        return url.strip()
    return "/".join([parts.netloc.removeprefix("www."), *[part for part in parts.path.split("/") if part][:2]])


def boxes(archive: Archive, radiographs: list[Radiograph]) -> pd.DataFrame:
    """Where findings are: columns name, finding, x, y, width, height, in the archive's pixels; often no row at all."""
    by_file = {PurePosixPath(radiograph.name).name: radiograph.name for radiograph in radiographs}
    columns = ["name", "finding", "x", "y", "width", "height"]
    member = next((member for member in archive.members if PurePosixPath(member).name == BOXES), None)
    if member is None:
        return pd.DataFrame(columns=columns)
    table = read_columns(archive, member, dict(enumerate(columns)))
    try:
        table = table.astype(dict.fromkeys(columns[2:], float))
    except ValueError as error:
        raise ChestTransferError(f"'{archive.path}': {member}: {error}; fetch the archive again") from None
    table["name"], table["finding"] = table["name"].map(by_file.get), table["finding"].replace(FINDING_ALIASES)
    return table.dropna()


def read_images(folder: Path) -> pd.DataFrame:
    """preprocess' `images.csv`, indexed by name; labels and attributes are text, empty where there is none."""
    text = dict.fromkeys(("name", "labels", "patient", "split", "mode", "sex", "age", "view"), str)
    return pd.read_csv(folder / "images.csv", dtype=text, keep_default_na=False).set_index("name")


def read_boxes(folder: Path) -> pd.DataFrame:
    """preprocess' `boxes.csv`: name, finding, left, top, right, bottom, as shares of the square image."""
    return pd.read_csv(folder / "boxes.csv")
