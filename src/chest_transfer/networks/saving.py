"""Saving models: equal models give equal bytes, and a model's facts travel in its own file."""

import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import ValidationError

from chest_transfer.data.arrays import write_members
from chest_transfer.errors import DISK_FULL, ChestTransferError
from chest_transfer.files import ArchiveWriter, atomic_write
from chest_transfer.networks.facts import StartingFacts

FACTS = "facts.json"
LUNGS = "lungs_"  # of the arrays of the network that finds lungs, what their names start with
Facts = TypeVar("Facts", bound=StartingFacts)


def save_model(model, path: Path, facts: StartingFacts, arrays: dict[str, np.ndarray] | None = None) -> None:
    """Save a Keras model as a `.keras` file without its optimizer, complete or not at all.

    Keras writes the time of day and memory addresses (`shared_object_id`) into the file: both are normalized, like the
    archive's own times, so the bytes depend on the model alone.

    Args:
        model: Keras model.
        path: Path of the file, ending in `.keras`.
        facts: StartingFacts, or a subclass, that travel with the weights.
        arrays: dict of arrays that do, too, by name.
    """
    import keras

    with tempfile.TemporaryDirectory() as folder, atomic_write(path) as aside:
        raw = Path(folder) / "raw.keras"
        # A model of the same layers that was never compiled has no optimizer state: a third of the size.
        keras.Model(model.input, model.output, name=model.name).save(raw)
        with zipfile.ZipFile(raw) as source, ArchiveWriter(aside) as target:
            for member in sorted(source.namelist()):
                content = source.read(member)
                if member.endswith(".json"):
                    content = json.dumps(_normalize(json.loads(content), {}), sort_keys=True).encode()
                target.write(member, content)
            target.write(FACTS, _encode(facts))
            write_members(target, arrays or {})


def repack_model(source: Path, target: Path, facts: StartingFacts, arrays: dict[str, np.ndarray]) -> None:
    """Write a copy of a model's file with other facts, and arrays as `<name>.npy`; the network stays byte for byte.

    Args:
        source: Path of the model's file.
        target: Path of the file to write.
        facts: StartingFacts, or a subclass, in place of those of the source.
        arrays: dict of arrays by name.

    Raises:
        ChestTransferError: there is no such model.
    """
    try:
        with atomic_write(target) as aside, zipfile.ZipFile(source) as archive, ArchiveWriter(aside) as writer:
            for member in archive.namelist():
                writer.write(member, _encode(facts) if member == FACTS else archive.read(member))
            write_members(writer, arrays)
    except (FileNotFoundError, zipfile.BadZipFile) as error:
        raise ChestTransferError(f"no model at '{source}' ({error}); run: dvc repro, or: dvc pull") from None


def read_array(path: Path, name: str) -> np.ndarray:
    """Read an array of a model's file.

    Raises:
        ChestTransferError: there is no such file, or no such array in it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return np.lib.format.read_array(io.BytesIO(archive.read(f"{name}.npy")), allow_pickle=False)
    except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ChestTransferError(f"'{path}' holds no array '{name}': {error}; run: dvc repro") from None


def with_prefix(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return arrays under names that start with a prefix."""
    return {prefix + name: array for name, array in arrays.items()}


def read_arrays(path: Path, prefix: str) -> dict[str, np.ndarray]:
    """Read those arrays of a model's file whose names start with a prefix, which stays in their names.

    Raises:
        ChestTransferError: there is no such file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    except (OSError, zipfile.BadZipFile) as error:
        raise ChestTransferError(f"no model at '{path}' ({error}); run: dvc repro, or: dvc pull") from None
    return {name: read_array(path, name) for name in names if name.startswith(prefix)}


def has_array(path: Path, name: str) -> bool:
    """Return whether a model's file holds an array of that name."""
    try:
        with zipfile.ZipFile(path) as archive:
            return f"{name}.npy" in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def load_model(path: Path, schema: type[Facts]) -> tuple[Any, Facts]:
    """Load a model and its facts from its file alone.

    Args:
        path: Path of the `.keras` file.
        schema: class of the facts.

    Returns:
        (Keras model, facts).

    Raises:
        ChestTransferError: there is no such file, it is damaged, or not one of this project's models of that kind.
    """
    import keras

    facts = read_facts(path, schema)
    try:
        return keras.saving.load_model(path, compile=False), facts
    except (ValueError, TypeError, OSError, KeyError, zipfile.BadZipFile) as error:
        if isinstance(error, OSError) and error.errno in DISK_FULL:  # Keras unpacks the weights
            raise
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ChestTransferError(
            f"'{path}' is damaged, or not a model of this project: {first_line}; run: dvc repro, or: dvc pull"
        ) from None


def read_facts(path: Path, schema: type[Facts]) -> Facts:
    """Read the facts of a model's file; TensorFlow is not loaded.

    Raises:
        ChestTransferError: there is no such file, or it is not one of this project's models of that kind.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return schema.model_validate_json(archive.read(FACTS))
    except FileNotFoundError:
        raise ChestTransferError(f"no model at '{path}'; run: dvc repro, or: dvc pull") from None
    except (zipfile.BadZipFile, KeyError) as error:
        raise ChestTransferError(f"'{path}' is not a model of this project: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or FACTS
        raise ChestTransferError(
            f"'{path}' is not such a model, or of another version: {key}: {first['msg']}; run: dvc repro"
        ) from None


def _encode(facts: StartingFacts) -> bytes:
    return json.dumps(facts.model_dump(), indent=2, sort_keys=True).encode()


def _normalize(content: Any, numbers: dict[int, int]) -> Any:
    """Return the JSON without dates, and with shared objects numbered in the order in which they appear."""
    if isinstance(content, list):
        return [_normalize(item, numbers) for item in content]
    if not isinstance(content, dict):
        return content
    normalized = {}
    for key, value in content.items():
        if key == "date_saved":
            normalized[key] = "1980-01-01@00:00:00"
        elif key == "shared_object_id":
            normalized[key] = numbers.setdefault(value, len(numbers) + 1)
        else:
            normalized[key] = _normalize(value, numbers)
    return normalized
