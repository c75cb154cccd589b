"""Work on several processes: in order, and never a wait for one that died."""

import os
import signal

import pytest

from chest_transfer.errors import ChestTransferError
from chest_transfer.workers import in_order


def square_of(number: int) -> tuple[int, int]:
    return number**2, os.getpid()


def dies_at_seven(number: int) -> int:
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)  # as the system does where no memory is left
    return number


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_the_order_is_that_of_the_cases(processes):
    squares, by = zip(*in_order(square_of, range(50), processes), strict=True)
    assert squares == tuple(number**2 for number in range(50))
    assert (os.getpid() in by) == (processes == 1)


def test_a_process_that_died_is_an_error_not_a_wait():
    with pytest.raises(ChestTransferError, match=r"one of 2 processes was ended from outside.*lower `threads`"):
        list(in_order(dies_at_seven, range(50), 2))
