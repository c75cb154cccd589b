"""Parallel work on several processes, with results in order and independent of the number of processes."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence

from tqdm import tqdm

from chest_transfer.errors import ChestTransferError


def parallel_map_with_progress(work: Callable, cases: Sequence, processes: int, what: str, unit: str) -> Iterator:
    """As `parallel_map`, with a bar of the progress in a terminal.

    Args:
        work: Function of one argument that can be pickled.
        cases: Sequence of its arguments.
        processes: Integer, number of processes.
        what: String, what is done, such as `draw`.
        unit: String, what is counted, such as `patients`.
    """
    return tqdm(
        parallel_map(work, cases, processes), what, len(cases), leave=False, unit=f" {unit}", disable=None
    )  # fmt: skip


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
