"""Parallel work on several processes, with results in order and independent of the number of processes."""

import warnings
from collections.abc import Callable, Iterable, Iterator

from chest_transfer.errors import ChestTransferError


def parallel_map(work: Callable, cases: Iterable, processes: int) -> Iterator:
    """Yield `work(case)` for each case, in order, computed on one or more processes.

    Several processes are started anew instead of forked, because a fork of a process with threads may hang.

    Args:
        work: Function of one argument that can be pickled.
        cases: Iterable of its arguments.
        processes: Integer, number of processes. 1 for this process.

    Raises:
        ChestTransferError: If one of the processes is killed.
    """
    if processes == 1:
        yield from map(work, cases)
        return
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    results = Parallel(processes, return_as="generator")(delayed(work)(case) for case in cases)
    try:
        # Not `yield from`: it would pass GeneratorExit on to joblib before it is caught here.
        for result in results:  # noqa: UP028
            yield result
    except GeneratorExit:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # joblib warns that results are discarded
            results.close()
        raise
    except TerminatedWorkerError:
        raise ChestTransferError(
            f"one of {processes} processes was killed, most often because memory ran out; lower `threads`"
        ) from None
