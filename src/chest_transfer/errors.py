"""Errors that a user can act on, told in one line."""

import difflib
import errno
import os
import sys
from collections.abc import Callable, Iterable

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


class ChestTransferError(Exception):
    """What is wrong, the value received, what is allowed, and the command that mends it."""


def unknown_name(kind: str, name: str, allowed: Iterable[str], remedy: str = "") -> ChestTransferError:
    """The error for a name that a table does not hold, with the nearest one that it does."""
    allowed = list(allowed)
    nearest = difflib.get_close_matches(str(name), allowed, n=1)
    hint = f"; did you mean '{nearest[0]}'?" if nearest else ""
    remedy = f"; {remedy}" if remedy else ""
    return ChestTransferError(f"unknown {kind} '{name}'{hint} (allowed: {', '.join(allowed)}){remedy}")


def run(main: Callable[..., None]) -> None:
    """`run_command` with the command line's words."""
    run_command(main, *sys.argv[1:])


def run_command(command: Callable[..., None], *arguments) -> None:
    """Call a command; a known failure becomes one line on stderr and exit code 1.

    Set CHEST_TRANSFER_TRACEBACK=1 to see the whole traceback instead.
    """
    try:
        command(*arguments)
    except (ChestTransferError, OSError) as error:
        if os.environ.get("CHEST_TRANSFER_TRACEBACK"):
            raise
        message = str(error)
        if isinstance(error, OSError):
            remedy = "CHEST_TRANSFER_TRACEBACK=1 shows where"
            if error.errno in DISK_FULL:
                message, remedy = f"the disk is full ({error})", "free some space and run the same command again"
            message = f"{message}; {remedy}"
        print(f"error: {message}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last epoch or byte that was kept", file=sys.stderr)
        sys.exit(130)
