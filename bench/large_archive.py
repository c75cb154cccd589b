"""An archive in NIH's layout with any number of different radiographs of full size."""

from functools import cache
from pathlib import Path

import numpy as np

from chest_transfer.data.findings import NIH_FINDINGS, NO_FINDING
from chest_transfer.files import ArchiveWriter
from chest_transfer.phantom.metadata_tables import NIH_HEADER
from chest_transfer.phantom.patients import Patient
from chest_transfer.phantom.radiograph import radiograph
from chest_transfer.serving.overlays import encode_png
from chest_transfer.workers import parallel_map

SIDE, MARGIN, DIFFERENT = 1024, 100, 24


@cache
def _simulated(number: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    return radiograph(Patient.random(rng), (), rng, (SIDE + MARGIN, SIDE + MARGIN)).pixels


def image(number: int) -> bytes:
    """Return a PNG that differs from all others: a crop of one of a few radiographs, with a brightness of its own."""
    rng = np.random.default_rng(number)
    left, top = rng.integers(0, MARGIN, 2)
    crop = _simulated(number % DIFFERENT)[top : top + SIDE, left : left + SIDE]
    return encode_png(np.clip(crop * rng.uniform(0.9, 1.1) + rng.uniform(-8, 8), 0, 255).astype(np.uint8))


def make_archive(path: Path, images: int, processes: int) -> None:
    """Write an archive in NIH's layout, with three images of each patient and a finding in every second image."""
    names = [f"{number // 3 + 1:08d}_{number % 3:03d}.png" for number in range(images)]
    rows, split = [], {"train_val_list.txt": [], "test_list.txt": []}
    for number, name in enumerate(names):
        label = NIH_FINDINGS[number // 2 % len(NIH_FINDINGS)] if number % 2 else NO_FINDING
        rows.append(f"{name},{label},{number % 3},{number // 3 + 1},{20 + number % 60},M,PA,2500,2048,0.1,0.1,")
        split["test_list.txt" if number // 3 % 5 == 0 else "train_val_list.txt"].append(name)
    with ArchiveWriter(path) as archive:
        for number, content in enumerate(parallel_map(image, range(images), processes)):
            archive.write(f"images_{number % 12 + 1:03d}/images/{names[number]}", content)
        archive.write("Data_Entry_2017.csv", "\n".join([NIH_HEADER, *rows]).encode())
        for name, listed in split.items():
            archive.write(name, "\n".join(listed).encode())
