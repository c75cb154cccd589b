"""Model files from untrusted sources: checked for anything that could run code before they are loaded."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

from chest_transfer.data.file_kinds import FIRST_BYTES, kind_of
from chest_transfer.errors import ChestTransferError
from chest_transfer.networks.saving import FACTS

ALLOWED_MEMBERS = ("config.json", "metadata.json", "model.weights.h5", FACTS)  # and arrays, `*.npy`
ALLOWED_MODULES = (
    "keras",
    "keras.layers",
    "keras.initializers",
    "keras.regularizers",
    "keras.constraints",
    "keras.src.models.functional",
)
# What ConvNeXt has besides: sums that are not layers, and a factor for each channel.
ALLOWED_CLASSES = (("keras.src.ops.numpy", "Add"), ("keras.src.applications.convnext", "LayerScale"))
# Layers of Keras that run code or graphs from the file.
FORBIDDEN_LAYERS = ("Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")


def check_untrusted_model(path: Path) -> None:
    """Raise an error if a model file could run code, before anything in it is built.

    Keras' safe mode rejects `Lambda` layers only; a file may also name any importable class, or bring a TensorFlow
    graph.

    Raises:
        ChestTransferError: If the file does not exist, is not a saved model, or holds anything but Keras' own layers.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
            config = json.loads(archive.read("config.json"))
    except FileNotFoundError:
        raise ChestTransferError(f"no model at '{path}'; run: dvc repro, or: dvc pull") from None
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        with path.open("rb") as file:
            kind = kind_of(file.read(FIRST_BYTES)) or str(error)
        raise ChestTransferError(
            f"'{path}' is no saved model of this project ({kind}); give a .keras file, or a name such as pneumonia"
        ) from None
    unexpected = [name for name in members if name not in ALLOWED_MEMBERS and not name.endswith(".npy")]
    if unexpected:
        raise ChestTransferError(
            f"'{path}' contains '{unexpected[0]}', which models of this project do not; it was not loaded "
            f"(allowed: {', '.join(ALLOWED_MEMBERS)}, *.npy)"
        )
    for module, name in _class_names(config):
        is_allowed = module in ALLOWED_MODULES or (module, name) in ALLOWED_CLASSES
        if not is_allowed or name in FORBIDDEN_LAYERS:
            raise ChestTransferError(
                f"'{path}' contains '{module}.{name}', which could run code (allowed: Keras' own layers); "
                "it was not loaded"
            )


def _class_names(config) -> Iterator[tuple[str, str]]:
    """Yield (module, class name) of every object in a Keras configuration."""
    if isinstance(config, list):
        for item in config:
            yield from _class_names(item)
    elif isinstance(config, dict):
        module, name = config.get("module"), config.get("class_name")
        # Tensors, shapes and the like in call arguments look the same, but have no module.
        is_call_argument = module is None and str(name).startswith("__")
        if name and not is_call_argument:
            yield str(module), str(name)
        registered_name = str(config.get("registered_name") or "")
        if ">" in registered_name:
            yield "registered", registered_name
        for value in config.values():
            yield from _class_names(value)
