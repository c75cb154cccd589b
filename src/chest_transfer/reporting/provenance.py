"""Where numbers come from: the commit with the files that were changed since, or what they were computed with."""

import hashlib
from pathlib import Path

from chest_transfer.errors import ChestTransferError
from chest_transfer.git import git

SOURCES = ("src", "stages", "params.yaml", "dvc.yaml")


def provenance() -> str:
    """Return a sentence with the commit, and with the files that were changed since."""
    try:
        commit = git("rev-parse", "--short=12", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no", "--", *SOURCES)
    except ChestTransferError:
        return "Made outside of a Git repository: the commit is unknown."
    files = ", ".join(line[3:] for line in changed.splitlines())
    return f"Made from commit {commit}" + (f", with changes to {files}." if files else ".")


def results_in_words(datasets: list[str], folder: Path = Path()) -> str:
    """Return a sentence that identifies results without naming a commit, by which `git log` finds theirs.

    Args:
        datasets: list of str.
        folder: Path of the project.
    """
    files = [folder / f"metrics/detail/{name}.json" for name in datasets]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    return f"These are the results {digest} (of metrics/detail): git log -- metrics/detail lists the commits with them."
