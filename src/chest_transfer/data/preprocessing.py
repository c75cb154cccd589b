"""From an archive to arrays: each radiograph decoded once, in parallel, then cut by patient and written as a stream."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from chest_transfer.data.archives import Archive
from chest_transfer.data.arrays import write_arrays
from chest_transfer.data.catalog import Dataset
from chest_transfer.data.decoding import Decoded, decode_all
from chest_transfer.data.descriptions import boxes, described
from chest_transfer.data.layouts import Listing, Radiograph
from chest_transfer.data.radiographs import in_square
from chest_transfer.data.splits import SPLITS, Split, rarest_label, split_by_patient
from chest_transfer.errors import ChestTransferError
from chest_transfer.files import whole


def preprocess(dataset: Dataset, archive_path: Path, target: Path, settings, image_size: int, processes: int) -> dict:
    """Write `target/{train,val,test}.npz`, `summary.json`, `images.csv` and `boxes.csv`; all of it or nothing.

    `images.csv` has a row for each radiograph: name, its file's width, height, mode and bytes, mean brightness (0-255),
    labels (joined by `|`), split, patient, and the archive's attributes. `boxes.csv`, as shares of the square image:
    name, finding (a class), left, top, right, bottom.

    Args:
        dataset: the catalog's entry.
        archive_path: its archive.
        target: the folder to make; replaced if it exists.
        settings: the `preprocess` section of the settings.
        image_size: pixels a side.
        processes: that decode, at most; the result does not depend on their number.

    Returns:
        The summary: counts of images and patients per split and class, of skips, duplicates and what was left aside.

    Raises:
        ChestTransferError: not the archive's layout, or more than `settings.max_skipped` unreadable images.
    """
    with whole(target) as aside:
        aside.mkdir()
        with Archive(archive_path) as archive:
            listing = dataset.layout.read(archive)
            pixels = aside / "pixels"
            kept, files, skipped = _write_pixels(archive, listing, pixels, settings, image_size, processes)
            table, found = described(archive, kept), boxes(archive, kept)
        labels = _labels(kept, dataset)
        split = split_by_patient(
            np.array([_patient(radiograph) for radiograph in kept]),
            files.pop("digest").to_numpy(str),
            rarest_label(labels) if dataset.multi_label else labels,
            np.array([radiograph.split or "" for radiograph in kept]),
            test_share=settings.test_share,
            validation_share=settings.validation_share,
            seed=settings.split_seed,
        )
        for name in SPLITS:
            _write_split(aside / f"{name}.npz", name, pixels, image_size, kept, labels, split, dataset)
        pixels.unlink()
        files = files.assign(split=split.of, patient=[_patient(radiograph) for radiograph in kept])
        files.join(table).to_csv(aside / "images.csv")
        _squared(found, files, dataset, settings.fit).to_csv(aside / "boxes.csv", index=False)
        summary = _summary(dataset, listing, skipped, labels, split) | {"fit": settings.fit}
        (aside / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    return summary


def _write_pixels(
    archive: Archive, listing: Listing, pixels: Path, settings, image_size: int, processes: int
) -> tuple[list[Radiograph], pd.DataFrame, dict[str, str]]:
    """Every listed image into one raw file, in order; what is told of the files, and the unreadable with a reason."""
    radiographs = listing.radiographs
    kept, files, skipped = [], [], {}
    members = [radiograph.member for radiograph in radiographs]
    with (
        pixels.open("wb") as file,
        closing(decode_all(archive, members, image_size, settings.fit, processes)) as decoded,
        tqdm(decoded, "decode", len(radiographs), False, unit=" radiographs") as progress,
    ):
        for radiograph, result in zip(radiographs, progress, strict=True):
            if isinstance(result, Decoded):
                file.write(result.image.data)
                kept.append(radiograph)
                files.append({"name": radiograph.name} | result.facts | {"labels": "|".join(radiograph.labels)})
                continue
            skipped[radiograph.name] = result
            progress.write(f"skipped {radiograph.name}: {result}")
            if len(skipped) > settings.max_skipped:
                raise ChestTransferError(
                    f"more than {settings.max_skipped} images of '{archive.path}' are unreadable, the last "
                    f"{radiograph.name} ({result}); fetch the archive again, or raise preprocess.max_skipped"
                )
    if not kept:
        reason = next(iter(skipped.values()))
        raise ChestTransferError(f"'{archive.path}' holds no readable image ({reason}); fetch the archive again")
    return kept, pd.DataFrame(files).set_index("name"), skipped


def _squared(found: pd.DataFrame, files: pd.DataFrame, dataset: Dataset, fit: str) -> pd.DataFrame:
    """The boxes of the dataset's classes as shares of the square image."""
    rows = []
    for box in found[found["finding"].isin(dataset.classes)].itertuples():
        facts = files.loc[box.name]
        ends = box.x, box.y, box.x + box.width, box.y + box.height
        shares = in_square(*ends, facts["width"], facts["height"], fit)
        if shares[0] < shares[2] and shares[1] < shares[3]:
            rows.append((box.name, box.finding, *(round(share, 5) for share in shares)))
    return pd.DataFrame(rows, columns=["name", "finding", "left", "top", "right", "bottom"])


