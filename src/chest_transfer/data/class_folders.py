"""Archives of class folders: their members become a listing of radiographs with labels and patients.

Folders are first read strictly: the split directly above or below the class. Only where that gives no complete layout,
they are read as people make them by unpacking several archives: with repeated names, and the split anywhere above.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import PurePosixPath

from chest_transfer.data.archives import Archive
from chest_transfer.data.dicom import HEADER_BYTES, is_dicom
from chest_transfer.data.file_kinds import is_image_name, may_be_dicom
from chest_transfer.data.folder_errors import ambiguous, class_candidates, incomplete, missing_from
from chest_transfer.data.layouts import ClassFolders, same_name
from chest_transfer.data.listed import ListedRadiograph, Listing
from chest_transfer.errors import ChestTransferError

_SPLIT_WORDS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_SPLIT_FOLDER = re.compile(rf"({'|'.join(_SPLIT_WORDS)}) ?(set|data|dataset|images|split)?")
_SPLIT_AT_THE_END = re.compile(rf"(?:.* )?{_SPLIT_FOLDER.pattern}")


@dataclass(frozen=True)
class _Place:
    """Where class folders lie: the folder that the whole layout is in, and where the split is: above, below or none."""

    root: PurePosixPath
    split: str


@dataclass(frozen=True)
class _ClassFolder:
    place: _Place
    split: str | None
    label: str


_Layouts = dict[_Place, list[ListedRadiograph]]
_Reader = Callable[[ClassFolders, dict[str, str], list[str]], _ClassFolder | None]


def read_class_folders(
    layout: ClassFolders, archive: Archive, folders: Mapping[str, str], keep_splits: bool
) -> Listing:
    """Return the radiographs of an archive.

    Args:
        layout: ClassFolders.
        archive: Archive.
        folders: dict of other names of class folders to classes, from the settings.
        keep_splits: bool, whether splits that the archive has are read.

    Raises:
        ChestTransferError: a class may lie under another name, fewer than two have radiographs, a split is missing, or
            radiographs lie in two such layouts.
    """
    labels = layout.class_of_name
    labels |= {same_name(name): labels[same_name(to)] for name, to in folders.items() if same_name(to) in labels}
    images = [member for member in archive.members if _is_image(archive, member)]
    errors = []
    for may_lack_classes, read in product((False, True), (_read_strictly, _read_leniently)):
        layouts, other_folders = _grouped(layout, labels, images, keep_splits, read)
        try:
            listing = _chosen(layout, archive, layouts, other_folders, may_lack_classes)
        except ChestTransferError as error:
            errors.append(error)
            continue
        others = sorted(set(archive.members) - set(images))
        if count := sum(bool(read(layout, labels, _folders_of(member))) for member in others):
            listing.not_used["not_an_image"] = count
        return listing
    raise errors[0]


def _is_image(archive: Archive, member: str) -> bool:
    return is_image_name(member) or (may_be_dicom(member) and is_dicom(archive.start(member, HEADER_BYTES)))


def _folders_of(member: str) -> list[str]:
    return list(PurePosixPath(member).parent.parts)


def _grouped(
    layout: ClassFolders, labels: dict[str, str], images: list[str], keep_splits: bool, read: _Reader
) -> tuple[_Layouts, Counter]:
    """Return the radiographs of each place, and how many images lie in folders of no class."""
    layouts: _Layouts = {}
    other_folders = Counter()
    for member in images:
        path, folder = PurePosixPath(member), read(layout, labels, _folders_of(member))
        if folder is None:
            other_folders[str(path.parent)] += 1
            continue
        # The official validation split has 16 images, too few to use: it joins the training split.
        split = "train" if layout.splits and folder.split == "val" else folder.split
        name, patient = _name_below(path, folder.place.root), layout.patient_of(path.stem)
        radiograph = ListedRadiograph(member, name, (folder.label,), patient, split if keep_splits else None)
        layouts.setdefault(folder.place, []).append(radiograph)
    return layouts, other_folders


def _read_strictly(layout: ClassFolders, labels: dict[str, str], parts: list[str]) -> _ClassFolder | None:
    """Return what a folder is, as `root/[split/]class[/split][/images]`; None if it is no class folder."""
    parts = _without_images_folder(layout, parts)
    if len(parts) > 1 and (split := _split_named(parts[-1])) and same_name(parts[-2]) in labels:
        return _ClassFolder(_Place(PurePosixPath(*parts[:-2]), "below"), split, labels[same_name(parts[-2])])
    if not parts or same_name(parts[-1]) not in labels:
        return None
    *parts, name = parts
    split = _split_named(parts[-1]) if parts else None
    root = PurePosixPath(*(parts[:-1] if split else parts))
    return _ClassFolder(_Place(root, "above" if split else "none"), split, labels[same_name(name)])


def _read_leniently(layout: ClassFolders, labels: dict[str, str], parts: list[str]) -> _ClassFolder | None:
    """Return what a folder is where folders may repeat a class or a split, and others lie between them."""
    parts = _without_images_folder(layout, parts)
    if len(parts) > 1 and _split_named(parts[-1], _SPLIT_AT_THE_END) and same_name(parts[-2]) in labels:
        parts = [*parts[:-2], parts[-1], parts[-2]]
    if not parts or same_name(parts[-1]) not in labels:
        return None
    *parts, name = parts
    label = labels[same_name(name)]
    splits = [_split_named(part, _SPLIT_AT_THE_END) for part in parts]
    split = next(filter(None, reversed(splits)), None)
    if split:
        end = start = len(splits) - 1 - splits[::-1].index(split)
        while start > 0 and splits[start - 1] == split:
            start -= 1
        del parts[start : end + 1]
    while parts and labels.get(same_name(parts[-1])) == label:
        parts.pop()
    return _ClassFolder(_Place(PurePosixPath(*parts), "above" if split else "none"), split, label)


def _without_images_folder(layout: ClassFolders, parts: list[str]) -> list[str]:
    if layout.images and len(parts) > 1 and same_name(parts[-1]) == layout.images:
        return parts[:-1]
    if layout.images and len(parts) > 2 and same_name(parts[-2]) == layout.images and _split_named(parts[-1]):
        return [*parts[:-2], parts[-1]]
    return parts


def _split_named(folder: str, pattern: re.Pattern = _SPLIT_FOLDER) -> str | None:
    match = pattern.fullmatch(same_name(folder))
    return match and _SPLIT_WORDS[match[1]]


def _name_below(path: PurePosixPath, root: PurePosixPath) -> str:
    """Return a path without the folders that it begins with as `root` does."""
    shared = next((i for i, (a, b) in enumerate(zip(path.parts, root.parts, strict=False)) if a != b), len(root.parts))
    return str(PurePosixPath(*path.parts[shared:]))


def _chosen(
    layout: ClassFolders, archive: Archive, layouts: _Layouts, other_folders: Counter, may_lack_classes: bool
) -> Listing:
    """Return the complete layout in the fewest folders; exact copies of its radiographs elsewhere are counted.

    Early releases of an archive lack a class. That is accepted where two are there, and no folder may be the class
    under another name.

    Raises:
        ChestTransferError: no layout is complete; another one of all classes holds other radiographs.
    """
    fewest = len(layout.folders)
    if may_lack_classes and not class_candidates(layout, other_folders):
        fewest = 2

    def is_complete(radiographs: list[ListedRadiograph]) -> bool:
        classes, splits = missing_from(layout, radiographs)
        return len(layout.folders) - len(classes) >= fewest and not splits

    complete = [place for place, radiographs in layouts.items() if is_complete(radiographs)]
    if not complete:
        raise incomplete(layout, archive, layouts.values(), other_folders)
    used = min(complete, key=lambda place: len(place.root.parts))
    if replace(used, split="none") in layouts and any(replace(used, split=to) in layouts for to in ("above", "below")):
        raise ambiguous(archive, layouts[used], layouts[next(p for p in layouts if p.root == used.root and p != used)])
    listing = Listing([], other_folders=other_folders.copy())
    seen = set()
    for radiograph in sorted(layouts[used], key=lambda radiograph: radiograph.name):
        key = _identity(archive, radiograph), radiograph.labels, radiograph.split
        if key in seen:
            listing.not_used["nested_copy"] += 1
        else:
            listing.radiographs.append(radiograph)
        seen.add(key)
    copies = {identity for identity, *_ in seen}
    for place, radiographs in layouts.items():
        others = [one for one in radiographs if _identity(archive, one) not in copies] if place != used else []
        if others and not missing_from(layout, radiographs)[0]:
            raise ambiguous(archive, listing.radiographs, others)
        listing.other_folders.update(str(PurePosixPath(one.member).parent) for one in others)
        listing.not_used["nested_copy"] += len(radiographs) - len(others) if place != used else 0
    listing.not_used["other_folder"] += listing.other_folders.total()
    listing.not_used = +listing.not_used
    return listing


def _identity(archive: Archive, radiograph: ListedRadiograph) -> tuple:
    return PurePosixPath(radiograph.member).name, archive.checksum(radiograph.member)
