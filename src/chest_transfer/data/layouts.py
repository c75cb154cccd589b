"""How each public archive is laid out: its members become a listing of radiographs with labels and patients."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from chest_transfer.data.archive_tables import read_columns, table_bytes
from chest_transfer.data.archives import Archive
from chest_transfer.data.findings import ALIASES, NIH_FINDINGS, NO_FINDING
from chest_transfer.data.selection import order_by_name_hash
from chest_transfer.errors import ChestTransferError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".dcm", ".dicom")


@dataclass(frozen=True)
class ListedRadiograph:
    """One image of an archive.

    Args:
        member: str, its name in the zip file.
        name: str, how this project calls it: unique in its dataset.
        labels: tuple of str, its classes.
        patient: str or None, the key of its patient where the archive tells.
        split: `train` or `test` where the archive has an official split.
    """

    member: str
    name: str
    labels: tuple[str, ...]
    patient: str | None
    split: str | None = None


@dataclass
class Listing:
    """The radiographs of an archive, in the order of their names.

    A radiograph whose patient is unknown counts as a patient of its own.

    Args:
        radiographs: list of ListedRadiograph.
        not_used: how many images were not used, by reason.
        tables: SHA-256 of each table that was read: versions of one table differ in labels.
    """

    radiographs: list[ListedRadiograph]
    not_used: Counter = field(default_factory=Counter)
    tables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ClassFolders:
    """`<root>/[train|val|test/]<class>/[images/]<name>`; masks and nested copies are not used.

    Args:
        root: str, the archive's top folder; any other is accepted as well.
        folders: dict, the folder name of each class.
        patient_of: function from a file's stem to the key of its patient, None where the name tells none.
        splits: bool, whether class folders are within train/, val/ and test/.
        images: str or None, the folder inside a class folder that holds its images; also accepted without it.
        suffix: str, of the archive's files.
    """

    root: str
    folders: dict[str, str]
    patient_of: Callable[[str], str | None]
    splits: bool = False
    images: str | None = None
    suffix: str = ".png"

    def read(self, archive: Archive) -> Listing:
        class_of = {folder: name for name, folder in self.folders.items()}
        roots: dict[PurePosixPath, list[ListedRadiograph]] = {}
        for member in archive.members:
            path = PurePosixPath(member)
            if path.suffix.lower() not in IMAGE_SUFFIXES:
                continue
            folder = path.parent.parent if path.parent.name == self.images else path.parent
            split, root = (folder.parent.name, folder.parent.parent) if self.splits else (None, folder.parent)
            if folder.name not in class_of or (self.splits and split not in ("train", "val", "test")):
                continue
            labels = (class_of[folder.name],)
            name = str(path.relative_to(root))
            # The official validation split has 16 images, too few to use: it joins the training split.
            official = {"test": "test", "train": "train", "val": "train"}.get(split)
            roots.setdefault(root, []).append(
                ListedRadiograph(member, name, labels, self.patient_of(path.stem), official)
            )
        return self._shallowest_layout(archive, roots)

    def _shallowest_layout(self, archive: Archive, roots: dict[PurePosixPath, list[ListedRadiograph]]) -> Listing:
        complete = {
            root: radiographs
            for root, radiographs in roots.items()
            if not self.splits or {"train", "test"} <= {radiograph.split for radiograph in radiographs}
        }
        if not complete:
            folders = "|".join(self.folders.values())
            expected = "/".join(filter(None, [self.root, "train|test" * self.splits, folders, self.images]))
            raise ChestTransferError(
                f"'{archive.path}' holds no {expected}/*{self.suffix}; it holds {_first_members(archive)}; "
                "check `source` and `sources` in params.yaml"
            )
        depth = min(len(root.parts) for root in complete)
        shallowest = [root for root in complete if len(root.parts) == depth]
        if len(shallowest) > 1:
            raise ChestTransferError(
                f"'{archive.path}' holds the same layout twice: {', '.join(map(str, shallowest))}; keep one of them"
            )
        copies = sum(len(radiographs) for root, radiographs in roots.items() if root != shallowest[0])
        listing = Listing(sorted(complete[shallowest[0]], key=lambda radiograph: radiograph.name))
        if copies:
            listing.not_used["nested_copy"] = copies
        return listing


@dataclass(frozen=True)
class NihTables:
    """`images_0xx/images/<patient>_<follow-up>.png` with `Data_Entry_2017.csv` and the two official split lists.

    Args:
        combinations: None for multi-label data; else tuple of the label combinations (`A|B`, sorted) that are classes.
        most_per_class: int or None, images of a class at most: the first in the order of `order_by_name_hash`.
    """

    combinations: tuple[str, ...] | None = None
    most_per_class: int | None = None

    def read(self, archive: Archive) -> Listing:
        members = {PurePosixPath(member).name: member for member in reversed(archive.members)}
        table_name = self._table(archive, members)
        content = table_bytes(archive, members[table_name])
        listing = Listing([], tables={table_name: hashlib.sha256(content).hexdigest()})
        split_of = {}
        for split, list_name in (("train", "train_val_list.txt"), ("test", "test_list.txt")):
            if list_name not in members:
                raise ChestTransferError(f"'{archive.path}' holds no {list_name}; fetch the whole archive")
            listed = dict.fromkeys(table_bytes(archive, members[list_name]).decode("utf-8-sig").split(), split)
            if both := split_of.keys() & listed.keys():
                raise ChestTransferError(f"'{archive.path}' lists {min(both)} to train and to test; fetch it again")
            split_of |= listed
        labels_of = _labels_by_image(archive, members[table_name], content)
        for name, labels in sorted(labels_of.items()):
            if name not in members:
                listing.not_used["listed_but_absent"] += 1
            elif name not in split_of:
                listing.not_used["in_neither_split_list"] += 1
            elif self.combinations is None:
                self._add(listing, members[name], name, labels, split_of[name])
            elif (combination := "|".join(labels) or NO_FINDING) in self.combinations:
                self._add(listing, members[name], name, (combination,), split_of[name])
            else:
                listing.not_used["other_combination"] += 1
        images = sum(name.lower().endswith(IMAGE_SUFFIXES) for name in members)
        if unlisted := images - sum(name in members for name in labels_of):
            listing.not_used["absent_from_table"] = unlisted
        if not listing.radiographs:
            raise ChestTransferError(
                f"'{archive.path}' holds no image that {table_name} lists; it holds {_first_members(archive)}"
            )
        return self._cap(listing) if self.most_per_class else listing

    @staticmethod
    def _table(archive: Archive, members: dict[str, str]) -> str:
        for name in ("Data_Entry_2017.csv", "Data_Entry_2017_v2020.csv"):
            if name in members:
                return name
        raise ChestTransferError(f"'{archive.path}' holds no Data_Entry_2017.csv; it holds {_first_members(archive)}")

    @staticmethod
    def _add(listing: Listing, member: str, name: str, labels: tuple[str, ...], split: str) -> None:
        listing.radiographs.append(ListedRadiograph(member, name, labels, name.split("_")[0], split))

    def _cap(self, listing: Listing) -> Listing:
        kept, images_of = [], Counter()
        for row in order_by_name_hash([radiograph.name for radiograph in listing.radiographs]):
            radiograph = listing.radiographs[row]
            images_of[radiograph.labels] += 1
            if images_of[radiograph.labels] <= self.most_per_class:
                kept.append(radiograph)
        listing.not_used["beyond_the_cap"] = len(listing.radiographs) - len(kept)
        listing.radiographs = sorted(kept, key=lambda radiograph: radiograph.name)
        return listing


def _labels_by_image(archive: Archive, member: str, content: bytes) -> dict[str, tuple[str, ...]]:
    """Return the findings of each image, sorted; none for `NO_FINDING`."""
    where = f"{archive.path}: {PurePosixPath(member).name}"
    header = content[:200].decode("utf-8-sig", "replace")
    if not header.startswith("Image Index,Finding Labels,"):
        raise ChestTransferError(f"{where} starts with {header[:40]!r} where 'Image Index,Finding Labels,' should be")
    table = read_columns(archive, member, {0: "image", 1: "findings"})
    if (repeated := table["image"].duplicated()).any():
        raise ChestTransferError(f"{where} lists {table.loc[repeated, 'image'].iloc[0]} twice; correct the table")
    labels_of = {}
    for image, text in zip(table["image"], table["findings"], strict=True):
        findings = [ALIASES.get(finding, finding) for finding in text.split("|") if finding != NO_FINDING]
        if unknown := set(findings) - set(NIH_FINDINGS):
            raise ChestTransferError(
                f"{where} gives {image} the finding '{min(unknown)}' (known: {', '.join(NIH_FINDINGS)}); correct it"
            )
        labels_of[image] = tuple(sorted(findings))
    return labels_of


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


def _first_members(archive: Archive) -> str:
    first = ", ".join(archive.members[:3])
    return f"{len(archive.members)} files ({first}, ...)" if first else "no files"
