"""What `preprocess` read of an archive, what it did not use, and what is unusual: in its summary and on the screen."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from chest_transfer.data.catalog import Dataset
from chest_transfer.data.folder_errors import remedy_for_names
from chest_transfer.data.layouts import POOL_COMMAND, ClassFolders, NihTables, Prepared
from chest_transfer.data.listed import FOLDERS_SHOWN, Listing
from chest_transfer.data.splits import LEFT_OUT, SPLITS, Split
from chest_transfer.errors import ChestTransferError

if TYPE_CHECKING:
    from chest_transfer.settings import Preprocess


REASONS = {  # why images of an archive are not used
    "other_folder": "in other folders", "nested_copy": "exact copies in other folders",
    "not_an_image": "files that are no images", "listed_but_absent": "listed in the table but absent",
    "absent_from_table": "absent from the table", "in_neither_split_list": "in neither list of the splits",
    "other_combination": "with other combinations of findings", "beyond_the_cap": "beyond the most per class",
    "other_view": "in other views", "without_label": "without a label", "listed_twice": "rows that occur twice",
    "contradictory_rows": "with rows that differ", "masks": "masks", "unreadable": "files that cannot be read",
    "left_out_of_splits": "left out of the splits of their own dataset",
}  # fmt: skip


def counts_of(dataset: Dataset, listing: Listing, skipped: dict[str, str], labels: np.ndarray, split: Split) -> dict:
    """Return how many images and patients there are by split and class, and how many images were not used and why.

    Args:
        dataset: Dataset of the catalog.
        listing: Listing of its archive.
        skipped: dict, the reason for each unreadable image.
        labels: (N,) int64 class numbers of the readable images, or (N, K) int8 for multi-label data.
        split: Split of the readable images.
    """
    one_hot = labels == 1 if dataset.multi_label else np.eye(len(dataset.classes), dtype=int)[labels]
    counts = {name: one_hot[split.names == name].sum(axis=0) for name in SPLITS}
    left_out = int((split.names == LEFT_OUT).sum())
    summary = {
        "images": {name: int((split.names == name).sum()) for name in SPLITS},
        "patients": {name: len(np.unique(split.groups[split.names == name])) for name in SPLITS},
        "classes": {
            name: {label: int(count) for label, count in zip(dataset.classes, counts[name], strict=True)}
            for name in SPLITS
        },
        "multi_label": dataset.multi_label,
        "without_patient_id": sum(radiograph.patient is None for radiograph in listing.radiographs),
        "official_test": "test" in _splits_of(listing) and not listing.pool,
        "official_validation": "val" in _splits_of(listing) and not listing.pool,
        "duplicates": split.duplicates,
        "duplicates_left_out": left_out - split.leaked,
        "leaked_into_official_test": split.leaked,
        "skipped": dict(Counter(reason.split(":")[0] for reason in skipped.values())) | {"total": len(skipped)},
        "not_used": dict(sorted(listing.not_used.items(), key=lambda item: (item[0] == "other_folder", item))),
    }
    optional = {
        # Names of one's own files may be of patients, and this summary goes into Git.
        "skipped_images": {} if isinstance(dataset.layout, Prepared) else skipped,
        "tables": listing.tables, "same_patients_as": dataset.same_patients_as, "pool": list(listing.pool),
        "other_folders": dict(listing.other_folders.most_common(FOLDERS_SHOWN)),
    }  # fmt: skip
    return summary | {key: value for key, value in optional.items() if value}


def cautions_about(
    dataset: Dataset,
    archive_path: Path,
    counts: dict,
    listing: Listing,
    statements: Counter,
    settings: "Preprocess",
    all_test: bool,
) -> dict[str, list[str]]:
    """Return `{"cautions": sentences}`, or nothing, about a split without a class, and about unusual files.

    Args:
        dataset: Dataset of the catalog.
        archive_path: Path, to name in errors.
        counts: dict of `counts_of`.
        listing: Listing of the archive.
        statements: Counter of what is unusual: what DICOM files state, files with different labels.
        settings: section `preprocess` of the settings.
        all_test: bool, whether all radiographs are the test split.

    Raises:
        ChestTransferError: a split has one class alone, or one that the archive itself has lacks a class.
    """
    has_folders = isinstance(dataset.layout, ClassFolders)
    sentences = list(listing.cautions)
    if all_test:
        counts = counts | {"classes": {"test": counts["classes"]["test"]}}
    elif has_folders and dataset.layout.splits and settings.splits == "archive" and not counts["official_test"]:
        sentences.append("unlike the public archive, this one has no test split; one was made here")
    if has_folders and (absent := _absent(dataset, counts)):
        sentences.append(f"the archive holds no radiographs of {', '.join(absent)}")
    if not dataset.multi_label:
        official = set() if isinstance(dataset.layout, NihTables) or listing.pool else _splits_of(listing)
        sentences += _missing_classes(dataset, archive_path, counts, official, listing.other_folders)
    sentences += [f"{statement}: {count} radiographs" for statement, count in sorted(statements.items())]
    return {"cautions": sentences} if sentences else {}


def lines_about(summary: dict) -> list[str]:
    """Return what was read, and what was not, in lines for the screen: one for each class, then the rest.

    Args:
        summary: the content of `summary.json`.
    """
    by_class = {name: [summary["classes"][split][name] for split in SPLITS] for name in summary["classes"]["train"]}
    lines = [
        f"{name}: {', '.join(f'{count} {split}' for count, split in zip(counts, SPLITS, strict=True))}"
        for name, counts in by_class.items()
    ]
    images = ", ".join(f"{count} {split}" for split, count in summary["images"].items())
    copies = f"; {summary['duplicates']} exact copies of others" if summary["duplicates"] else ""
    lines.append(f"{images} radiographs; {summary['skipped']['total']} unreadable{copies}")
    lines += [f"CAUTION: {sentence}" for sentence in summary.get("cautions", [])]
    if summary["not_used"]:
        not_used = ", ".join(f"{count} {REASONS.get(reason, reason)}" for reason, count in summary["not_used"].items())
        folders = ", ".join(f"{folder} ({count})" for folder, count in summary.get("other_folders", {}).items())
        lines.append(f"not used: {not_used}{folders and f': {folders}'}")
    return lines


def _splits_of(listing: Listing) -> set[str]:
    """Return the splits that the archive itself has."""
    return {radiograph.split for radiograph in listing.radiographs} - {None}


def _absent(dataset: Dataset, counts: dict) -> list[str]:
    """Return the classes without any radiograph."""
    return [name for name in dataset.classes if not any(images[name] for images in counts["classes"].values())]


def _missing_classes(
    dataset: Dataset, archive_path: Path, counts: dict, official: set[str], other_folders: Counter
) -> list[str]:
    sentences = []
    absent = _absent(dataset, counts)
    for split, images_of in counts["classes"].items():
        missing = [name for name, images in images_of.items() if not images and name not in absent]
        if not missing:
            continue
        present = ", ".join(f"{name} ({images})" for name, images in images_of.items() if images) or "nothing"
        sentence = f"the {split} split holds {present}, but no radiographs of {', '.join(missing)}"
        if split not in official:
            remedy = "use more images"
        else:
            remedy = f"make new splits from all images: {POOL_COMMAND}"
            if other_folders and isinstance(dataset.layout, ClassFolders):
                remedy += f", or {remedy_for_names(dataset.layout, other_folders, missing)}"
        if split in official or len(images_of) - len(missing) - len(absent) < 2:
            raise ChestTransferError(f"'{archive_path}': {sentence}; {remedy}")
        sentences.append(f"{sentence}; {remedy}")
    return sentences
