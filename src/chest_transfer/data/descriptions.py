"""What an archive tells about its radiographs beside their labels: attributes of the patient, and boxes of findings."""

import re
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import pandas as pd

from chest_transfer.data.archive_tables import read_columns, read_sheet, table_of_labels
from chest_transfer.data.archives import Archive
from chest_transfer.data.findings import ALIASES
from chest_transfer.data.layouts import BOX_LIST, NIH_BOX_LIST
from chest_transfer.data.listed import ListedRadiograph
from chest_transfer.errors import ChestTransferError

ATTRIBUTES = ("sex", "age", "view", "subtype", "source")  # that define subgroups, where an archive has them
BOX_COLUMNS = ("name", "finding", "x", "y", "width", "height")
OLDEST_AGE = 120  # years; NIH's table has ages up to 414
_AGE_BANDS = {"0-17": 18, "18-39": 40, "40-59": 60, "60-79": 80, "80+": OLDEST_AGE + 1}  # the age where each ends
_AGE = re.compile(r"\s*0*(\d+(?:\.\d+)?)\s*([YMWD]?)\s*")
_UNITS_PER_YEAR = {"Y": 1, "": 1, "M": 12, "W": 52, "D": 365}  # of DICOM's age strings, part 5, 6.2
_SUBTYPES = re.compile(r"person\d+_(bacteria|virus)_|(BACTERIA|VIRUS)-")


def read_attributes(archive: Archive, radiographs: list[ListedRadiograph]) -> pd.DataFrame:
    """Return the attributes that an archive has of its radiographs.

    Returns:
        Table indexed by the radiographs' names, with those of the columns `ATTRIBUTES` that the archive has, as text,
        empty where unknown: `age` is a band, `view` PA or AP, `subtype` of pneumonia bacterial or viral, `source` the
        address in a metadata sheet.

    Raises:
        ChestTransferError: a metadata sheet lacks the column FILE NAME or URL.
    """
    columns = {"subtype": {radiograph.name: _pneumonia_subtype(radiograph) for radiograph in radiographs}}
    name_of_file = {PurePosixPath(radiograph.name).name: radiograph.name for radiograph in radiographs}
    if table_member := table_of_labels(archive):
        table = read_columns(archive, table_member, {0: "image", 4: "age", 5: "sex", 6: "view"})
        table["age"] = table["age"].map(age_band)
        for column in ("age", "sex", "view"):
            columns[column] = dict(zip(table["image"].map(name_of_file.get), table[column], strict=True))
    for member in archive.members:
        if member.endswith(".metadata.xlsx"):
            columns.setdefault("source", {}).update(_sources(archive, member, name_of_file))
    index = pd.Index([radiograph.name for radiograph in radiographs], name="name")
    table = pd.DataFrame(columns, index=index, columns=[name for name in ATTRIBUTES if name in columns]).fillna("")
    return table.loc[:, (table != "").any()]


def age_band(text: str) -> str:
    """Return the band of an age such as `058Y`, `018M`, `003W`, `58` or `58.0`; empty for what no patient can be."""
    match = _AGE.fullmatch(text)
    if match is None:
        return ""
    years = float(match[1]) / _UNITS_PER_YEAR[match[2]]
    return next((band for band, end in _AGE_BANDS.items() if years < end), "")


def read_box_list(archive: Archive, radiographs: list[ListedRadiograph], is_pool: bool = False) -> pd.DataFrame:
    """Return where findings are, in the archive's pixels: a table with the columns `BOX_COLUMNS`, often empty.

    Args:
        archive: Archive.
        radiographs: list of ListedRadiograph.
        is_pool: bool, whether each top folder is a dataset with a list of its own.
    """
    lists = box_lists_of(archive)
    if not is_pool:
        tables = [_read_box_list(archive, member, radiographs) for member in lists[:1]]
    else:
        tables = [
            _read_box_list(archive, member, [one for one in radiographs if one.name.startswith(_top_folder(member))])
            for member in {_top_folder(member): member for member in reversed(lists)}.values()
        ]
    tables = [table for table in tables if len(table)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(BOX_COLUMNS))


def _top_folder(member: str) -> str:
    return member.split("/", 1)[0] + "/"


def _read_box_list(archive: Archive, member: str, radiographs: list[ListedRadiograph]) -> pd.DataFrame:
    name_of_stem = {PurePosixPath(radiograph.name).stem.lower(): radiograph.name for radiograph in radiographs}
    table = read_columns(archive, member, dict(enumerate(BOX_COLUMNS)))
    try:
        table = table.astype(dict.fromkeys(BOX_COLUMNS[2:], float))
    except ValueError as error:
        raise ChestTransferError(f"'{archive.path}': {member}: {error}; fetch the archive again") from None
    table["name"] = table["name"].map(lambda name: name_of_stem.get(PurePosixPath(name).stem.lower()))
    table["finding"] = table["finding"].replace(ALIASES)
    return table.dropna()


def box_lists_of(archive: Archive) -> list[str]:
    """Return the members of an archive that list boxes: one, several copies of it, or mostly none."""
    return [member for member in archive.members if PurePosixPath(member).name in (BOX_LIST, NIH_BOX_LIST)]


def read_images(folder: Path) -> pd.DataFrame:
    """Read the table `images.csv` of `preprocess`, indexed by name; labels and attributes are text, maybe empty."""
    text = dict.fromkeys(
        ("name", "labels", "unknown", "unusual", "member", "patient", "split", "mode", "sex", "age", "view"), str
    )
    return _read_csv(folder / "images.csv", dtype=text, keep_default_na=False).set_index("name")


def read_boxes(folder: Path) -> pd.DataFrame:
    """Read the table `boxes.csv` of `preprocess`: name, finding, left, top, right, bottom (fractions of the square)."""
    return _read_csv(folder / "boxes.csv")


def _read_csv(path: Path, **options) -> pd.DataFrame:
    try:
        return pd.read_csv(path, **options)
    except FileNotFoundError:
        raise ChestTransferError(f"no table at '{path}'; run: dvc repro") from None


def _pneumonia_subtype(radiograph: ListedRadiograph) -> str:
    match = _SUBTYPES.match(PurePosixPath(radiograph.name).name)
    return {"bacteria": "bacterial", "virus": "viral"}[match[match.lastindex].lower()] if match else ""


def _sources(archive: Archive, member: str, name_of_file: dict[str, str]) -> dict[str, str]:
    """Return the source of each radiograph that a metadata sheet lists; sheets and files differ in upper case."""
    name_of_stem = {PurePosixPath(file).stem.lower(): name for file, name in name_of_file.items()}
    sheet = read_sheet(archive, member, {"FILE NAME", "URL"})
    stems = sheet["FILE NAME"].str.lower()
    return {
        name_of_stem[stem]: _site(url) for stem, url in zip(stems, sheet["URL"], strict=True) if stem in name_of_stem
    }


def _site(url: str) -> str:
    """Return the host of an address and its first two folders."""
    parts = urlsplit(url)
    if not parts.netloc:
        return url.strip()
    folders = [part for part in parts.path.split("/") if part]
    return "/".join([parts.netloc.removeprefix("www."), *folders[:2]])
