"""Files and folders that appear whole or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A path beside `target` to write a file or a folder to: it replaces `target` at the end, or is removed."""
    aside = target.with_name(target.name + ".partial")
    aside.parent.mkdir(parents=True, exist_ok=True)
    _remove(aside)
    try:
        yield aside
        if aside.is_dir():
            _remove(target)
        aside.replace(target)
    finally:
        _remove(aside)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
