"""Arrays of radiographs and of their features: npz files written as a stream and opened as memory maps.

Memory does not grow with the number of images. Members, none of them pickled: `images` (N, H, W) uint8, gray levels
0-255, or `features` (V, N, C) float32; `labels` (N,) int64, or (N, K) int8 for multi-label data: 1, 0, or
`UNKNOWN`; `patients` and `names` (N,) and `classes` (K,) text; of pools also `sources` (N,) text, the dataset of each.
"""

import mmap
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from chest_transfer.errors import ChestTransferError
from chest_transfer.files import ArchiveWriter, atomic_write

COLUMNS, OPTIONAL_COLUMNS = ("labels", "patients", "names", "classes"), ("sources",)
UNKNOWN = -1  # the label of a class of which nobody says whether a radiograph shows it


class _Labelled:
    @property
    def columns(self) -> dict[str, np.ndarray]:
        """All members but the large one, by name."""
        values = {name: getattr(self, name) for name in (*COLUMNS, *OPTIONAL_COLUMNS)}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def multi_label(self) -> bool:
        """Whether the classes are independent: a radiograph may show several, or none."""
        return self.labels.ndim == 2

    @cached_property
    def targets(self) -> np.ndarray:
        """The labels as (N, K) float32 array of 0, 1 and `UNKNOWN`: one-hot for exclusive classes."""
        if self.multi_label:
            return self.labels.astype(np.float32)
        return np.eye(len(self.classes), dtype=np.float32)[self.labels]

    def of_rows(self, rows: np.ndarray) -> "_Labelled":
        """Return some of the radiographs, in this order; what is memory-mapped stays so.

        Args:
            rows: (n,) int array.
        """
        of_image = {name: value[rows] for name, value in self.columns.items() if name != "classes"}
        return replace(self, **of_image, rows=rows if self.rows is None else self.rows[rows])

    def _in_file(self, rows: np.ndarray) -> np.ndarray:
        return rows if self.rows is None else self.rows[rows]


@dataclass(frozen=True)
class Arrays(_Labelled):
    """The radiographs of one split of one dataset.

    Args:
        images: (N, H, W) uint8 array, a read-only memory map; (M, H, W) where `rows` chooses N of M.
        labels: (N,) int64 or (N, K) int8 array.
        patients: (N,) str array.
        names: (N,) str array.
        classes: (K,) str array.
        sources: (N,) str array, the dataset of each in a pool; None elsewhere.
        rows: (N,) int array, where each is in the memory map; None where all of it is used.
    """

    images: np.ndarray
    labels: np.ndarray
    patients: np.ndarray
    names: np.ndarray
    classes: np.ndarray
    sources: np.ndarray | None = None
    rows: np.ndarray | None = None

    def inputs(self, rows: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        """Return the images of these rows as a network takes them: (n, H, W, 1) uint8."""
        images = self.images[self._in_file(rows)][..., np.newaxis]
        release_pages(self.images)
        return images


@dataclass(frozen=True)
class Features(_Labelled):
    """The features that a frozen backbone computes from one split of one dataset.

    Args:
        features: (V, N, C) float32 array, a read-only memory map: view 0 is each radiograph unchanged, the others are
            augmented; (V, M, C) where `rows` chooses N of M.
        labels: (N,) int64 or (N, K) int8 array.
        patients: (N,) str array.
        names: (N,) str array.
        classes: (K,) str array.
        sources: (N,) str array, the dataset of each in a pool; None elsewhere.
        rows: (N,) int array, where each is in the memory map; None where all of it is used.
    """

    features: np.ndarray
    labels: np.ndarray
    patients: np.ndarray
    names: np.ndarray
    classes: np.ndarray
    sources: np.ndarray | None = None
    rows: np.ndarray | None = None

    def inputs(self, rows: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        """Return the features of these rows (n, C) float32: of a random view of each with an `rng`, else of view 0."""
        views = 0 if rng is None else rng.integers(len(self.features), size=len(rows))
        features = self.features[views, self._in_file(rows)]
        release_pages(self.features)
        return features


def release_pages(array: np.ndarray) -> None:
    """Return the pages of a memory map to the system: those that were read count as this process's memory."""
    pages = getattr(array, "_mmap", None)
    if hasattr(pages, "madvise"):  # not on Windows
        pages.madvise(mmap.MADV_DONTNEED)


def write_arrays(
    path: Path, name: str, dtype: str, shape: tuple[int, ...], batches: Iterable[np.ndarray], **columns: np.ndarray
) -> None:
    """Write one npz file whose large member comes in batches.

    Args:
        path: Path of the file to write.
        name: str, of the large member.
        dtype: str, of the large member.
        shape: tuple of int, of the large member.
        batches: iterable of arrays that together hold it, in order.
        columns: the other members, arrays by name.
    """
    with ArchiveWriter(path) as writer:
        with writer.open(f"{name}.npy") as member:
            header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_2_0(member, header)
            for batch in batches:
                member.write(np.ascontiguousarray(batch, dtype=dtype).data)
        write_members(writer, columns)


def write_members(writer: ArchiveWriter, arrays: dict[str, np.ndarray]) -> None:
    """Add each array to an archive as `<name>.npy`, so that `np.load` reads the archive as an npz file."""
    for name, array in arrays.items():
        with writer.open(f"{name}.npy") as member:
            np.lib.format.write_array(member, array, allow_pickle=False)


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an npz file whose bytes depend on the arrays alone (`np.savez` writes the time), complete or not at all."""
    with atomic_write(path) as aside, ArchiveWriter(aside) as writer:
        write_members(writer, arrays)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read an npz file.

    Raises:
        ChestTransferError: there is none, or it is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as members:
            return dict(members)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ChestTransferError(f"'{path}' cannot be read ({error}); run: dvc repro, or: dvc pull") from None


def open_arrays(path: Path | str) -> Arrays:
    """Open an npz file with its images as a memory map, which is read only where it is used.

    Raises:
        ChestTransferError: the file is missing or is not such an npz file.
    """
    return Arrays(**_open_members(Path(path), "images"))


def open_features(path: Path | str) -> Features:
    """Open an npz file of features as a memory map.

    Raises:
        ChestTransferError: the file is missing or is not such an npz file.
    """
    return Features(**_open_members(Path(path), "features"))


def _open_members(path: Path, mapped: str) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as members:
            columns = {name: members[name] for name in COLUMNS}
            columns |= {name: members[name] for name in OPTIONAL_COLUMNS if name in members}
        return columns | {mapped: _memory_map(path, f"{mapped}.npy")}
    except FileNotFoundError:
        raise ChestTransferError(f"no arrays at '{path}'; run: dvc repro") from None
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ChestTransferError(f"'{path}' holds no array of {mapped} ({error}); run: dvc repro") from None


def _memory_map(path: Path, member: str) -> np.ndarray:
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        info = archive.getinfo(member)
        if info.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{member} is compressed")
        # The local header's name and extra field may differ in length from the central directory's.
        file.seek(info.header_offset + 26)
        name_length, extra_length = np.frombuffer(file.read(4), "<u2")
        file.seek(info.header_offset + 30 + int(name_length) + int(extra_length))
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
        if 0 in shape:
            return np.empty(shape, dtype)
        return np.memmap(path, dtype, "r", offset=file.tell(), shape=shape)
