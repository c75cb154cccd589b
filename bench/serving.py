"""The app under load: every request answered, how fast, at which memory, and how soon after its start.

python -m bench.serving [--project .] [--requests 200] [--clients 8]

In a project with trained models: starts `chest-transfer app`, waits for its first answer, then lets several clients ask
at once. Prints seconds to the first page and answer, milliseconds at the median and the 99th percentile, answers per
second over those that one client alone gets, and the process's MB after each round.
"""

import argparse
import http.client
import itertools
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil

from chest_transfer.serving.examples import EXAMPLES, example


def asked(port: int, path: str, content: bytes | None = None) -> tuple[int, float]:
    """Status, and seconds that the answer took."""
    start = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("GET" if content is None else "POST", path, content)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, time.perf_counter() - start


def load(port: int, requests: int, clients: int, query: str) -> float:
    """So many requests from so many clients at once: prints what became of them; answers per second."""
    contents = itertools.cycle(map(example, EXAMPLES))
    bodies = [next(contents) for _ in range(requests)]
    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        told = list(pool.map(lambda body: asked(port, f"/api/predict?{query}", body), bodies))
    seconds = time.perf_counter() - start
    lost = sum(status != 200 for status, _ in told)
    median, most = np.percentile([1000 * taken for _, taken in told], [50, 99])
    print(
        f"{clients} clients, '{query}': {requests} requests, {lost} lost, median {median:.0f} ms, "
        f"99th percentile {most:.0f} ms, {requests / seconds:.1f} answers/s",
        flush=True,
    )
    return requests / seconds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--project", type=Path, default=Path())
    words = parser.parse_args()
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "chest_transfer.cli", "app", "--port", "0"], cwd=words.project,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        port = int(re.search(r":(\d+)", process.stdout.readline())[1])
        asked(port, "/")
        page = time.perf_counter() - start
        asked(port, "/api/predict", example("healthy child"))
        print(f"started: first page after {page:.1f} s, first answer after {time.perf_counter() - start:.1f} s")
        memory = psutil.Process(process.pid).memory_info
        for query in ("", "pictures=1"):
            alone = load(port, words.requests // 4, 1, query)
            for _ in range(2):
                together = load(port, words.requests, words.clients, query)
                print(f"{together / alone:.2f} x one client; {memory().rss / 1e6:.0f} MB", flush=True)
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    main()
