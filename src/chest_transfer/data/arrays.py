"""Arrays of radiographs and of their features: npz files written as a stream and opened as a memory map.

Memory stays flat in their number. Members, none pickled: `images` (N, H, W) uint8 grey 0-255, or `features` (V, N, c)
float32; `labels` (N,) int64, or (N, K) uint8 for multi-label;
`patients`, `names` (N,) and `classes` (K,) text.
"""

import mmap
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from chest_transfer.data.archives import ArchiveWriter
from chest_transfer.errors import ChestTransferError


class _Labelled:
    @cached_property
    def targets(self) -> np.ndarray:
        """(N, K) float32, 0 or 1: one-hot for single labels, the labels themselves for multi-label."""
        if self.labels.ndim == 2:
            return self.labels.astype(np.float32)
        return np.eye(len(self.classes), dtype=np.float32)[self.labels]


@dataclass(frozen=True)
class Arrays(_Labelled):
    """One split of one dataset.

    Args:
        images: (N, H, W) uint8, a read-only memory map.
        labels: (N,) int64 or (N, K) uint8.
        patients, names: (N,) str.
        classes: (K,) str.
    """

    images: np.ndarray
    labels: np.ndarray
    patients: np.ndarray
    names: np.ndarray
    classes: np.ndarray

    def inputs(self, rows: np.ndarray, chance: np.random.Generator | None = None) -> np.ndarray:
        """What a network gets of these rows: (n, H, W, 1) uint8."""
        taken = self.images[rows][..., np.newaxis]
        release(self.images)
        return taken


@dataclass(frozen=True)
class Features(_Labelled):
    """What a frozen backbone sees in one split of one dataset.

    Args:
        features: (V, N, c) float32, a read-only memory map: first of each radiograph as it is, then of augmented views.
        labels, patients, names, classes: as in `Arrays`.
    """

    features: np.ndarray
    labels: np.ndarray
    patients: np.ndarray
    names: np.ndarray
    classes: np.ndarray

    def inputs(self, rows: np.ndarray, chance: np.random.Generator | None = None) -> np.ndarray:
        """What a head gets of these rows: (n, c) float32, of any view if there is chance, else of the first."""
        views = 0 if chance is None else chance.integers(len(self.features), size=len(rows))
        taken = self.features[views, rows]
        release(self.features)
        return taken


def release(mapped: np.ndarray) -> None:
    """Give back the pages of a memory map that were read: they count as this process's memory until then."""
    pages = getattr(mapped, "_mmap", None)
    if hasattr(pages, "madvise"):  # not on Windows
        pages.madvise(mmap.MADV_DONTNEED)


def write_arrays(
    path: Path, name: str, dtype: str, shape: tuple[int, ...], batches: Iterable[np.ndarray], **columns: np.ndarray
) -> None:
    """Write one npz file, its large member batch by batch.

    Args:
        path: the file to write.
        name, dtype, shape: of the large member.
        batches: that together hold it, in order.
        columns: the other members.
    """
    with ArchiveWriter(path) as writer:
        with writer.open(f"{name}.npy") as member:
            header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_2_0(member, header)
            for batch in batches:
                member.write(np.ascontiguousarray(batch, dtype=dtype).data)
        for name, column in columns.items():
            with writer.open(f"{name}.npy") as member:
                np.lib.format.write_array(member, column, allow_pickle=False)


def open_arrays(path: Path | str) -> Arrays:
    """Open an npz file with its images as a memory map: nothing is read until it is used.

    Raises:
        ChestTransferError: the file is missing or is no such npz file.
    """
    return Arrays(**_opened(Path(path), "images"))


def open_features(path: Path | str) -> Features:
    """Open an npz file of features as a memory map.

    Raises:
        ChestTransferError: the file is missing or is no such npz file.
    """
    return Features(**_opened(Path(path), "features"))


def _opened(path: Path, large: str) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as members:
            columns = {name: members[name] for name in ("labels", "patients", "names", "classes")}
        return columns | {large: _mapped(path, f"{large}.npy")}
    except FileNotFoundError:
        raise ChestTransferError(f"no arrays at '{path}'; run: dvc repro") from None
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ChestTransferError(f"'{path}' holds no array of {large} ({error}); run: dvc repro") from None


def _mapped(path: Path, member: str) -> np.ndarray:
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
