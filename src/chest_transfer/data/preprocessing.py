"""From an archive to arrays: each radiograph is decoded once, split by patient and written as a stream."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from tqdm import tqdm

from chest_transfer.data.archives import Archive
from chest_transfer.data.arrays import UNKNOWN, write_arrays, write_npz
from chest_transfer.data.catalog import Dataset
from chest_transfer.data.decoding import SquareRadiograph, decode_all
from chest_transfer.data.descriptions import read_attributes, read_box_list
from chest_transfer.data.fingerprints import FINGERPRINTS
from chest_transfer.data.layouts import NIH_SIDE, POOL_COMMAND
from chest_transfer.data.listed import ListedRadiograph, Listing
from chest_transfer.data.listing import read_listing
from chest_transfer.data.lung_windows import NOT_FOUND, FoundLungs, LungFinder, find_lungs
from chest_transfer.data.preprocess_summary import cautions_about, counts_of
from chest_transfer.data.regions import window_of
from chest_transfer.data.splits import SPLITS, rarest_label, split_by_patient
from chest_transfer.data.squares import box_in_square
from chest_transfer.errors import ChestTransferError
from chest_transfer.files import atomic_write, write_json

if TYPE_CHECKING:
    from chest_transfer.settings import Preprocess


def preprocess(
    dataset: Dataset,
    archive_path: Path,
    target: Path,
    settings: "Preprocess",
    image_size: int,
    processes: int,
    all_test: bool = False,
    lungs: LungFinder | None = None,
) -> dict:
    """Write a folder of arrays, `{train,val,test}.npz`, and what is known of them, complete or not at all.

    `summary.json` has what is returned. `images.csv` has a row for each radiograph: name, width, height, mode, bytes of
    its file, mean brightness (0-255), labels (joined by `|`), member of the archive, split, patient, and the archive's
    attributes; where there are any, also classes that are unknown, what a DICOM file states that is unusual, and the
    window that is shown. `boxes.csv` has boxes as fractions of the square image: name, finding (a class), left, top,
    right, bottom. Where something found the lungs, `region.npz` has its weights, and `fingerprints.npz` those of the
    whole pictures.

    Args:
        dataset: Dataset.
        archive_path: Path of its archive.
        target: Path of the folder to write; it is replaced if it exists.
        settings: section `preprocess` of the settings.
        image_size: int, pixels a side.
        processes: int, that decode, at most; the result does not depend on it.
        all_test: bool, whether all radiographs are the test split, because models are only judged on them.
        lungs: LungFinder, to show the box around the lungs; None to show whole radiographs.

    Returns:
        The content of `summary.json`: images and patients by split and class, unreadable images, duplicates, images
        that were not used, and cautions.

    Raises:
        ChestTransferError: the archive has another layout, or more than `settings.max_skipped` images are unreadable.
    """
    with atomic_write(target) as aside:
        aside.mkdir()
        with Archive(archive_path) as archive:
            is_simulated, keep_splits = archive.is_simulated, settings.splits == "archive" and not all_test
            listing = read_listing(dataset.layout, archive, settings.folders, keep_splits)
            pixels, members = aside / "pixels", [radiograph.member for radiograph in listing.radiographs]
            found = find_lungs(archive, members, lungs, settings.outside_lungs, processes) if lungs else None
            radiographs, files, statements, skipped = _write_pixels(
                archive, listing, members, pixels, settings, image_size, processes, found
            )
            attributes = read_attributes(archive, radiographs) if listing.attributes is None else listing.attributes
            box_list = read_box_list(archive, radiographs, is_pool=bool(listing.pool))
        if listing.classes:
            dataset = replace(dataset, classes=listing.classes, multi_label=listing.multi_label)
        labels = _labels(radiographs, dataset)
        sources = attributes["source"] if listing.pool else None
        if contradictory := int((files.groupby("digest")["labels"].nunique() > 1).sum()):
            statements["the same file has different labels"] = contradictory
        official = np.array(["test" if all_test else radiograph.split or "" for radiograph in radiographs])
        split = split_by_patient(
            np.array([_patient(radiograph) for radiograph in radiographs]),
            files.pop("digest").to_numpy(str),
            rarest_label(labels) if dataset.multi_label else labels,
            official,
            test_share=settings.test_share,
            validation_share=settings.validation_share,
            seed=settings.split_seed,
            drop_duplicates=settings.duplicates == "drop",
        )
        if not (all_test or (split.names == "train").any()):
            raise ChestTransferError(
                f"all radiographs of '{archive_path}' are a test or validation split, and none is left to train on; "
                f"make new splits: {POOL_COMMAND}, or name the dataset under `external`"
            )
        fingerprints, number_of = {}, {member: number for number, member in enumerate(members)}
        for name in SPLITS:
            rows = np.flatnonzero(split.names == name)
            if found:
                fingerprints[name] = found.fingerprints[[number_of[radiographs[row].member] for row in rows]]
            columns = _columns([radiographs[row] for row in rows], labels[rows], dataset, sources)
            _write_split(aside / f"{name}.npz", rows, pixels, image_size, columns)
        pixels.unlink()
        files = files.assign(split=split.names, patient=[_patient(radiograph) for radiograph in radiographs])
        files.join(attributes).to_csv(aside / "images.csv")
        _boxes_in_squares(box_list, files, dataset, settings.fit).to_csv(aside / "boxes.csv", index=False)
        write_npz(aside / "region.npz", lungs.arrays() if lungs else {})
        write_npz(aside / FINGERPRINTS, fingerprints)
        shown = {"fit": settings.fit, "region": "whole", "outside_lungs": "keep"}
        if is_simulated:
            shown["simulated"] = True
        if lungs:
            shown |= {"region": "lungs", "outside_lungs": settings.outside_lungs}
        summary = counts_of(dataset, listing, skipped, labels, split) | shown
        summary |= cautions_about(dataset, archive_path, summary, listing, statements, settings, all_test)
        write_json(aside / "summary.json", summary)
    return summary


def _write_pixels(
    archive: Archive,
    listing: Listing,
    members: list[str],
    pixels: Path,
    settings: "Preprocess",
    image_size: int,
    processes: int,
    lungs: FoundLungs | None,
) -> tuple[list[ListedRadiograph], pd.DataFrame, Counter, dict[str, str]]:
    """Write every listed image to one raw file, in order.

    Returns:
        The radiographs that were readable, facts about their files, how many have no lungs that were found or are DICOM
        files that state what is unusual for a frontal chest radiograph, and the reason for each unreadable one.
    """
    radiographs, files, statements, skipped = [], [], Counter(), {}
    with (
        pixels.open("wb") as file,
        closing(decode_all(archive, members, image_size, settings.fit, processes, lungs and lungs.windows)) as decoded,
        tqdm(decoded, "decode", len(members), leave=False, unit=" radiographs", disable=None) as progress,
    ):
        for number, (radiograph, result) in enumerate(zip(listing.radiographs, progress, strict=True)):
            if isinstance(result, SquareRadiograph):
                file.write(result.image.data)
                radiographs.append(radiograph)
                named = {"labels": "|".join(radiograph.labels), "member": radiograph.member}
                some = {"unknown": "|".join(radiograph.unknown), "unusual": "|".join(result.warnings)}
                some = {column: text for column, text in some.items() if text}
                window = lungs.windows[number].columns() if lungs else {}
                files.append({"name": radiograph.name} | result.facts | named | some | window)
                statements.update([*result.warnings, *[NOT_FOUND] * bool(lungs and not lungs.found[number])])
                continue
            skipped[radiograph.name] = result
            progress.write(f"skipped {radiograph.name}: {result}")
            if len(skipped) > settings.max_skipped:
                raise ChestTransferError(
                    f"more than {settings.max_skipped} images of '{archive.path}' are unreadable, the last one "
                    f"{radiograph.name} ({result}); fetch the archive again, or raise preprocess.max_skipped"
                )
    if not radiographs:
        reason = next(iter(skipped.values()))
        raise ChestTransferError(f"'{archive.path}' holds no readable image ({reason}); fetch the archive again")
    return radiographs, pd.DataFrame(files).set_index("name"), statements, skipped


def _boxes_in_squares(box_list: pd.DataFrame, files: pd.DataFrame, dataset: Dataset, fit: str) -> pd.DataFrame:
    """Return the boxes of the dataset's classes as fractions of the square image.

    Where some reach beyond their images, the archive is a resized version and they refer to NIH's own files.
    """
    boxes = box_list[box_list["finding"].isin(dataset.classes)]
    boxes = boxes.assign(right=boxes["x"] + boxes["width"], bottom=boxes["y"] + boxes["height"])
    sides = files.loc[boxes["name"], ["width", "height"]].to_numpy()
    if (boxes[["right", "bottom"]].to_numpy() > sides + 1).any():
        sides = np.full_like(sides, NIH_SIDE)
    rows = []
    windows = [window_of(row) for row in files.loc[boxes["name"]].to_dict("records")]
    for box, (width, height), window in zip(boxes.itertuples(), sides, windows, strict=True):
        edges = box.x, box.y, box.right, box.bottom
        left, top, right, bottom = box_in_square(edges, width, height, fit, window)
        if left < right and top < bottom:
            rows.append((box.name, box.finding, *(round(edge, 5) for edge in (left, top, right, bottom))))
    return pd.DataFrame(rows, columns=["name", "finding", "left", "top", "right", "bottom"])


def _patient(radiograph: ListedRadiograph) -> str:
    return radiograph.patient or radiograph.name


def _labels(radiographs: list[ListedRadiograph], dataset: Dataset) -> np.ndarray:
    """Return (N,) int64 class numbers, or (N, K) int8 of 0, 1 and `UNKNOWN` for multi-label data."""
    number = {name: index for index, name in enumerate(dataset.classes)}
    if not dataset.multi_label:
        return np.array([number[radiograph.labels[0]] for radiograph in radiographs], dtype=np.int64)
    labels = np.zeros((len(radiographs), len(dataset.classes)), dtype=np.int8)
    for row, radiograph in enumerate(radiographs):
        labels[row, [number[name] for name in radiograph.labels]] = 1
        labels[row, [number[name] for name in radiograph.unknown]] = UNKNOWN
    return labels


def _columns(
    radiographs: list[ListedRadiograph], labels: np.ndarray, dataset: Dataset, sources: pd.Series | None
) -> dict[str, np.ndarray]:
    """Return the members of the npz file of a split beside its images."""
    columns = {
        "labels": labels,
        "patients": np.array([_patient(radiograph) for radiograph in radiographs], dtype=np.str_),
        "names": np.array([radiograph.name for radiograph in radiographs], dtype=np.str_),
        "classes": np.array(dataset.classes, dtype=np.str_),
    }
    if sources is not None:
        columns["sources"] = np.array([sources[radiograph.name] for radiograph in radiographs], dtype=np.str_)
    return columns


def _write_split(path: Path, rows: np.ndarray, pixels: Path, image_size: int, columns: dict[str, np.ndarray]) -> None:
    def images() -> Iterator[np.ndarray]:
        # Read, not mapped: pages of a memory map would count as memory of this process.
        with pixels.open("rb") as file:
            for row in rows:
                file.seek(int(row) * image_size**2)
                yield np.frombuffer(file.read(image_size**2), np.uint8)

    write_arrays(path, "images", "uint8", (len(rows), image_size, image_size), images(), **columns)
