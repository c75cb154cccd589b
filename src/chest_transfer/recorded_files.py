"""Files of an experiment as its dvc.lock records them, of this folder or a revision: out of DVC's cache or remote."""

import os
from pathlib import Path

from chest_transfer.errors import ChestTransferError
from chest_transfer.files import atomic_write
from chest_transfer.git import committed_file
from chest_transfer.lockfile import locked_outputs, parse_lock
from chest_transfer.storage import fetch_file


def text_of(path: str, revision: str | None) -> str:
    """Return a text file that Git keeps.

    Args:
        path: str.
        revision: str, of Git; None for this folder.

    Raises:
        ChestTransferError: there is none.
    """
    if revision is not None:
        content = committed_file(path, revision)
        if content is None:
            raise ChestTransferError(f"revision '{revision}' does not exist or has no '{path}'; see: git log --all")
        return content.decode(errors="replace")
    try:
        return Path(path).read_text(errors="replace")
    except FileNotFoundError:
        raise ChestTransferError(
            f"no '{path}' here, by which models are found; run from the project's folder, or give a file"
        ) from None


def recorded_outputs(revision: str | None) -> dict[str, str]:
    """Return the MD5 of every output in dvc.lock, by path; raises as `text_of` and `parse_lock`."""
    where = ("dvc.lock", "run: chest-transfer mend")
    if revision is not None:
        where = f"dvc.lock of revision '{revision}'", "see: git log -- dvc.lock"
    lock = parse_lock(text_of("dvc.lock", revision), *where)
    return {out["path"]: out["md5"] for out in locked_outputs(lock) if "md5" in out}


def recorded_file(path: Path, outputs: dict[str, str]) -> Path:
    """Return a copy of a file as dvc.lock records it, out of DVC's cache or remote.

    Args:
        path: Path in the project.
        outputs: dict of `recorded_outputs`.

    Raises:
        ChestTransferError: dvc.lock does not list it, or neither the cache nor the remote has it.
    """
    output = next((out for out in outputs if path.is_relative_to(out)), None)
    if output is None:
        raise ChestTransferError(f"dvc.lock does not list '{path}'; run: dvc repro")
    inside = path.relative_to(output).as_posix()
    copy = copies_folder() / f"{outputs[output]}-{path.name if inside == '.' else inside.replace('/', '-')}"
    if not copy.exists():
        with atomic_write(copy) as aside:
            fetch_file(output, outputs[output], inside, aside)
    return copy


def copies_folder() -> Path:
    """Return the folder of such copies, and of models that are packed from them."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "chest-transfer/models"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
