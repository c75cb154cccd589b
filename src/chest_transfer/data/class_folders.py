"""Archives of class folders: their members become a listing of radiographs with labels and patients."""

from collections import Counter
from pathlib import PurePosixPath

from chest_transfer.data.archives import Archive
from chest_transfer.data.dicom import is_dicom
from chest_transfer.data.file_kinds import is_image_name, may_be_dicom
from chest_transfer.data.layouts import ClassFolders
from chest_transfer.data.listed import FOLDERS_SHOWN, ListedRadiograph, Listing, first_members
from chest_transfer.errors import ChestTransferError

DICOM_HEADER_BYTES = 132
_SPLIT_FOLDERS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


def read_class_folders(layout: ClassFolders, archive: Archive, folders: dict[str, str]) -> Listing:
    """Return the radiographs of an archive.

    Args:
        layout: ClassFolders.
        archive: Archive.
        folders: dict of other names of class folders to classes, from the settings.

    Raises:
        ChestTransferError: a class has no radiographs, a split is incomplete, or there are two such layouts.
    """
    class_of = {_same_name(folder): name for name, folder in layout.folders.items()}
    class_of |= {_same_name(folder): name for folder, name in folders.items() if name in layout.folders}
    roots: dict[PurePosixPath, list[ListedRadiograph]] = {}
    other_folders = Counter()
    for member in archive.members:
        path = PurePosixPath(member)
        if not _is_image(archive, member):
            continue
        folder = path.parent
        if layout.images and _same_name(folder.name) == layout.images and _same_name(folder.parent.name) in class_of:
            folder = folder.parent
        split = _SPLIT_FOLDERS.get(folder.parent.name.lower())
        if _same_name(folder.name) not in class_of or (layout.splits and split is None):
            other_folders[str(path.parent)] += 1
            continue
        root = folder.parent.parent if split else folder.parent
        # The official validation split has 16 images, too few to use: it joins the training split.
        kept_split = "train" if layout.splits and split == "val" else split
        label = class_of[_same_name(folder.name)]
        roots.setdefault(root, []).append(
            ListedRadiograph(member, str(path.relative_to(root)), (label,), layout.patient_of(path.stem), kept_split)
        )
    return _shallowest_layout(layout, archive, roots, other_folders)


def _shallowest_layout(
    layout: ClassFolders, archive: Archive, roots: dict[PurePosixPath, list[ListedRadiograph]], other_folders: Counter
) -> Listing:
    complete = [root for root, radiographs in roots.items() if not _missing(layout, radiographs)]
    if not complete:
        raise _incomplete(layout, archive, roots, other_folders)
    depth = min(len(root.parts) for root in complete)
    shallowest = [root for root in complete if len(root.parts) == depth]
    if len(shallowest) > 1:
        raise ChestTransferError(
            f"'{archive.path}' holds the same layout twice: {', '.join(map(str, shallowest))}; keep one of them"
        )
    listing = Listing(sorted(roots[shallowest[0]], key=lambda radiograph: radiograph.name), other_folders=other_folders)
    for root, radiographs in roots.items():
        if root != shallowest[0]:
            is_copy = root in complete or root.is_relative_to(shallowest[0])
            listing.not_used["nested_copy" if is_copy else "other_folder"] += len(radiographs)
    if other_folders:
        listing.not_used["other_folder"] += other_folders.total()
    return listing


def _missing(layout: ClassFolders, radiographs: list[ListedRadiograph]) -> list[str]:
    """Return the classes and the official splits that a layout does not have."""
    classes = {label for radiograph in radiographs for label in radiograph.labels}
    splits = {radiograph.split for radiograph in radiographs}
    missing = [name for name in layout.folders if name not in classes]
    return missing + [split for split in ("train", "test") if layout.splits and split not in splits]


def _incomplete(layout: ClassFolders, archive: Archive, roots: dict, other_folders: Counter) -> ChestTransferError:
    fullest = min(roots.values(), key=lambda found: (len(_missing(layout, found)), -len(found)), default=[])
    present = Counter(str(PurePosixPath(radiograph.member).parent) for radiograph in fullest) + other_folders
    folders = ", ".join(f"{folder} ({count})" for folder, count in present.most_common(FOLDERS_SHOWN))
    if not fullest:
        classes = "|".join(layout.folders.values())
        expected = "/".join(filter(None, [layout.root, "train|test" * layout.splits, classes, layout.images]))
        held = f"folders of images: {folders}" if folders else first_members(archive)
        return ChestTransferError(
            f"'{archive.path}' holds no {expected}/*{layout.suffix}; it holds {held}; "
            "check `source` and `sources` in params.yaml"
        )
    missing = _missing(layout, fullest)
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


def _same_name(folder: str) -> str:
    """Return a folder's name without the differences that do not count."""
    return " ".join(folder.lower().replace("_", " ").replace("-", " ").split())


def _is_image(archive: Archive, member: str) -> bool:
    return is_image_name(member) or (may_be_dicom(member) and is_dicom(archive.start(member, DICOM_HEADER_BYTES)))
