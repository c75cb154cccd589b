"""Arrays of radiographs: npz files written as a stream and opened as a memory map: memory stays flat in their number.

Members, none pickled: `images` (N, H, W) uint8 grey 0-255; `labels` (N,) int64, or (N, K) uint8 for multi-label;
`patients`, `names` (N,) and `classes` (K,) text.
"""

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from chest_transfer.data.archives import ArchiveWriter
from chest_transfer.errors import ChestTransferError


@dataclass(frozen=True)
class Arrays:
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

    @cached_property
    def targets(self) -> np.ndarray:
        """(N, K) float32, 0 or 1: one-hot for single labels, the labels themselves for multi-label."""
        if self.labels.ndim == 2:
            return self.labels.astype(np.float32)
        return np.eye(len(self.classes), dtype=np.float32)[self.labels]


def write_arrays(path: Path, batches: Iterable[np.ndarray], shape: tuple[int, int, int], **columns: np.ndarray) -> None:
    """Write one npz file, its images batch by batch.

    Args:
        path: the file to write.
        batches: arrays (n, H, W) uint8 that together hold `shape[0]` images.
        shape: (N, H, W) of all of them.
        columns: the other members.
    """
    with ArchiveWriter(path) as writer:
        with writer.open("images.npy") as member:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_2_0(member, header)
            for batch in batches:
                member.write(np.ascontiguousarray(batch, dtype=np.uint8).data)
        for name, column in columns.items():
            with writer.open(f"{name}.npy") as member:
                np.lib.format.write_array(member, column, allow_pickle=False)


def open_arrays(path: Path | str) -> Arrays:
    """Open an npz file with its images as a memory map: nothing is read until it is used.

    Raises:
        ChestTransferError: the file is missing or is no such npz file.
    """
    try:
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as members:
            columns = {name: members[name] for name in ("labels", "patients", "names", "classes")}
        return Arrays(images=_mapped(Path(path), "images.npy"), **columns)
    except FileNotFoundError:
        raise ChestTransferError(f"no arrays at '{path}'; run: dvc repro") from None
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ChestTransferError(f"'{path}' holds no radiograph arrays ({error}); run: dvc repro") from None


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
