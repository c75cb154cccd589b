"""Errors that a user can act on, reported in one line."""

import difflib
import errno
import os
import sys
from collections.abc import Callable, Iterable

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


class ChestTransferError(Exception):
    """An error whose message says what is wrong, the value received, what is allowed, and the command that mends it."""


def unknown_name_error(kind: str, name: str, allowed: Iterable[str], remedy: str = "") -> ChestTransferError:
    """Create the error for a name that is not among those allowed, with the most similar one as a suggestion.

    Args:
        kind: String, what the name is for, such as `"dataset"`.
        name: String, the name received.
        allowed: Iterable of strings, the names that are allowed.
        remedy: String, what to do about it. Defaults to `""`.

    Returns:
        A `ChestTransferError` to raise.
    """
    allowed = list(allowed)
    similar = difflib.get_close_matches(str(name), allowed, n=1)
    hint = f"; did you mean '{similar[0]}'?" if similar else ""
    remedy = f"; {remedy}" if remedy else ""
    return ChestTransferError(f"unknown {kind} '{name}'{hint} (allowed: {', '.join(allowed)}){remedy}")


def run_stage(main: Callable[..., None]) -> None:
    """Call `run_command` with the arguments of the command line."""
    run_command(main, *sys.argv[1:])


def run_command(command: Callable[..., None], *arguments) -> None:
    """Call a function, and report a known error as one line on stderr with exit code 1.

    Set CHEST_TRANSFER_TRACEBACK=1 to see the whole traceback instead.
    """
    try:
        command(*arguments)
    except (ChestTransferError, OSError) as error:
        if os.environ.get("CHEST_TRANSFER_TRACEBACK"):
            raise
        message = str(error)
        if isinstance(error, OSError):
            remedy = "set CHEST_TRANSFER_TRACEBACK=1 to see where"
            if error.errno in DISK_FULL:
                message, remedy = f"the disk is full ({error})", "free some space and run the same command again"
            message = f"{message}; {remedy}"
        print(f"error: {message}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted; run the same command again to continue from the last epoch or byte saved", file=sys.stderr)
        sys.exit(130)
