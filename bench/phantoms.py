"""How fast radiographs are simulated, and that memory does not grow with an archive.

    python -m bench.phantoms

Prints radiographs a second on one core at 256 pixels a side, each against decoding and shrinking one full-size JPEG in
the same run (what a real radiograph costs instead); then the peak memory of archives of 500 and of 5,000 images.
"""

import io
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from chest_transfer.data.radiographs import decode_square
from chest_transfer.phantom.cohorts import FRESH
from chest_transfer.phantom.patients import Patient
from chest_transfer.phantom.radiograph import radiograph

ROUNDS, IMAGES, SIDE = 5, 60, 256


def simulate(number: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    patient = Patient.random(rng, FRESH.sample_age_range(rng))
    return radiograph(patient, FRESH.findings(rng), rng, (SIDE, SIDE), FRESH.sample_scanner(rng)).pixels


def speed() -> None:
    buffer = io.BytesIO()
    Image.fromarray(simulate(0)).resize((1400, 1000)).save(buffer, "JPEG", quality=92)
    simulated, decoded = [], []
    for number in range(ROUNDS):
        start = time.perf_counter()
        for image in range(IMAGES):
            simulate(IMAGES * number + image)
        simulated.append(IMAGES / (time.perf_counter() - start))
        start = time.perf_counter()
        for _ in range(IMAGES):
            decode_square(buffer.getvalue(), SIDE)
        decoded.append(IMAGES / (time.perf_counter() - start))
    print(f"{SIDE} x {SIDE}, one core, median of {ROUNDS} rounds of {IMAGES}")
    rate, other = statistics.median(simulated), statistics.median(decoded)
    print(f"simulated {rate:.0f}/s; decoded from a JPEG of 1400 x 1000 {other:.0f}/s: {rate / other:.2f} x")


def peak_memory(images: int, image_size: int) -> float:
    """Return the peak memory in MB of writing a simulated archive, in a process of its own."""
    program = (
        "import resource, sys; from pathlib import Path; from chest_transfer.data.catalog import CATALOG; "
        "from chest_transfer.phantom.archive import write_archive; from chest_transfer.settings import Phantom; "
        "write_archive(CATALOG['tuberculosis'], Phantom(seed=1, patients=int(sys.argv[1]), "
        "image_size=int(sys.argv[2])), Path(sys.argv[3])); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    source = str(Path(__file__).resolve().parents[1] / "src")
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-c", program, str(images), str(image_size), f"{folder}/a.zip"]
        done = subprocess.run(words, env={"PYTHONPATH": source}, capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


def memory() -> None:
    for images in (500, 5000):
        print(f"archive of {images:5} images: peak memory {peak_memory(images, 128):.0f} MB")


if __name__ == "__main__":
    speed()
    memory()
