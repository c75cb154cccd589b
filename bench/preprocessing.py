"""preprocess@D against a plain loop of cv2.imread and cv2.resize, on the same full-size files; and its memory.

    python -m bench.preprocessing

For large JPEGs, then for PNGs of 1024 x 1024: radiographs a second of both and of zlib alone on the PNGs' bytes,
interleaved, and the ratio of their medians; then the peak memory of 2,000 and of 20,000 radiographs, each in a process
of its own. Takes about ten minutes on two cores.
"""

import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
from joblib.externals.loky import get_reusable_executor
from PIL import Image

from bench.memory import peak_memory
from chest_transfer.data.catalog import CATALOG
from chest_transfer.data.preprocessing import preprocess
from chest_transfer.phantom.patients import Patient
from chest_transfer.phantom.radiograph import radiograph
from chest_transfer.settings import read_settings

SETTINGS = read_settings().preprocess.model_copy(update={"max_skipped": 0})
JPEG = (1400, 1000)  # width x height, about the median of the 5,856 radiographs of the public pneumonia archive
PNG = (1024, 1024)  # size of every file of NIH ChestX-ray14
ROUNDS = 3


def make_archive(folder: Path, images: int, size: tuple[int, int], different: int, suffix: str = "jpeg") -> Path:
    """Write an archive in the pneumonia layout of `images` files, with `different` images that are used repeatedly."""
    encoded = []
    for number in range(different):
        rng = np.random.default_rng(number)
        pixels = radiograph(Patient.random(rng), (), rng, size[::-1]).pixels
        path = folder / f"{number}.{suffix}"
        Image.fromarray(pixels).save(path, **({"quality": 92} if suffix == "jpeg" else {}))
        encoded.append(path.read_bytes())
    archive = folder / f"{images}.{suffix}.zip"
    with zipfile.ZipFile(archive, "w") as members:
        for number in range(images):
            split, kind = ("test" if number % 5 == 0 else "train"), ("NORMAL", "PNEUMONIA")[number % 2]
            stem = f"IM-{number:05d}-0001" if kind == "NORMAL" else f"person{number}_virus_{number}"
            # Bytes after the end of an image are ignored: no two files are exact copies.
            content = encoded[number % different] + str(number).encode()
            members.writestr(f"chest_xray/{split}/{kind}/{stem}.{suffix}", content)
    return archive


def preprocessing_seconds(archive: Path, target: Path, image_size: int, processes: int) -> float:
    start = time.perf_counter()
    preprocess(CATALOG["pneumonia"], archive, target, SETTINGS, image_size, processes)
    seconds = time.perf_counter() - start
    get_reusable_executor().shutdown()  # so that the next call starts its processes too
    return seconds


def plain_loop_seconds(files: list[Path], target: Path, image_size: int) -> float:
    start = time.perf_counter()
    images = []
    for file in files:
        image = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        images.append(cv2.resize(image, (image_size, image_size), interpolation=cv2.INTER_AREA))
    np.savez(target, images=np.stack(images))
    return time.perf_counter() - start


def zlib_seconds(streams: list[bytes]) -> float:
    start = time.perf_counter()
    for stream in streams:
        zlib.decompress(stream)
    return time.perf_counter() - start


def compressed_part(png: bytes) -> bytes:
    """Return the zlib stream of a PNG."""
    offset, parts = 8, []
    while png[offset + 4 : offset + 8] != b"IEND":
        length = int.from_bytes(png[offset : offset + 4], "big")
        if png[offset + 4 : offset + 8] == b"IDAT":
            parts.append(png[offset + 8 : offset + 8 + length])
        offset += 12 + length
    return b"".join(parts)


def speed(folder: Path, suffix: str, size: tuple[int, int], images: int, image_size: int = 224) -> None:
    archive = make_archive(folder, images, size, 40, suffix)
    with zipfile.ZipFile(archive) as members:
        members.extractall(folder / suffix)
    files = sorted((folder / suffix).rglob(f"*.{suffix}"))
    streams = [compressed_part(file.read_bytes()) for file in files] if suffix == "png" else []
    seconds: dict[str, list[float]] = {"plain loop": [], "1 process": [], "2 processes": []}
    if streams:
        seconds["zlib alone"] = []
    for _ in range(ROUNDS):
        seconds["plain loop"].append(plain_loop_seconds(files, folder / "plain.npz", image_size))
        seconds["1 process"].append(preprocessing_seconds(archive, folder / "arrays", image_size, 1))
        seconds["2 processes"].append(preprocessing_seconds(archive, folder / "arrays", image_size, 2))
        if streams:
            seconds["zlib alone"].append(zlib_seconds(streams))
    print(f"{images} {suffix} of {size[0]} x {size[1]} to {image_size} x {image_size}, median of {ROUNDS} rounds")
    plain = statistics.median(seconds["plain loop"])
    for name, measured in seconds.items():
        median = statistics.median(measured)
        print(f"{name:12} {images / median:7.0f} radiographs/s   {plain / median:5.2f} x the plain loop", flush=True)


def memory(folder: Path) -> None:
    peaks = {}
    for images in (2_000, 20_000):
        archive = make_archive(folder, images, (256, 256), different=40)
        program = (
            "import sys; from pathlib import Path; from bench.preprocessing import preprocessing_seconds; "
            "preprocessing_seconds(Path(sys.argv[1]), Path(sys.argv[2]), 224, 2)"
        )
        started = subprocess.Popen([sys.executable, "-c", program, archive, folder / "arrays"])
        peaks[images] = peak_memory(started)
        print(f"{images:6} radiographs at 224: peak memory of all processes {peaks[images]:.0f} MB")
    print(f"difference: {peaks[20_000] - peaks[2_000]:.0f} MB")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        speed(Path(name), "jpeg", JPEG, 5_856)
        speed(Path(name), "png", PNG, 3_000)
        memory(Path(name))
