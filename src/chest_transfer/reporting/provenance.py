"""Where numbers come from: the commit, and the files that were changed since."""

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
