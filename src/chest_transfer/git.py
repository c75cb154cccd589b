"""Git: the output of a command, and a file as a commit has it."""

import subprocess

from chest_transfer.errors import ChestTransferError


class GitMissingError(ChestTransferError):
    """Git is not installed."""


def git(*words: str) -> str:
    """Return what a Git command prints, without the newlines at its end.

    Raises:
        ChestTransferError: it failed, or Git is not installed.
    """
    done = _run(*words)
    if done.returncode:
        reason = (done.stderr.decode(errors="replace").strip().splitlines() or ["git failed"])[-1]
        raise ChestTransferError(f"{reason}; run from the project's folder, in a Git repository")
    return done.stdout.decode(errors="replace").rstrip("\n")


def check_commit(why: str) -> None:
    """Check that this folder is in a Git repository with a commit.

    Args:
        why: str, what needs it, such as `workers clone the last commit`.

    Raises:
        ChestTransferError: it is not.
    """
    try:
        git("rev-parse", "--verify", "HEAD")
    except GitMissingError:
        raise
    except ChestTransferError:
        raise ChestTransferError(
            f"{why}, but this folder is in no Git repository with one; "
            "run: git init && git add -A && git commit -m 'First commit'"
        ) from None


def revision_named(name: str) -> str:
    """Return the commit of an experiment of DVC, which is under `refs/exps`, or of a revision of Git.

    Of several experiments of that name, it is that of the last commit, or else the newest.

    Raises:
        ChestTransferError: there is no experiment and no revision of that name, or no commit at all.
    """
    check_commit("experiments are kept beside a commit")
    head = git("rev-parse", "HEAD")
    # refs/exps/, two digits of the commit that an experiment was run from, the others, its name
    listed = git("for-each-ref", "--sort=-committerdate", "--format=%(objectname) %(refname)", f"refs/exps/??/*/{name}")
    experiments = [line.split(" ", 1) for line in listed.splitlines()]
    experiments.sort(key=lambda one: not one[1].startswith(f"refs/exps/{head[:2]}/{head[2:]}/"))
    if experiments:
        return experiments[0][0]
    try:
        return git("rev-parse", "--verify", f"{name}^{{commit}}")
    except ChestTransferError:
        raise ChestTransferError(f"no experiment and no revision '{name}'; see: dvc exp show, git log --all") from None


def committed_file(path: str, revision: str) -> bytes | None:
    """Return a file as a revision has it, None where it has none.

    Args:
        path: str, relative to this folder, which may be one of a larger repository.
        revision: str, of Git; `:2` for one side of a merge conflict in its index.
    """
    done = _run("show", f"{revision}:./{path}")
    return done.stdout if done.returncode == 0 else None


def _run(*words: str) -> subprocess.CompletedProcess:
    try:
        return subprocess.run(["git", *words], capture_output=True, check=False)
    except FileNotFoundError:
        raise GitMissingError("Git is not installed; install it from https://git-scm.com") from None
