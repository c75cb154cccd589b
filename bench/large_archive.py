"""An archive in NIH's layout, of as many different radiographs of full size as asked."""

from functools import cache
from pathlib import Path

import numpy as np

from chest_transfer.data.archives import ArchiveWriter
from chest_transfer.data.layouts import FINDINGS
from chest_transfer.phantom.metadata_tables import NIH_HEADER
from chest_transfer.phantom.patients import Patient
from chest_transfer.phantom.radiograph import radiograph
from chest_transfer.serving.overlays import png
from chest_transfer.workers import in_order

SIDE, MARGIN, DIFFERENT = 1024, 100, 24


@cache
def _drawn(number: int) -> np.ndarray:
    chance = np.random.default_rng(number)
    return radiograph(Patient.random(chance), (), chance, (SIDE + MARGIN, SIDE + MARGIN)).pixels


def image(number: int) -> bytes:
    """A PNG like no other: a crop of one of a few radiographs, of its own brightness."""
    chance = np.random.default_rng(number)
    left, top = chance.integers(0, MARGIN, 2)
    crop = _drawn(number % DIFFERENT)[top : top + SIDE, left : left + SIDE]
    return png(np.clip(crop * chance.uniform(0.9, 1.1) + chance.uniform(-8, 8), 0, 255).astype(np.uint8))


def make_archive(path: Path, images: int, processes: int) -> None:
    """An archive in NIH's layout, three images a patient, a finding in every second."""
    names = [f"{number // 3 + 1:08d}_{number % 3:03d}.png" for number in range(images)]
    rows, split = [], {"train_val_list.txt": [], "test_list.txt": []}
    for number, name in enumerate(names):
        label = FINDINGS[number // 2 % len(FINDINGS)] if number % 2 else "No Finding"
        rows.append(f"{name},{label},{number % 3},{number // 3 + 1},{20 + number % 60},M,PA,2500,2048,0.1,0.1,")
        split["test_list.txt" if number // 3 % 5 == 0 else "train_val_list.txt"].append(name)
    with ArchiveWriter(path) as archive:
        for number, content in enumerate(in_order(image, range(images), processes)):
            archive.write(f"images_{number % 12 + 1:03d}/images/{names[number]}", content)
        archive.write("Data_Entry_2017.csv", "\n".join([NIH_HEADER, *rows]).encode())
        for name, listed in split.items():
            archive.write(name, "\n".join(listed).encode())
