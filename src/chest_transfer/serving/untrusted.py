"""Model files from strangers: refused before anything is built, unless they hold a network of this project's kind."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

from chest_transfer.errors import ChestTransferError
from chest_transfer.networks.saving import FACTS

MEMBERS = ("config.json", "metadata.json", "model.weights.h5", FACTS)
MODULES = (
    "keras", "keras.layers", "keras.initializers", "keras.regularizers", "keras.constraints",
    "keras.src.models.functional",
)  # fmt: skip
CODE = ("Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")  # layers that run what a file brings


def refuse_code(path: Path) -> None:
    """Refuse a model file whose network is not made of Keras' own layers, before anything in it is built.

    Keras' safe mode refuses Lambda layers; a file may also name any importable class, or a graph of TensorFlow's.

    Raises:
        ChestTransferError: what is not allowed, or no such file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            config = json.loads(archive.read("config.json"))
    except FileNotFoundError:
        raise ChestTransferError(f"no model at '{path}'; run: dvc repro, or: dvc pull") from None
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ChestTransferError(f"'{path}' is no saved model of this project: {error}") from None
    if strange := [name for name in names if name not in MEMBERS and not name.endswith(".npy")]:
        raise ChestTransferError(
            f"'{path}' holds '{strange[0]}', which no model of this project does; it was not opened"
        )
    for module, name in _classes(config):
        if module not in MODULES or name in CODE:
            raise ChestTransferError(
                f"'{path}' holds '{module}.{name}', which could run code (allowed: Keras' own layers); "
                "it was not opened"
            )


def _classes(config) -> Iterator[tuple[str, str]]:
    """(module, class) of every object in a Keras configuration."""
    if isinstance(config, list):
        for item in config:
            yield from _classes(item)
    elif isinstance(config, dict):
        name, registered = config.get("class_name"), str(config.get("registered_name") or "")
        # Tensors, shapes and the like in call arguments are written in the same way, without a module.
        if name and not (config.get("module") is None and str(name).startswith("__")):
            yield str(config.get("module")), str(name)
        if ">" in registered:
            yield "registered", registered
        for value in config.values():
            yield from _classes(value)
