"""NIH ChestX-ray14: its tables and lists become a listing of radiographs with labels, patients and official splits."""

import hashlib
from collections import Counter
from pathlib import PurePosixPath

from chest_transfer.data.archive_tables import read_columns, table_bytes
from chest_transfer.data.archives import Archive
from chest_transfer.data.file_kinds import is_image_name
from chest_transfer.data.findings import ALIASES, NIH_FINDINGS, NO_FINDING
from chest_transfer.data.layouts import SAMPLE_TABLE, SPLIT_LISTS, NihTables
from chest_transfer.data.listed import ListedRadiograph, Listing, first_members
from chest_transfer.data.selection import order_by_name_hash
from chest_transfer.errors import ChestTransferError


def read_nih_tables(layout: NihTables, archive: Archive) -> Listing:
    """Return the radiographs of NIH's own distribution, Kaggle's copy of it, its sample, or a resized version.

    Raises:
        ChestTransferError: the table or a split list is missing, unreadable, or contradicts itself.
    """
    members = {PurePosixPath(member).name: member for member in reversed(archive.members)}
    table_name = _table(archive, members)
    content = table_bytes(archive, members[table_name])
    listing = Listing([], tables={table_name: hashlib.sha256(content).hexdigest()})
    split_of = _official_splits(archive, members, table_name)
    labels_of = _labels_by_image(archive, members[table_name], content)
    for name, labels in sorted(labels_of.items()):
        if name not in members:
            listing.not_used["listed_but_absent"] += 1
        elif split_of and name not in split_of:
            listing.not_used["in_neither_split_list"] += 1
        elif layout.combinations is None:
            _add(listing, members[name], name, labels, split_of.get(name))
        elif (combination := "|".join(labels) or NO_FINDING) in layout.combinations:
            _add(listing, members[name], name, (combination,), split_of.get(name))
        else:
            listing.not_used["other_combination"] += 1
    images = sum(is_image_name(name) for name in members)
    if unlisted := images - sum(name in members for name in labels_of):
        listing.not_used["absent_from_table"] = unlisted
    if not listing.radiographs:
        raise ChestTransferError(
            f"'{archive.path}' holds no image that {table_name} lists; it holds {first_members(archive)}"
        )
    return _cap(layout, listing) if layout.most_per_class else listing


def _table(archive: Archive, members: dict[str, str]) -> str:
    for name in sorted(members):
        if name == SAMPLE_TABLE or (name.startswith("Data_Entry_2017") and name.endswith(".csv")):
            return name
    raise ChestTransferError(f"'{archive.path}' holds no Data_Entry_2017.csv; it holds {first_members(archive)}")


def _official_splits(archive: Archive, members: dict[str, str], table_name: str) -> dict[str, str]:
    """Return the official split of each image; none for Kaggle's sample, which comes without lists."""
    split_of = {}
    for split, names in SPLIT_LISTS.items():
        list_name = next((name for name in names if name in members), None)
        if list_name is None:
            if table_name == SAMPLE_TABLE:
                continue
            texts = ", ".join(sorted(name for name in members if name.endswith(".txt"))) or "no .txt file"
            raise ChestTransferError(
                f"'{archive.path}' holds no {' or '.join(names)}, but {texts}; put NIH's list beside {table_name}"
            )
        listed = dict.fromkeys(table_bytes(archive, members[list_name]).decode("utf-8-sig").split(), split)
        if both := split_of.keys() & listed.keys():
            raise ChestTransferError(f"'{archive.path}' lists {min(both)} to train and to test; fetch it again")
        split_of |= listed
    return split_of


def _add(listing: Listing, member: str, name: str, labels: tuple[str, ...], split: str | None) -> None:
    listing.radiographs.append(ListedRadiograph(member, name, labels, name.split("_")[0], split))


def _cap(layout: NihTables, listing: Listing) -> Listing:
    kept, images_of = [], Counter()
    for row in order_by_name_hash([radiograph.name for radiograph in listing.radiographs]):
        radiograph = listing.radiographs[row]
        images_of[radiograph.labels] += 1
        if images_of[radiograph.labels] <= layout.most_per_class:
            kept.append(radiograph)
    listing.not_used["beyond_the_cap"] = len(listing.radiographs) - len(kept)
    listing.radiographs = sorted(kept, key=lambda radiograph: radiograph.name)
    return listing


def _labels_by_image(archive: Archive, member: str, content: bytes) -> dict[str, tuple[str, ...]]:
    """Return the findings of each image, sorted; none for `NO_FINDING`."""
    where = f"{archive.path}: {PurePosixPath(member).name}"
    header = content[:200].decode("utf-8-sig", "replace")
    if not header.startswith("Image Index,Finding Labels,"):
        raise ChestTransferError(f"{where} starts with {header[:40]!r} where 'Image Index,Finding Labels,' should be")
    table = read_columns(archive, member, {0: "image", 1: "findings"})
    if (repeated := table["image"].duplicated()).any():
        raise ChestTransferError(f"{where} lists {table.loc[repeated, 'image'].iloc[0]} twice; correct the table")
    labels_of = {}
    for image, text in zip(table["image"], table["findings"], strict=True):
        findings = [ALIASES.get(finding, finding) for finding in text.split("|") if finding != NO_FINDING]
        if unknown := set(findings) - set(NIH_FINDINGS):
            raise ChestTransferError(
                f"{where} gives {image} the finding '{min(unknown)}' (known: {', '.join(NIH_FINDINGS)}); correct it"
            )
        labels_of[image] = tuple(sorted(findings))
    return labels_of