def _patient(radiograph: Radiograph) -> str:
    return radiograph.patient or radiograph.name


def _labels(kept: list[Radiograph], dataset: Dataset) -> np.ndarray:
    """(N,) int64 class numbers, or (N, K) uint8 for multi-label."""
    number = {name: index for index, name in enumerate(dataset.classes)}
    if not dataset.multi_label:
        return np.array([number[radiograph.labels[0]] for radiograph in kept], dtype=np.int64)
    labels = np.zeros((len(kept), len(dataset.classes)), dtype=np.uint8)
    for row, radiograph in enumerate(kept):
        labels[row, [number[name] for name in radiograph.labels]] = 1
    return labels


def _write_split(
    path: Path,
    name: str,
    pixels: Path,
    image_size: int,
    kept: list[Radiograph],
    labels: np.ndarray,
    split: Split,
    dataset: Dataset,
) -> None:
    rows = np.flatnonzero(split.of == name)

    def batches() -> Iterator[np.ndarray]:
        # Read, not mapped: pages of a memory map would count as memory of this process.
        with pixels.open("rb") as file:
            for row in rows:
                file.seek(int(row) * image_size**2)
                yield np.frombuffer(file.read(image_size**2), np.uint8)

    write_arrays(
        path,
        "images",
        "uint8",
        (len(rows), image_size, image_size),
        batches(),
        labels=labels[rows],
        patients=np.array([_patient(kept[row]) for row in rows], dtype=np.str_),
        names=np.array([kept[row].name for row in rows], dtype=np.str_),
        classes=np.array(dataset.classes, dtype=np.str_),
    )


def _summary(dataset: Dataset, listing: Listing, skipped: dict[str, str], labels: np.ndarray, split: Split) -> dict:
    one_hot = labels if dataset.multi_label else np.eye(len(dataset.classes), dtype=int)[labels]
    counts = {name: one_hot[split.of == name].sum(axis=0) for name in SPLITS}
    summary = {
        "images": {name: int((split.of == name).sum()) for name in SPLITS},
        "patients": {name: len(np.unique(split.groups[split.of == name])) for name in SPLITS},
        "classes": {
            name: {label: int(count) for label, count in zip(dataset.classes, counts[name], strict=True)}
            for name in SPLITS
        },
        "without_patient_id": sum(radiograph.patient is None for radiograph in listing.radiographs),
        "official_test": any(radiograph.split == "test" for radiograph in listing.radiographs),
        "duplicates": split.duplicates,
        "leaked_into_official_test": split.leaked,
        "skipped": dict(Counter(reason.split(":")[0] for reason in skipped.values())) | {"total": len(skipped)},
        "left_aside": dict(sorted(listing.left_aside.items())),
    }
    optional = {"skipped_images": skipped, "tables": listing.tables, "same_patients_as": dataset.same_patients_as}
    return summary | {key: value for key, value in optional.items() if value}
