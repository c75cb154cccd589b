"""Saving models so that equal models give equal bytes, and a model's facts travel in its own file."""

import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from chest_transfer.data.archives import ArchiveWriter
from chest_transfer.errors import DISK_FULL, ChestTransferError
from chest_transfer.files import whole

FACTS = "facts.json"


def save_model(model, path: Path, facts: dict[str, Any]) -> None:
    """Save a model as a `.keras` file, without its optimizer; all of it or nothing.

    Keras writes the time of day and memory addresses (`shared_object_id`) into the file: both are normalised, as are
    the archive's own times, so the bytes depend on the model alone.

    Args:
        model: a Keras model.
        path: the file, ending in `.keras`.
        facts: what must travel with the weights (classes, image size, dataset, ...); any JSON.
    """
    import keras

    with tempfile.TemporaryDirectory() as folder, whole(path) as aside:
        raw = Path(folder) / "raw.keras"
        # A model of the same layers that was never compiled: no optimizer state, a third of the size.
        keras.Model(model.input, model.output, name=model.name).save(raw)
        with zipfile.ZipFile(raw) as source, ArchiveWriter(aside) as target:
            for member in sorted(source.namelist()):
                content = source.read(member)
                if member.endswith(".json"):
                    content = json.dumps(_normalised(json.loads(content), {}), sort_keys=True).encode()
                target.write(member, content)
            target.write(FACTS, _encoded(facts))


def add_facts(path: Path, more: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Add facts, and arrays as `<name>.npy`, to a saved model's file; the network stays as it is, byte for byte."""
    facts = read_facts(path) | more
    with whole(path) as aside, zipfile.ZipFile(path) as source, ArchiveWriter(aside) as target:
        for member in source.namelist():
            target.write(member, _encoded(facts) if member == FACTS else source.read(member))
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            target.write(f"{name}.npy", content.getvalue())


def read_array(path: Path, name: str) -> np.ndarray:
    """An array in a saved model's file.

    Raises:
        ChestTransferError: no such file, or no such array in it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return np.lib.format.read_array(io.BytesIO(archive.read(f"{name}.npy")), allow_pickle=False)
    except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ChestTransferError(f"'{path}' holds no array '{name}': {error}; run: dvc repro") from None


def _encoded(facts: dict[str, Any]) -> bytes:
    return json.dumps(facts, indent=2, sort_keys=True).encode()


def load_model(path: Path):
    """A saved model and its facts, from its file alone.

    Returns:
        (Keras model, dict).

    Raises:
        ChestTransferError: no such file, damaged, or not one of this project's models.
    """
    import keras

    facts = read_facts(path)
    try:
        return keras.saving.load_model(path, compile=False), facts
    except (ValueError, TypeError, OSError, KeyError, zipfile.BadZipFile) as error:
        if isinstance(error, OSError) and error.errno in DISK_FULL:  # Keras unpacks the weights
            raise
        first_line = str(error).strip().splitlines()[0]
        raise ChestTransferError(
            f"'{path}' is damaged, or no saved model of this project: {first_line}; run: dvc repro, or: dvc pull"
        ) from None


def read_facts(path: Path) -> dict[str, Any]:
    """The facts in a saved model's file; no TensorFlow is loaded.

    Raises:
        ChestTransferError: no such file, or not one of this project's models.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read(FACTS))
    except FileNotFoundError:
        raise ChestTransferError(f"no model at '{path}'; run: dvc repro, or: dvc pull") from None
    except (zipfile.BadZipFile, KeyError, json.JSONDecodeError) as error:
        raise ChestTransferError(f"'{path}' is no saved model of this project: {error}") from None


def _normalised(content: Any, numbers: dict[int, int]) -> Any:
    """The JSON without dates, and with shared objects numbered in order of appearance."""
    if isinstance(content, list):
        return [_normalised(item, numbers) for item in content]
    if not isinstance(content, dict):
        return content
    fixed = {}
    for key, value in content.items():
        if key == "date_saved":
            fixed[key] = "1980-01-01@00:00:00"
        elif key == "shared_object_id":
            fixed[key] = numbers.setdefault(value, len(numbers) + 1)
        else:
            fixed[key] = _normalised(value, numbers)
    return fixed
