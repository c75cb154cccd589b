"""How each public archive lays out its radiographs: an archive's members become a listing with labels and patients."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from chest_transfer.data.archives import Archive
from chest_transfer.data.tables import read_columns, table_bytes
from chest_transfer.errors import ChestTransferError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".dcm", ".dicom")


@dataclass(frozen=True)
class Radiograph:
    """One image of an archive: where it is, what it shows, whose it is, and its official split if it has one."""

    member: str
    name: str
    labels: tuple[str, ...]
    patient: str | None
    split: str | None = None


@dataclass
class Listing:
    """What an archive holds: radiographs in order of name, and counts of what was left aside and why.

    A radiograph whose patient is unknown counts as a patient of its own.
    """

    radiographs: list[Radiograph]
    left_aside: Counter = field(default_factory=Counter)
    tables: dict[str, str] = field(default_factory=dict)  # table -> sha256: versions of one table differ in labels


@dataclass(frozen=True)
class ClassFolders:
    """`<root>/[train|val|test/]<class>/[images/]<name>`, and nothing else: masks and nested copies are no radiographs.

    Args:
        root: the archive's own top folder; any other is accepted as well.
        folders: class -> the name of its folder.
        patient_of: the patient-group key of a file's stem, None where the name holds none.
        splits: whether class folders lie within train/, val/ and test/.
        images: the folder inside a class folder that holds its images; also accepted without it.
        suffix: of the archive's files.
    """

    root: str
    folders: dict[str, str]
    patient_of: Callable[[str], str | None]
    splits: bool = False
    images: str | None = None
    suffix: str = ".png"

    def read(self, archive: Archive) -> Listing:
        class_of = {folder: name for name, folder in self.folders.items()}
        roots: dict[PurePosixPath, list[Radiograph]] = {}
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
            # The official validation split of 16 images is too small to use: it joins the training pool.
            official = {"test": "test", "train": "train", "val": "train"}.get(split)
            roots.setdefault(root, []).append(Radiograph(member, name, labels, self.patient_of(path.stem), official))
        return self._shallowest(archive, roots)

    def _shallowest(self, archive: Archive, roots: dict[PurePosixPath, list[Radiograph]]) -> Listing:
        whole = {
            root: found
            for root, found in roots.items()
            if not self.splits or {"train", "test"} <= {radiograph.split for radiograph in found}
        }
        if not whole:
            folders = "|".join(self.folders.values())
            expected = "/".join(filter(None, [self.root, "train|test" * self.splits, folders, self.images]))
            raise ChestTransferError(
                f"'{archive.path}' holds no {expected}/*{self.suffix}; it holds {_glimpse(archive)}; "
                "check `source` and `sources` in params.yaml"
            )
        depth = min(len(root.parts) for root in whole)
        shallowest = [root for root in whole if len(root.parts) == depth]
        if len(shallowest) > 1:
            raise ChestTransferError(
                f"'{archive.path}' holds the same layout twice: {', '.join(map(str, shallowest))}; leave one of them"
            )
        copies = sum(len(found) for root, found in roots.items() if root != shallowest[0])
        listing = Listing(sorted(whole[shallowest[0]], key=lambda radiograph: radiograph.name))
        if copies:
            listing.left_aside["nested_copy"] = copies
        return listing


FINDINGS = (
    "Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia",
    "Pneumothorax", "Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia",
)  # fmt: skip
# NIH's list of boxes spells it so.
FINDING_ALIASES = {"Infiltrate": "Infiltration"}


@dataclass(frozen=True)
class NihTables:
    """`images_0xx/images/<patient>_<follow-up>.png` with `Data_Entry_2017.csv` and the two official split lists.

    Args:
        combinations: None for multi-label; else the label combinations (`A|B`, sorted) that are the classes.
        most: at most so many images a class; the first by the hash of their name, so that order plays no part.
    """

    combinations: tuple[str, ...] | None = None
    most: int | None = None

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
                listing.left_aside["listed_but_absent"] += 1
            elif name not in split_of:
                listing.left_aside["in_neither_split_list"] += 1
            elif self.combinations is None:
                self._add(listing, members[name], name, labels, split_of[name])
            elif (combination := "|".join(labels) or "No Finding") in self.combinations:
                self._add(listing, members[name], name, (combination,), split_of[name])
            else:
                listing.left_aside["other_combination"] += 1
        images = sum(name.lower().endswith(IMAGE_SUFFIXES) for name in members)
        if unlisted := images - sum(name in members for name in labels_of):
            listing.left_aside["absent_from_table"] = unlisted
        if not listing.radiographs:
            raise ChestTransferError(
                f"'{archive.path}' holds no image that {table_name} lists; it holds {_glimpse(archive)}"
            )
        return self._capped(listing) if self.most else listing

    @staticmethod
    def _table(archive: Archive, members: dict[str, str]) -> str:
        for name in ("Data_Entry_2017.csv", "Data_Entry_2017_v2020.csv"):
            if name in members:
                return name
        raise ChestTransferError(f"'{archive.path}' holds no Data_Entry_2017.csv; it holds {_glimpse(archive)}")

    @staticmethod
    def _add(listing: Listing, member: str, name: str, labels: tuple[str, ...], split: str) -> None:
        listing.radiographs.append(Radiograph(member, name, labels, name.split("_")[0], split))

    def _capped(self, listing: Listing) -> Listing:
        taken: Counter = Counter()
        kept = []
        for radiograph in sorted(listing.radiographs, key=lambda r: hashlib.sha256(r.name.encode()).digest()):
            taken[radiograph.labels] += 1
            if taken[radiograph.labels] <= self.most:
                kept.append(radiograph)
        listing.left_aside["beyond_the_cap"] = len(listing.radiographs) - len(kept)
        listing.radiographs = sorted(kept, key=lambda radiograph: radiograph.name)
        return listing


def _labels_by_image(archive: Archive, member: str, content: bytes) -> dict[str, tuple[str, ...]]:
    """Image -> its findings, sorted; empty for `No Finding`."""
    where = f"{archive.path}: {PurePosixPath(member).name}"
    header = content[:200].decode("utf-8-sig", "replace")
    if not header.startswith("Image Index,Finding Labels,"):
        raise ChestTransferError(f"{where} starts with {header[:40]!r} where 'Image Index,Finding Labels,' should be")
    table = read_columns(archive, member, {0: "image", 1: "findings"})
    if (twice := table["image"].duplicated()).any():
        raise ChestTransferError(f"{where} lists {table.loc[twice, 'image'].iloc[0]} twice; mend the table")
    labels_of = {}
    for image, text in zip(table["image"], table["findings"], strict=True):
        findings = [FINDING_ALIASES.get(finding, finding) for finding in text.split("|") if finding != "No Finding"]
        if unknown := set(findings) - set(FINDINGS):
            raise ChestTransferError(
                f"{where} gives {image} the finding '{min(unknown)}' (known: {', '.join(FINDINGS)}); mend the table"
            )
        labels_of[image] = tuple(sorted(findings))
    return labels_of


_PNEUMONIA_NAMES = re.compile(
    r"person(?P<number>\d+)_(?P<subtype>bacteria|virus)_|(?P<prefix>(NORMAL2-)?IM)-(?P<normal>\d+)-"
    r"|(?P<kind>BACTERIA|VIRUS|NORMAL)-(?P<id>\d+)-"
)


def pneumonia_patient(stem: str) -> str | None:
    """The patient of a file of the children's pneumonia set: its numbers count anew for each subtype and prefix."""
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
    """For archives that name no patients."""


def _glimpse(archive: Archive) -> str:
    first = ", ".join(archive.members[:3])
    return f"{len(archive.members)} files ({first}, ...)" if first else "no files"
