"""What is wrong with the class folders of an archive, and what helps, in one line."""

import re
from collections import Counter
from pathlib import PurePosixPath

from chest_transfer.data.archives import Archive
from chest_transfer.data.catalog import CATALOG
from chest_transfer.data.layouts import POOL_COMMAND, ClassFolders, same_name, split_named
from chest_transfer.data.listed import FOLDERS_SHOWN, ListedRadiograph, first_members
from chest_transfer.errors import ChestTransferError

_PLAIN_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_ .+-]*")  # of a dictionary on Hydra's command line, without escapes
_WORDS_WITH_A_MEANING = ("true", "false", "null", "nan", "inf")  # there


def missing_from(layout: ClassFolders, radiographs: list[ListedRadiograph]) -> tuple[list[str], list[str]]:
    """Return the classes that a layout lacks, and the splits that one which is split lacks."""
    classes = {label for radiograph in radiographs for label in radiograph.labels}
    splits = {radiograph.split for radiograph in radiographs} - {None}
    needed = ("train", "test") if layout.splits else ("train",)
    return (
        [name for name in layout.folders if name not in classes],
        [split for split in needed if splits and split not in splits],
    )


def incomplete(
    layout: ClassFolders, archive: Archive, layouts: list[list[ListedRadiograph]], other_folders: Counter
) -> ChestTransferError:
    """Return the error for an archive of which no layout has all classes and splits.

    Args:
        layout: ClassFolders.
        archive: Archive.
        layouts: radiographs in class folders, those of one place together.
        other_folders: how many images lie in folders that are of no class.
    """
    if not layouts:
        classes = "|".join(layout.folders.values())
        expected = "/".join(filter(None, [layout.root, "train|test" * layout.splits, classes, layout.images]))
        held = f"folders of images: {_listed(other_folders)}" if other_folders else first_members(archive)
        remedy = "check `source` and `sources` in params.yaml"
        if class_candidates(layout, other_folders):
            remedy += f", or {remedy_for_names(layout, other_folders, list(layout.folders))}"
        return ChestTransferError(f"'{archive.path}' holds no {expected}/*{layout.suffix}; it holds {held}; {remedy}")
    fullest = min(layouts, key=lambda found: (sum(map(len, missing_from(layout, found))), -len(found)))
    classes, splits = missing_from(layout, fullest)
    present = other_folders.copy()
    for found in layouts:
        present.update(str(PurePosixPath(radiograph.member).parent) for radiograph in found)
    elsewhere = [one for found in layouts if found is not fullest for one in found]
    if set(classes) & {label for one in elsewhere for label in one.labels}:
        problem, remedy = "has class folders in different folders", "put them into one"
    elif classes:
        problem, remedy = (
            f"holds no radiographs of {', '.join(classes)}",
            remedy_for_names(layout, other_folders, classes),
        )
    elif set(splits) & {one.split for one in elsewhere}:
        problem, remedy = "has split folders in different folders", "put them into one"
    else:
        names = {"train": "training"}
        problem = f"has split folders, but none for {' and '.join(names.get(split, split) for split in splits)}"
        remedy = f"fetch the whole archive, or make new splits from all images: {POOL_COMMAND}"
    return ChestTransferError(f"'{archive.path}' {problem}; its folders of images: {_listed(present)}; {remedy}")


def ambiguous(archive: Archive, one: list[ListedRadiograph], other: list[ListedRadiograph]) -> ChestTransferError:
    """Return the error for radiographs of all classes in two places that are not copies of each other."""
    is_split = any(radiograph.split for radiograph in (*one, *other))
    splits = "" if is_split else ", or name the folders train, val and test if they are splits"
    return ChestTransferError(
        f"'{archive.path}' holds radiographs of all classes in two places, {_listed(_folders(one), 2)}, ... and "
        f"{_listed(_folders(other), 2)}, ...; keep one of them{splits}"
    )


def remedy_for_names(layout: ClassFolders, other_folders: Counter, missing: list[str]) -> str:
    """Return what helps where folders of no class are there and classes are missing."""
    for label in missing:
        inside = [folder for folder in other_folders if label in classes_above(layout, folder)]
        if inside and not layout.images:
            return f"images of {label} lie in folders below its class folder ({inside[0]}, ...): move them up"
    names = class_candidates(layout, other_folders)
    if not names:
        return "check `source` and `sources` in params.yaml"
    if names == {"."}:
        return f"put the images that lie in no folder into one of their class, such as {missing[0]}"
    name = names.pop() if len(names) == len(missing) == 1 else "FOLDER"
    mapping = ", ".join(f"{name}: {label}" for label in missing)
    hint = _other_datasets_with(names | {name})
    if _PLAIN_KEY.fullmatch(name) and name.lower() not in _WORDS_WITH_A_MEANING:
        return f"{hint}state which class a folder belongs to: -S '+preprocess.folders={{{mapping}}}'"
    return (
        f"{hint}state which class a folder belongs to, in params.yaml under preprocess: "
        f"""'folders: {{"{name}": {missing[0]}}}'"""
    )


def _other_datasets_with(names: set[str]) -> str:
    """Return the advice to check the source, where folders are classes of other datasets; empty where they are not."""
    named = {
        (name, dataset.name)
        for name in names
        for dataset in CATALOG.values()
        if isinstance(dataset.layout, ClassFolders) and same_name(name) in dataset.layout.class_of_name
    }
    if not named:
        return ""
    folder, datasets = min(named)[0], sorted({dataset for _, dataset in named})
    return f"check `sources` in params.yaml ('{folder}' is a class of {', '.join(datasets)}), or "


def class_candidates(layout: ClassFolders, other_folders: Counter) -> set[str]:
    """Return the names of folders that may be a class under another name: those that are not below a class folder."""
    return {_name_of_class_folder(folder) for folder in other_folders if not classes_above(layout, folder)}


def classes_above(layout: ClassFolders, folder: str) -> set[str]:
    """Return the classes whose folders a folder is, or lies in."""
    classes = layout.class_of_name
    return {classes[same_name(part)] for part in PurePosixPath(folder).parts if same_name(part) in classes}


def _name_of_class_folder(folder: str) -> str:
    """Return the last name of a path that is not that of a split or of an `images` folder."""
    parts = list(PurePosixPath(folder).parts)
    while len(parts) > 1 and (split_named(parts[-1]) or same_name(parts[-1]) == "images"):
        parts.pop()
    return parts[-1] if parts else "."


def _folders(radiographs: list[ListedRadiograph]) -> Counter:
    return Counter(str(PurePosixPath(radiograph.member).parent) for radiograph in radiographs)


def _listed(folders: Counter, most: int = FOLDERS_SHOWN) -> str:
    return ", ".join(f"{folder} ({count})" for folder, count in folders.most_common(most))
