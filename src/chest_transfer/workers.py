"""Work done on several processes, in order, with the same result whatever their number."""

import warnings
from collections.abc import Callable, Iterable, Iterator

from chest_transfer.errors import ChestTransferError


def in_order(work: Callable, cases: Iterable, processes: int) -> Iterator:
    """`map(work, cases)`, on this process or on several, which are started anew: a fork does not survive threads.

    Raises:
        ChestTransferError: one of the processes was ended from outside.
    """
    if processes == 1:
        yield from map(work, cases)
        return
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    found = Parallel(processes, return_as="generator")(delayed(work)(case) for case in cases)
    try:
        # No `yield from`, which would hand the end of this generator on before it is caught here.
        for result in found:  # noqa: UP028
            yield result
    except GeneratorExit:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of results that nobody waits for any longer
            found.close()
        raise
    except TerminatedWorkerError:
        raise ChestTransferError(
            f"one of {processes} processes was ended from outside, most often for want of memory; lower `threads`"
        ) from None
