"""Archives of class folders: their members become a listing of radiographs with labels and patients."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from chest_transfer.data.archives import Archive
from chest_transfer.data.dicom import is_dicom
from chest_transfer.data.file_kinds import is_image_name, may_be_dicom
from chest_transfer.errors import ChestTransferError

FOLDERS_SHOWN = 8  # in an error
DICOM_HEADER_BYTES = 132
_SPLIT_FOLDERS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


@dataclass(frozen=True)
class ListedRadiograph:
    """One image of an archive.

    Args:
        member: str, its name in the zip file.
        name: str, how this project calls it: unique in its dataset.
        labels: tuple of str, its classes.
        patient: str or None, the key of its patient where the archive tells.
        split: `train`, `val` or `test` where the archive is split.
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
        other_folders: how many images lie in folders that are of no class.
    """

    radiographs: list[ListedRadiograph]
    not_used: Counter = field(default_factory=Counter)
    tables: dict[str, str] = field(default_factory=dict)
    other_folders: Counter = field(default_factory=Counter)


@dataclass(frozen=True)
class ClassFolders:
    """`<root>/[train|val|test/]<class>/[images/]<name>`; masks and nested copies are not used.

    Folders match whatever their case, and with `_`, `-` or a space between words.

    Args:
        root: str, the archive's top folder; any other is accepted as well.
        folders: dict, the folder name of each class.
        patient_of: function from a file's stem to the key of its patient, None where the name tells none.
        splits: bool, whether class folders are within train/, val/ and test/. Where they are not in the public archive,
            somebody else's split is taken over, validation included.
        images: str or None, the folder inside a class folder that holds its images; also accepted without it.
        suffix: str, of the archive's files.
    """

    root: str
    folders: dict[str, str]
    patient_of: Callable[[str], str | None]
    splits: bool = False
    images: str | None = None
    suffix: str = ".png"

    def read(self, archive: Archive, folders: dict[str, str] | None = None) -> Listing:
        """Return the radiographs of an archive.

        Args:
            archive: Archive.
            folders: dict of other names of class folders to classes, from the settings.

        Raises:
            ChestTransferError: a class has no radiographs, a split is incomplete, or there are two such layouts.
        """
        class_of = {_same_name(folder): name for name, folder in self.folders.items()}
        class_of |= {_same_name(folder): name for folder, name in (folders or {}).items() if name in self.folders}
        roots: dict[PurePosixPath, list[ListedRadiograph]] = {}
        other_folders = Counter()
        for member in archive.members:
            path = PurePosixPath(member)
            if not _is_image(archive, member):
                continue
            folder = path.parent
            if self.images and _same_name(folder.name) == self.images and _same_name(folder.parent.name) in class_of:
                folder = folder.parent
            split = _SPLIT_FOLDERS.get(folder.parent.name.lower())
            if _same_name(folder.name) not in class_of or (self.splits and split is None):
                other_folders[str(path.parent)] += 1
                continue
            root = folder.parent.parent if split else folder.parent
            # The official validation split has 16 images, too few to use: it joins the training split.
            kept_split = "train" if self.splits and split == "val" else split
            label = class_of[_same_name(folder.name)]
            roots.setdefault(root, []).append(
                ListedRadiograph(member, str(path.relative_to(root)), (label,), self.patient_of(path.stem), kept_split)
            )
        return self._shallowest_layout(archive, roots, other_folders)

    def _shallowest_layout(
        self, archive: Archive, roots: dict[PurePosixPath, list[ListedRadiograph]], other_folders: Counter
    ) -> Listing:
        complete = [root for root, radiographs in roots.items() if not self._missing(radiographs)]
        if not complete:
            raise self._incomplete(archive, roots, other_folders)
        depth = min(len(root.parts) for root in complete)
        shallowest = [root for root in complete if len(root.parts) == depth]
        if len(shallowest) > 1:
            raise ChestTransferError(
                f"'{archive.path}' holds the same layout twice: {', '.join(map(str, shallowest))}; keep one of them"
            )
        listing = Listing(
            sorted(roots[shallowest[0]], key=lambda radiograph: radiograph.name), other_folders=other_folders
        )
        for root, radiographs in roots.items():
            reason = "nested_copy" if root in complete else "other_folder"
            if root != shallowest[0]:
                listing.not_used[reason] += len(radiographs)
        if other_folders:
            listing.not_used["other_folder"] += other_folders.total()
        return listing

    def _missing(self, radiographs: list[ListedRadiograph]) -> list[str]:
        """Return the classes and the official splits that a layout does not have."""
        classes = {label for radiograph in radiographs for label in radiograph.labels}
        splits = {radiograph.split for radiograph in radiographs}
        missing = [name for name in self.folders if name not in classes]
        return missing + [split for split in ("train", "test") if self.splits and split not in splits]

    def _incomplete(self, archive: Archive, roots: dict, other_folders: Counter) -> ChestTransferError:
        fullest = min(roots.values(), key=lambda found: (len(self._missing(found)), -len(found)), default=[])
        present = Counter(str(PurePosixPath(radiograph.member).parent) for radiograph in fullest) + other_folders
        folders = ", ".join(f"{folder} ({count})" for folder, count in present.most_common(FOLDERS_SHOWN))
        if not fullest:
            classes = "|".join(self.folders.values())
            expected = "/".join(filter(None, [self.root, "train|test" * self.splits, classes, self.images]))
            held = f"folders of images: {folders}" if folders else first_members(archive)
            return ChestTransferError(
                f"'{archive.path}' holds no {expected}/*{self.suffix}; it holds {held}; "
                "check `source` and `sources` in params.yaml"
            )
        missing = self._missing(fullest)
        return ChestTransferError(
            f"'{archive.path}' holds no radiographs of {', '.join(missing)}; its folders of images: {folders}; "
            f"{remedy_for_names(other_folders, missing)}"
        )


def remedy_for_names(other_folders: Counter, missing: list[str]) -> str:
    """Return what helps where folders of no class are there and classes are missing."""
    if not other_folders:
        return "check `source` and `sources` in params.yaml"
    [(folder, _)] = other_folders.most_common(1)
    return f"tell which class a folder is: -S 'preprocess.folders={{{PurePosixPath(folder).name}: {missing[0]}}}'"


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


def _same_name(folder: str) -> str:
    """Return a folder's name without the differences that do not count."""
    return " ".join(folder.lower().replace("_", " ").replace("-", " ").split())


def _is_image(archive: Archive, member: str) -> bool:
    return is_image_name(member) or (may_be_dicom(member) and is_dicom(archive.start(member, DICOM_HEADER_BYTES)))


def no_patient(stem: str) -> None:
    """Return None: the archive does not tell its patients."""


def first_members(archive: Archive) -> str:
    """Return how many files an archive holds, and the first of them, for errors."""
    first = ", ".join(archive.members[:3])
    return f"{len(archive.members)} files ({first}, ...)" if first else "no files"
