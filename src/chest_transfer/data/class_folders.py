"""Archives of class folders: their members become a listing of radiographs with labels and patients.

Folders are first read strictly: the split directly above or below the class. Only where that gives no complete layout,
they are read as people make them by unpacking several archives: with repeated names, and the split anywhere above.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import PurePosixPath

from chest_transfer.data.archive_images import image_members
from chest_transfer.data.archives import Archive
from chest_transfer.data.folder_errors import ambiguous, class_candidates, classes_above, incomplete, missing_from
from chest_transfer.data.layouts import ClassFolders, same_name, split_named
from chest_transfer.data.listed import ListedRadiograph, Listing
from chest_transfer.errors import ChestTransferError


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
    images = image_members(archive)

    @cache
    def grouped(read: _Reader) -> tuple[_Layouts, Counter]:
        return _grouped(layout, labels, images, keep_splits, read)

    for may_lack_classes, read in product((False, True), (_read_strictly, _read_leniently)):
        listing = _chosen(layout, archive, *grouped(read), may_lack_classes)
        if listing is not None:
            others = sorted(set(archive.members) - set(images))
            if count := sum(bool(read(layout, labels, _folders_of(member))) for member in others):
                listing.not_used["not_an_image"] = count
            return listing
    raise _problem(layout, archive, *grouped(_read_strictly))


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
    if len(parts) > 1 and (split := split_named(parts[-1])) and same_name(parts[-2]) in labels:
        return _ClassFolder(_Place(PurePosixPath(*parts[:-2]), "below"), split, labels[same_name(parts[-2])])
    if not parts or same_name(parts[-1]) not in labels:
        return None
    *parts, name = parts
    split = split_named(parts[-1]) if parts else None
    root = PurePosixPath(*(parts[:-1] if split else parts))
    return _ClassFolder(_Place(root, "above" if split else "none"), split, labels[same_name(name)])


def _read_leniently(layout: ClassFolders, labels: dict[str, str], parts: list[str]) -> _ClassFolder | None:
    """Return what a folder is where folders may repeat a class or a split, and others lie between them."""
    parts = _without_images_folder(layout, parts)
    if len(parts) > 1 and split_named(parts[-1], also_at_the_end=True) and same_name(parts[-2]) in labels:
        parts = [*parts[:-2], parts[-1], parts[-2]]
    if not parts or same_name(parts[-1]) not in labels:
        return None
    *parts, name = parts
    label = labels[same_name(name)]
    splits = [split_named(part, also_at_the_end=True) for part in parts]
    split = next(filter(None, reversed(splits)), None)
    parts = [part for part, named in zip(parts, splits, strict=True) if not split or named != split]
    if parts and labels.get(same_name(parts[-1])) == label:
        parts.pop()
    return _ClassFolder(_Place(PurePosixPath(*parts), "above" if split else "none"), split, label)


def _without_images_folder(layout: ClassFolders, parts: list[str]) -> list[str]:
    if layout.images and len(parts) > 1 and same_name(parts[-1]) == layout.images:
        return parts[:-1]
    if layout.images and len(parts) > 2 and same_name(parts[-2]) == layout.images and split_named(parts[-1]):
        return [*parts[:-2], parts[-1]]
    return parts


def _name_below(path: PurePosixPath, root: PurePosixPath) -> str:
    """Return a path without the folders that it begins with as `root` does."""
    shared = next((i for i, (a, b) in enumerate(zip(path.parts, root.parts, strict=False)) if a != b), len(root.parts))
    return str(PurePosixPath(*path.parts[shared:]))


def _chosen(
    layout: ClassFolders, archive: Archive, layouts: _Layouts, other_folders: Counter, may_lack_classes: bool
) -> Listing | None:
    """Return the complete layout: one that is split, in the fewest folders. Exact copies elsewhere are counted.

    Early releases of an archive lack a class. That is accepted where two are there, and nothing of the class.

    Returns:
        Listing; None where no layout is complete, or others of the same classes hold other radiographs.
    """
    absent = _absent(layout, layouts, other_folders) if may_lack_classes else set()

    def is_complete(radiographs: list[ListedRadiograph]) -> bool:
        classes, splits = missing_from(layout, radiographs)
        return set(classes) <= absent and len(layout.folders) - len(classes) > 1 and not splits

    complete = [place for place, radiographs in layouts.items() if is_complete(radiographs)]
    if not complete:
        return None
    used = min(complete, key=lambda place: (place.split == "none", len(place.root.parts)))
    if _others_of_the_same_classes(layout, archive, layouts, used):
        return None
    listing, seen = Listing([], other_folders=other_folders.copy()), set()
    for radiograph in sorted(layouts[used], key=lambda radiograph: radiograph.name):
        key = _identity(archive, radiograph)
        if key in seen:
            listing.not_used["nested_copy"] += 1
        else:
            listing.radiographs.append(radiograph)
        seen.add(key)
    for place, radiographs in layouts.items():
        if place != used:
            others = _not_among(archive, radiographs, layouts[used])
            listing.other_folders.update(str(PurePosixPath(one.member).parent) for one in others)
            listing.not_used["nested_copy"] += len(radiographs) - len(others)
    listing.not_used["other_folder"] += listing.other_folders.total()
    listing.not_used = +listing.not_used
    return listing


def _absent(layout: ClassFolders, layouts: _Layouts, other_folders: Counter) -> set[str]:
    """Return the classes of which nothing is there, none where a folder may be one under another name."""
    if class_candidates(layout, other_folders):
        return set()
    present = {label for radiographs in layouts.values() for one in radiographs for label in one.labels}
    return set(layout.folders) - present - set().union(*(classes_above(layout, folder) for folder in other_folders))


def _others_of_the_same_classes(
    layout: ClassFolders, archive: Archive, layouts: _Layouts, used: _Place
) -> list[ListedRadiograph]:
    """Return radiographs of another place that are no copies of those that are used, if it has all their classes."""
    classes = {one.labels for one in layouts[used]}
    for place, radiographs in layouts.items():
        if place != used and classes <= {one.labels for one in radiographs}:
            others = _not_among(archive, radiographs, layouts[used])
            if others:
                return others
    return []


def _not_among(
    archive: Archive, radiographs: list[ListedRadiograph], used: list[ListedRadiograph]
) -> list[ListedRadiograph]:
    """Return the radiographs that are no exact copies, of the same label and split, of those that are used.

    A copy that is in no split is one of any split.
    """
    splits_of: dict[tuple, set] = {}
    for one in used:
        splits_of.setdefault(_identity(archive, one)[:-1], {None}).add(one.split)
    return [one for one in radiographs if one.split not in splits_of.get(_identity(archive, one)[:-1], ())]


def _identity(archive: Archive, radiograph: ListedRadiograph) -> tuple:
    name = PurePosixPath(radiograph.member).name
    return name, archive.checksum(radiograph.member), radiograph.labels, radiograph.split


def _problem(layout: ClassFolders, archive: Archive, layouts: _Layouts, other_folders: Counter) -> ChestTransferError:
    """Return why no layout can be used."""
    complete = [place for place, radiographs in layouts.items() if not any(missing_from(layout, radiographs))]
    for used in complete:
        others = _others_of_the_same_classes(layout, archive, layouts, used)
        if others:
            return ambiguous(archive, layouts[used], others)
    return incomplete(layout, archive, list(layouts.values()), other_folders)
