"""The app under load: whether every request is answered, how fast, with how much memory, and how soon after its start.

python -m bench.serving [--project .] [--requests 200] [--clients 8]

In a project with trained models: starts `chest-transfer app`, waits for its first answer, then lets several clients
send requests at once. Prints the seconds to the first page and to the first answer, the median and the 99th percentile
of the milliseconds of an answer, answers per second over those of one client alone, and the memory of the process after
each round.
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


def send_request(port: int, path: str, content: bytes | None = None) -> tuple[int, float]:
    """Return the HTTP status and the seconds that the answer took; with content the request is a POST."""
    start = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("GET" if content is None else "POST", path, content)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, time.perf_counter() - start


def send_requests(port: int, requests: int, clients: int, query: str) -> float:
    """Send requests from several clients at once, print what became of them, and return answers per second.

    Args:
        port: int, of the app.
        requests: int.
        clients: int, that send at the same time.
        query: str, of `/api/predict`.
    """
    contents = itertools.cycle(map(example, EXAMPLES))
    bodies = [next(contents) for _ in range(requests)]
    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        answers = list(pool.map(lambda body: send_request(port, f"/api/predict?{query}", body), bodies))
    elapsed = time.perf_counter() - start
    lost = sum(status != 200 for status, _ in answers)
    median, slow = np.percentile([1000 * seconds for _, seconds in answers], [50, 99])
    print(
        f"{clients} clients, '{query}': {requests} requests, {lost} lost, median {median:.0f} ms, "
        f"99th percentile {slow:.0f} ms, {requests / elapsed:.1f} answers/s",
        flush=True,
    )
    return requests / elapsed


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--project", type=Path, default=Path())
    options = parser.parse_args()
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "chest_transfer.cli", "app", "--port", "0"], cwd=options.project,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        port = int(re.search(r":(\d+)", process.stdout.readline())[1])
        send_request(port, "/")
        first_page = time.perf_counter() - start
        send_request(port, "/api/predict", example("healthy child"))
        first_answer = time.perf_counter() - start
        print(f"started: first page after {first_page:.1f} s, first answer after {first_answer:.1f} s")
        memory = psutil.Process(process.pid).memory_info
        for query in ("", "pictures=1"):
            alone = send_requests(port, options.requests // 4, 1, query)
            for _ in range(2):
                together = send_requests(port, options.requests, options.clients, query)
                print(f"{together / alone:.2f} x one client; {memory().rss / 1e6:.0f} MB", flush=True)
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    main()
