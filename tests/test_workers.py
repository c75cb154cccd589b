"""Parallel work on several processes: results come in order, and a killed process is an error instead of a hang."""

import os
import signal

import pytest

from chest_transfer.errors import ChestTransferError
from chest_transfer.workers import parallel_map


def square_and_process(number: int) -> tuple[int, int]:
    return number**2, os.getpid()


def fail_at_seven(number: int) -> int:
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)  # as the system does when memory runs out
    return number


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_results_come_in_the_order_of_the_cases(processes):
    squares, process_ids = zip(*parallel_map(square_and_process, range(50), processes), strict=True)
    assert squares == tuple(number**2 for number in range(50))
    assert (os.getpid() in process_ids) == (processes == 1)


def test_a_killed_process_is_an_error_not_a_hang():
    with pytest.raises(ChestTransferError, match=r"one of 2 processes was killed.*lower `threads`"):
        list(parallel_map(fail_at_seven, range(50), 2))
