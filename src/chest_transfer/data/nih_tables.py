"""NIH ChestX-ray14: its tables and lists become a listing of radiographs with labels, patients and official splits."""

import hashlib
from collections import Counter
from pathlib import PurePosixPath

from chest_transfer.data.archive_tables import read_columns, table_bytes, table_of_labels
from chest_transfer.data.archives import Archive
from chest_transfer.data.file_kinds import is_image_name
from chest_transfer.data.findings import ALIASES, NIH_FINDINGS, NO_FINDING
from chest_transfer.data.layouts import POOL_COMMAND, SAMPLE_TABLE, SPLIT_LISTS, NihTables
from chest_transfer.data.listed import ListedRadiograph, Listing, first_members
from chest_transfer.data.selection import order_by_name_hash
from chest_transfer.errors import ChestTransferError


def read_nih_tables(layout: NihTables, archive: Archive, keep_splits: bool) -> Listing:
    """Return the radiographs of NIH's own distribution, Kaggle's copy of it, its sample, or a resized version.

    Images are known by their names without the suffix, because resized versions are often JPEG files.

    Args:
        layout: NihTables.
        archive: Archive.
        keep_splits: bool, whether the lists of the official splits are read.

    Raises:
        ChestTransferError: the table or a split list is missing, unreadable, or contradicts itself; two different files
            have the name of one image.
    """
    listing = Listing([])
    table = table_of_labels(archive)
    if table is None:
        raise ChestTransferError(f"'{archive.path}' holds no Data_Entry_2017.csv; {_what_instead(archive)}")
    content, table_name = table_bytes(archive, table), PurePosixPath(table).name
    listing.tables[table_name] = hashlib.sha256(content).hexdigest()
    split_of = _official_splits(archive, table_name) if keep_splits else {}
    labels_of = _labels_by_image(archive, table, content)
    member_of = _images_by_stem(archive, listing, {_stem(name) for name in labels_of})
    for name, labels in sorted(labels_of.items()):
        member, split = member_of.pop(_stem(name), None), split_of.get(_stem(name))
        if member is None:
            listing.not_used["listed_but_absent"] += 1
        elif split_of and split is None:
            listing.not_used["in_neither_split_list"] += 1
        elif layout.combinations is None:
            _add(listing, member, name, labels, split)
        elif (combination := "|".join(labels) or NO_FINDING) in layout.combinations:
            _add(listing, member, name, (combination,), split)
        else:
            listing.not_used["other_combination"] += 1
    listing.not_used["absent_from_table"] += len(member_of)
    listing.not_used = +listing.not_used
    if not listing.radiographs:
        raise ChestTransferError(
            f"'{archive.path}' holds no image that {table_name} lists; it holds {first_members(archive)}"
        )
    return _cap(layout, listing) if layout.most_per_class else listing


def _stem(name: str) -> str:
    return PurePosixPath(name).stem.lower()


def _images_by_stem(archive: Archive, listing: Listing, listed: set[str]) -> dict[str, str]:
    """Return the member of each image, by its name without the suffix; exact copies are counted as not used.

    Raises:
        ChestTransferError: two different images have a name that the table lists.
    """
    member_of = {}
    for member in archive.members:
        if not is_image_name(member):
            continue
        first = member_of.setdefault(_stem(member), member)
        if first == member:
            continue
        is_copy = archive.checksum(first) == archive.checksum(member)
        if _stem(member) in listed and not is_copy:
            raise ChestTransferError(
                f"'{archive.path}' holds two different images of one name, {first} and {member}; keep one of them"
            )
        listing.not_used["nested_copy" if is_copy else "absent_from_table"] += 1
    return member_of


def _what_instead(archive: Archive) -> str:
    names = {PurePosixPath(member).name for member in archive.members}
    others = sorted(name for name in names if "data_entry" in name.lower() or name.startswith("sample_labels"))
    return f"save {others[0]} as CSV" if others else f"it holds {first_members(archive)}"


def _official_splits(archive: Archive, table_name: str) -> dict[str, str]:
    """Return the official split of each image by its stem; none for Kaggle's sample, which comes without lists."""
    members = {PurePosixPath(member).name.lower(): member for member in reversed(archive.members)}
    split_of = {}
    for split, names in SPLIT_LISTS.items():
        list_name = next((name.lower() for name in names if name.lower() in members), None)
        lists = [one for one in archive.members if PurePosixPath(one).name.lower() in map(str.lower, names)]
        if len({archive.checksum(one) for one in lists}) > 1:
            raise ChestTransferError(f"'{archive.path}' holds lists that differ: {', '.join(lists)}; keep one of them")
        if list_name is None:
            if table_name == SAMPLE_TABLE:
                continue
            texts = ", ".join(sorted(name for name in members if name.endswith(".txt"))) or "no .txt file"
            raise ChestTransferError(
                f"'{archive.path}' holds no {' or '.join(names)}, but {texts}; put NIH's list beside {table_name}, "
                f"or make the splits here: {POOL_COMMAND}"
            )
        images = table_bytes(archive, members[list_name]).decode("utf-8-sig").split()
        listed = {_stem(name): split for name in images}
        if both := [name for name in images if _stem(name) in split_of]:
            raise ChestTransferError(f"'{archive.path}' lists {both[0]} to train and to test; fetch it again")
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
        raise ChestTransferError(
            f"{where} starts with {header[:40]!r} where 'Image Index,Finding Labels,' should be; save it with commas"
        )
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
