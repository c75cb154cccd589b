"""Which file of an archive each row of a table means: by its path, a part of it, or its name without the suffix."""

import unicodedata
from collections import defaultdict
from pathlib import PurePosixPath

from chest_transfer.data.file_kinds import IMAGE_SUFFIXES

Tails = dict[str, set[str]]


def match_images(cells: list[str], members: list[str]) -> list[set[str]]:
    """Return the files that each cell of a table may mean: none, one, or several of the same name.

    Case, backslashes, a drive and the suffix do not count, unless they tell two files apart. One path has to be the end
    of the other, so that `patient2/view1.jpg` is not taken for `patient1/view1.jpg`. A name without a folder is enough
    where it is that of one file; numbers then match whatever their leading zeros, which spreadsheets drop. The folder
    around all may have another name than in the table.

    Args:
        cells: list of str.
        members: list of str, the images' names in the archive.
    """
    exact = {"/".join(_parts(member, fold=False)): {member} for member in members}
    by_path, by_tail, by_number = _indexes(members)

    def found(cell: str) -> set[str]:
        if same := exact.get("/".join(_parts(cell, fold=False))):
            return same
        parts = _parts(cell)
        if not parts:
            return set()
        names = [["/".join([*parts[start:-1], name]) for start in range(len(parts))] for name in _names(parts)]
        for of_name in names:
            if whole := by_path.get(of_name[0]):
                return whole
        for of_name in names:
            if tail := by_tail.get(of_name[0]):
                return tail
            if end := next(filter(None, map(by_path.get, of_name[1:])), None):
                return end
        return by_number.get(_number(_names(parts)[-1]), set()) if len(parts) == 1 else set()

    renamed = _in_renamed_folder(cells, members)
    return [found(cell) or found(other) for cell, other in zip(cells, renamed, strict=True)]


def _in_renamed_folder(cells: list[str], members: list[str]) -> list[str]:
    """Return cells with the name of the folder that holds all files, where all cells have another one there."""
    (of_cells, *others), (of_members, *other) = (_outermost(paths) for paths in (cells, members))
    if others or other or "" in (of_cells, of_members) or of_cells == of_members:
        return cells
    return ["/".join([of_members, *_parts(cell, fold=False)[1:]]) for cell in cells]


def _outermost(paths: list[str]) -> set[str]:
    """Return the first folders of some paths; an empty one for a path without any."""
    return {parts[0] if len(parts) > 1 else "" for parts in map(_parts, paths)} or {""}


def _indexes(members: list[str]) -> tuple[Tails, Tails, Tails]:
    """Return the members by their whole paths, by every end of them, and by the number that is their name."""
    by_path, by_tail, by_number = defaultdict(set), defaultdict(set), defaultdict(set)
    for member in members:
        parts = _parts(member)
        for name in _names(parts):
            by_path["/".join([*parts[:-1], name])].add(member)
            for start in range(len(parts)):
                by_tail["/".join([*parts[start:-1], name])].add(member)
        by_number[_number(_names(parts)[-1])].add(member)
    return by_path, by_tail, by_number


def _parts(path: str, fold: bool = True) -> tuple[str, ...]:
    path = unicodedata.normalize("NFC", path).replace("\\", "/").replace("\N{NO-BREAK SPACE}", " ")
    parts = (" ".join(part.split()) for part in (path.lower() if fold else path).split("/"))
    return tuple(part for part in parts if part not in ("", "."))


def _names(parts: tuple[str, ...]) -> list[str]:
    """Return a file's name, and the same without the suffix of an image."""
    suffix = PurePosixPath(parts[-1]).suffix
    return [parts[-1], parts[-1][: -len(suffix)].rstrip()] if suffix in IMAGE_SUFFIXES else [parts[-1]]


def _number(name: str) -> str:
    return str(int(name)) if name.isascii() and name.isdigit() else name
