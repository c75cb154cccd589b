"""Memory of a process and of those that it started."""

import contextlib
import subprocess
import time

import psutil


def peak_memory(process: subprocess.Popen, every: float = 0.05) -> float:
    """MB that a process and its children hold at most at once, looked at until it ends.

    Not `getrusage`: what it says of a process is at least what the one held that started it.
    """
    peak, root = 0, psutil.Process(process.pid)
    while process.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            held = 0
            for one in (root, *root.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    held += one.memory_info().rss
            peak = max(peak, held)
        time.sleep(every)
    return peak / 1e6
