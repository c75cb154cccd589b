"""Patients drawn on several processes, in order, with the same result whatever their number."""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator


def in_order(draw: Callable, cases: Iterable, processes: int) -> Iterator:
    """`map(draw, cases)`, on this process or on several."""
    if processes == 1:
        yield from map(draw, cases)
        return
    # Started anew, not forked: a fork does not survive TensorFlow's threads.
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap(draw, cases, chunksize=4)
