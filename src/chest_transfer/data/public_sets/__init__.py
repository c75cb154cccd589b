"""Public datasets that come with tables: CheXpert, MIMIC-CXR, PadChest and others, described in public_sets.yaml."""

from functools import lru_cache
from importlib.resources import files

from pydantic import Field

from chest_transfer.data.own_section import TableColumns
from chest_transfer.sections import Section, Texts
from chest_transfer.yaml_files import parse_yaml


class TableFile(Section):
    """Tables of an archive, by a pattern of their names; one below the other where there are several.

    Args:
        file: str, such as `train.csv` or `mimic-cxr-*-split.csv*`.
        split: `train`, `val` or `test`, where all of its rows are of one.
        on: tuple of str, the columns by which it is joined to the tables before it; empty to put it below them.
    """

    file: str
    split: str = ""
    on: Texts = ()


class PublicSet(TableColumns):
    """A public dataset.

    Args:
        title: str.
        home: str, where it is described, and can be asked for.
        terms: str, under which it may be used.
        published: dict of int, its `images` and `patients` as published, where they are.
        tables: tuple of TableFile; empty for class folders, and for labels in names.
        label_in_name: str, a regular expression whose group in an image's name is its label.
    """

    title: str
    home: str
    terms: str
    published: dict[str, int] = Field(default_factory=dict)
    tables: tuple[TableFile, ...] = ()
    label_in_name: str = ""


@lru_cache
def public_sets() -> dict[str, PublicSet]:
    """Return the public datasets that come with tables, by name."""
    content = parse_yaml(files("chest_transfer.data.public_sets").joinpath("public_sets.yaml").read_bytes())
    return {name: PublicSet.model_validate(entry, strict=False) for name, entry in content.items()}
