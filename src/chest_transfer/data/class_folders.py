"""Archives of class folders: their members become a listing of radiographs with labels and patients."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from chest_transfer.data.archives import Archive
from chest_transfer.data.dicom import HEADER_BYTES, is_dicom
from chest_transfer.data.file_kinds import is_image_name, may_be_dicom
from chest_transfer.data.layouts import POOL_COMMAND, ClassFolders, same_name
from chest_transfer.data.listed import FOLDERS_SHOWN, ListedRadiograph, Listing, first_members
from chest_transfer.errors import ChestTransferError

_SPLIT_FOLDER = re.compile(r"(train|training|val|valid|validation|dev|test|testing) ?(set|data|dataset|images|split)?")
_SPLIT_WORDS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_PLAIN_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_ .+-]*")  # of a dictionary on Hydra's command line, without escapes
_WORDS_WITH_A_MEANING = ("true", "false", "null", "nan", "inf")  # there


@dataclass(frozen=True)
class _ClassFolder:
    """Where a class folder lies: the folder that the whole layout is in, the split, and the class."""

    root: PurePosixPath
    split: str | None
    label: str


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
        ChestTransferError: a class has no radiographs, a split is incomplete, or there are two such layouts.
    """
    labels = layout.class_of_name
    labels |= {same_name(name): labels[same_name(to)] for name, to in folders.items() if same_name(to) in labels}
    layouts: dict[tuple[PurePosixPath, bool], list[ListedRadiograph]] = {}
    listing, files_of_other_kinds = Listing([]), 0
    for member in archive.members:
        path = PurePosixPath(member)
        place = _class_folder(layout, labels, path.parent)
        if not _is_image(archive, member):
            files_of_other_kinds += place is not None
        elif place is None:
            listing.other_folders[str(path.parent)] += 1
        else:
            # The official validation split has 16 images, too few to use: it joins the training split.
            split = "train" if layout.splits and place.split == "val" else place.split
            layouts.setdefault((place.root, split is not None), []).append(
                ListedRadiograph(
                    member, _name_below(path, place.root), (place.label,), layout.patient_of(path.stem),
                    split if keep_splits else None,
                )
            )  # fmt: skip
    _use_shallowest(layout, archive, layouts, listing)
    listing.not_used |= {"not_an_image": files_of_other_kinds} if files_of_other_kinds else {}
    return listing


def _class_folder(layout: ClassFolders, labels: dict[str, str], folder: PurePosixPath) -> _ClassFolder | None:
    """Return what class folder a folder is, None if it is none.

    The split may be above the class or below it, and archives of one class or split often repeat its name.
    """
    parts = list(folder.parts)
    if layout.images and len(parts) > 1 and same_name(parts[-1]) == layout.images:
        parts.pop()
    if len(parts) > 1 and _split_named(parts[-1]):
        parts[-1], parts[-2] = parts[-2], parts[-1]
    label = labels.get(same_name(parts.pop())) if parts else None
    if label is None:
        return None
    split = next(filter(None, map(_split_named, reversed(parts))), None)
    parts = [part for part in parts if not split or _split_named(part) != split]
    while parts and labels.get(same_name(parts[-1])) == label:
        parts.pop()
    return _ClassFolder(PurePosixPath(*parts), split, label)


def _is_image(archive: Archive, member: str) -> bool:
    return is_image_name(member) or (may_be_dicom(member) and is_dicom(archive.start(member, HEADER_BYTES)))


def _split_named(folder: str) -> str | None:
    match = _SPLIT_FOLDER.fullmatch(same_name(folder))
    return match and _SPLIT_WORDS[match[1]]


def _name_below(path: PurePosixPath, root: PurePosixPath) -> str:
    """Return a path without the folders that it begins with as `root` does."""
    shared = next((i for i, (a, b) in enumerate(zip(path.parts, root.parts, strict=False)) if a != b), len(root.parts))
    return str(PurePosixPath(*path.parts[shared:]))


