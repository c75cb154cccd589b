"""How archives are laid out: class folders, NIH's tables, or prepared here; and how file names tell patients."""

import re
from collections.abc import Callable
from dataclasses import dataclass

POOL_COMMAND = "-S preprocess.splits=pooled"
SAMPLE_TABLE = "sample_labels.csv"  # of Kaggle's sample of 5,606 images
SPLIT_LISTS = {  # as Kaggle names NIH's lists, and as NIH does
    "train": ("train_val_list.txt", "train_val_list_NIH.txt"),
    "test": ("test_list.txt", "test_list_NIH.txt"),
}
BOX_LIST = "BBox_List_2017.csv"
NIH_BOX_LIST = "BBox_List_2017_Official_NIH.csv"  # the same, as NIH names it
NIH_SIDE = 1024  # pixels of NIH's own files, which the list refers to in resized versions as well


@dataclass(frozen=True)
class ClassFolders:
    """`<root>/[train|val|test/]<class>/[images/]<name>`; masks and nested copies are not used.

    Folders match whatever their case, and with `_`, `-` or a space between words. The split may also be below the
    class, and `train` be called `training set`, and so on.

    Args:
        root: str, the archive's top folder; any other is accepted as well.
        folders: dict, the folder name of each class.
        patient_of: function from a file's stem to the key of its patient, None where the name tells none.
        splits: bool, whether the public archive has train/, val/ and test/. Where it has not, somebody else's split is
            taken over, validation included.
        images: str or None, the folder inside a class folder that holds its images; also accepted without it.
        suffix: str, of the archive's files.
    """

    root: str
    folders: dict[str, str]
    patient_of: Callable[[str], str | None]
    splits: bool = False
    images: str | None = None
    suffix: str = ".png"

    @property
    def class_of_name(self) -> dict[str, str]:
        """The class that each `same_name` of a class folder or of a class itself means."""
        return {same_name(name): label for label, folder in self.folders.items() for name in (folder, label)}


@dataclass(frozen=True)
class NihTables:
    """`images_0xx/images/<patient>_<follow-up>.png` with `Data_Entry_2017.csv` and the two official split lists.

    Images may lie in any folders.

    Args:
        combinations: None for multi-label data; else tuple of the label combinations (`A|B`, sorted) that are classes.
        most_per_class: int or None, images of a class at most: the first in the order of `order_by_name_hash`.
    """

    combinations: tuple[str, ...] | None = None
    most_per_class: int | None = None


@dataclass(frozen=True)
class Prepared:
    """Images with a table that says all about them, as it is written of one's own radiographs, and of pools."""


def same_name(folder: str) -> str:
    """Return a folder's name without the differences that do not count."""
    return " ".join(folder.lower().replace("_", " ").replace("-", " ").split())


_SPLIT_WORDS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validate": "val", "validation": "val",
    "dev": "val", "test": "test", "testing": "test",
}  # fmt: skip
_SPLIT_FOLDER = re.compile(rf"({'|'.join(_SPLIT_WORDS)}) ?(set|data|dataset|images|split)?")
_SPLIT_AT_THE_END = re.compile(rf"(?:.* )?{_SPLIT_FOLDER.pattern}")


def split_named(folder: str, also_at_the_end: bool = False) -> str | None:
    """Return the split that a folder's name means, as `training_set`; also at the end of longer names, on request."""
    match = (_SPLIT_AT_THE_END if also_at_the_end else _SPLIT_FOLDER).fullmatch(same_name(folder))
    return match and _SPLIT_WORDS[match[1]]


_PNEUMONIA_NAMES = re.compile(
    r"person(?P<number>\d+)_(?P<subtype>bacteria|virus)_|(?P<prefix>(NORMAL2-)?IM)-(?P<normal>\d+)-"
    r"|(?P<kind>BACTERIA|VIRUS|NORMAL)-(?P<id>\d+)-"
)


def pneumonia_patient(stem: str) -> str | None:
    """Return the patient of a file of the children's pneumonia set, None if its name has another form.

    Numbers start again for each subtype and prefix: `person1_bacteria` and `person1_virus` are two patients.
    """
    match = _PNEUMONIA_NAMES.match(stem)
    if match is None:
        return None
    parts = match.groupdict()
    return next(
        f"{parts[kind]}-{parts[number]}"
        for kind, number in (("subtype", "number"), ("prefix", "normal"), ("kind", "id"))
        if parts[number]
    )


def no_patient(stem: str) -> None:
    """Return None: the archive does not tell its patients."""
