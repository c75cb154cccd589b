"""Which file of an archive each row of a table means: by its path, a part of it, or its name without the suffix."""

from collections import Counter, defaultdict
from pathlib import PurePosixPath

from chest_transfer.data.file_kinds import IMAGE_SUFFIXES

Tails = dict[str, set[str]]


def match_images(cells: list[str], members: list[str]) -> list[set[str]]:
    """Return the files that each cell of a table may mean: none, one, or several of the same name.

    Case, backslashes, a drive and the suffix do not count. One path has to be the end of the other, so that
    `patient2/view1.jpg` is not taken for `patient1/view1.jpg`. A file's name alone is enough where all rows have
    different ones, and numbers match whatever their leading zeros, which spreadsheets drop.

    Args:
        cells: list of str.
        members: list of str, the images' names in the archive.
    """
    by_tail, by_path, by_name = _indexes(members)
    paths = [_parts(cell) for cell in cells]
    rows_with_name = Counter(_stem(parts) for parts in set(paths) if parts)

    def found(parts: tuple[str, ...]) -> set[str]:
        if not parts:
            return set()
        stem = _stem(parts)
        for name in (parts[-1], stem):
            if whole := by_tail.get("/".join([*parts[:-1], name])):
                return whole
            for start in range(1, len(parts)):
                if end := by_path.get("/".join([*parts[start:-1], name])):
                    return end
        return by_name.get(stem) or by_name.get(_number(stem), set()) if rows_with_name[stem] == 1 else set()

    return [found(parts) for parts in paths]


def _indexes(members: list[str]) -> tuple[Tails, Tails, Tails]:
    """Return the members by every end of their paths, by their whole paths, and by their names alone."""
    by_tail, by_path, by_name = defaultdict(set), defaultdict(set), defaultdict(set)
    for member in members:
        parts = _parts(member)
        stem = _stem(parts)
        for name in {parts[-1], stem}:
            by_path["/".join([*parts[:-1], name])].add(member)
            for start in range(len(parts)):
                by_tail["/".join([*parts[start:-1], name])].add(member)
        for name in {stem, _number(stem)}:
            by_name[name].add(member)
    return by_tail, by_path, by_name


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.lower().replace("\\", "/").split("/") if part not in ("", "."))


def _stem(parts: tuple[str, ...]) -> str:
    suffix = PurePosixPath(parts[-1]).suffix
    return parts[-1][: -len(suffix)] if suffix in IMAGE_SUFFIXES else parts[-1]


def _number(stem: str) -> str:
    return str(int(stem)) if stem.isascii() and stem.isdigit() else stem