def _use_shallowest(layout: ClassFolders, archive: Archive, layouts: dict, listing: Listing) -> None:
    """Fill a listing from the complete layout in the fewest folders; count the radiographs of the others."""
    complete = [place for place, radiographs in layouts.items() if not any(_missing(layout, radiographs))]
    if not complete:
        raise _incomplete(layout, archive, layouts, listing.other_folders)
    depth = min(len(root.parts) for root, _ in complete)
    shallowest = [(root, is_split) for root, is_split in complete if len(root.parts) == depth]
    if len(shallowest) > 1:
        roots = dict.fromkeys(str(root) for root, _ in shallowest)
        places = roots if len(roots) > 1 else [*roots, "its folders of splits"]
        raise ChestTransferError(f"'{archive.path}' holds the same layout twice: {', '.join(places)}; keep one of them")
    used = shallowest[0]
    listing.radiographs = sorted(layouts.pop(used), key=lambda radiograph: radiograph.name)
    for place, radiographs in layouts.items():
        is_copy = place in complete or place[0].is_relative_to(used[0])
        listing.not_used["nested_copy" if is_copy else "other_folder"] += len(radiographs)
    if listing.other_folders:
        listing.not_used["other_folder"] += listing.other_folders.total()


def _missing(layout: ClassFolders, radiographs: list[ListedRadiograph]) -> tuple[list[str], list[str]]:
    """Return the classes that a layout lacks, and the splits that one which is split lacks."""
    classes = {label for radiograph in radiographs for label in radiograph.labels}
    splits = {radiograph.split for radiograph in radiographs} - {None}
    needed = ("train", "test") if layout.splits else ("train",)
    return (
        [name for name in layout.folders if name not in classes],
        [split for split in needed if splits and split not in splits],
    )


def _incomplete(layout: ClassFolders, archive: Archive, layouts: dict, other_folders: Counter) -> ChestTransferError:
    def lacks(radiographs: list[ListedRadiograph]) -> tuple[int, int]:
        return sum(map(len, _missing(layout, radiographs))), -len(radiographs)

    fullest = min(layouts.values(), key=lacks, default=[])
    present = Counter(str(PurePosixPath(radiograph.member).parent) for radiograph in fullest) + other_folders
    folders = ", ".join(f"{folder} ({count})" for folder, count in present.most_common(FOLDERS_SHOWN))
    classes, splits = _missing(layout, fullest)
    if not fullest:
        classes = "|".join(layout.folders.values())
        expected = "/".join(filter(None, [layout.root, "train|test" * layout.splits, classes, layout.images]))
        held = f"folders of images: {folders}" if folders else first_members(archive)
        problem = f"holds no {expected}/*{layout.suffix}; it holds {held}; check `source` and `sources` in params.yaml"
    elif classes:
        remedy = remedy_for_names(other_folders, classes)
        problem = f"holds no radiographs of {', '.join(classes)}; its folders of images: {folders}; {remedy}"
    else:
        problem = (
            f"is split, but holds no {' and no '.join(splits)} split; its folders of images: {folders}; "
            f"fetch the whole archive, or cut all splits anew: {POOL_COMMAND}"
        )
    return ChestTransferError(f"'{archive.path}' {problem}")


def remedy_for_names(other_folders: Counter, missing: list[str]) -> str:
    """Return what helps where folders of no class are there and classes are missing."""
    if not other_folders:
        return "check `source` and `sources` in params.yaml"
    names = {PurePosixPath(folder).name for folder in other_folders}
    name = names.pop() if len(names) == len(missing) == 1 else "FOLDER"
    classes = ", ".join(f"{name}: {label}" for label in missing)
    if _PLAIN_KEY.fullmatch(name) and name.lower() not in _WORDS_WITH_A_MEANING:
        return f"say which class a folder is: -S 'preprocess.folders={{{classes}}}'"
    return f"""say which class a folder is, in params.yaml under preprocess: 'folders: {{"{name}": {missing[0]}}}'"""
