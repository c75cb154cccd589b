"""Predicting: what a saved model says of radiographs, calibrated, at its threshold, and whether it should be asked."""

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np

from chest_transfer.data.dicom import is_dicom, read_dicom
from chest_transfer.data.radiographs import UnreadableImage, coloured, decode
from chest_transfer.data.scope import Scope
from chest_transfer.errors import ChestTransferError
from chest_transfer.networks.saving import FACTS, load_model, read_array, read_facts
from chest_transfer.serving.pictures import Picture
from chest_transfer.training.operating import calibrated, decisions

BATCH = 32
OUTSIDE = "unlike the radiographs that the model was trained on"
COLOURED = "a colour picture"


@dataclass(frozen=True)
class Prediction:
    """What a model says of one picture.

    Args:
        name: of the picture.
        called: the classes that it calls at its thresholds; empty where it calls none, or the picture is unreadable.
        probabilities: class -> calibrated probability.
        cautions: why the answer should not be believed: unlike training pictures, in colour, another view ...
        error: why there is no answer, in one line.
        pixels: (H, W) uint8 as the model sees it; None if unreadable.
    """

    name: str
    called: tuple[str, ...] = ()
    probabilities: dict[str, float] | None = None
    cautions: tuple[str, ...] = ()
    error: str = ""
    pixels: np.ndarray | None = None

    def record(self) -> dict:
        """The same as JSON, without the pixels."""
        return {
            "name": self.name, "called": list(self.called), "probabilities": self.probabilities or {},
            "cautions": list(self.cautions), "error": self.error,
        }  # fmt: skip


class Predictor:
    """A saved model, ready to be asked.

    Args:
        path: its `.keras` file; one that could run code is refused.
        point: the operating point, one of those that were frozen into it.

    Raises:
        ChestTransferError: no such file, none of this project's models, or an operating point that it has not.
    """

    def __init__(self, path: Path, point: str = "youden"):
        refuse_code(path)
        self.path, self.facts = path, read_facts(path)
        points = self.facts.get("thresholds", {})
        if point not in points:
            raise ChestTransferError(
                f"'{path}' has no operating point '{point}' (allowed: {', '.join(points) or 'none: no classifier'})"
            )
        self.point, self.cuts = point, np.array(points[point])
        self.classes, self.multi_label = self.facts["classes"], self.facts["multi_label"]

    @cached_property
    def network(self):
        """The Keras model."""
        return load_model(self.path)[0]

    @cached_property
    def scope(self) -> Scope:
        """What its training pictures look like."""
        arrays = {name: read_array(self.path, f"scope_{name}") for name in ("mean", "components", "variances")}
        return Scope(**arrays, **self.facts["scope"])

    @property
    def size(self) -> int:
        """Pixels a side."""
        return self.network.input_shape[1]

    @property
    def threshold(self) -> float | dict[str, float] | None:
        """From which probability the disease, or each finding, is called; None where the likeliest class is."""
        if self.multi_label:
            return dict(zip(self.classes, self.cuts.tolist(), strict=True))
        return float(self.cuts[1]) if len(self.cuts) == 2 else None

    def predict(self, pictures) -> Iterator[Prediction]:
        """One prediction for each `Picture`, in order; an unreadable one has its error and does not stop the rest."""
        pictures = iter(pictures)
        while batch := list(islice(pictures, BATCH)):
            read = [self._read(picture) for picture in batch]
            images = [pixels for pixels, _ in read if isinstance(pixels, np.ndarray)]
            answers = iter(self.answers(np.array(images)) if images else ())
            for picture, (pixels, cautions) in zip(batch, read, strict=True):
                if isinstance(pixels, str):
                    yield Prediction(picture.name, error=pixels)
                else:
                    yield self._told(picture.name, pixels, cautions, *next(answers))

    def answers(self, images: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, bool]]:
        """For each of (n, size, size) uint8, at most `BATCH`: calibrated probabilities (K,), what is called (K,), and
        whether it lies outside the scope.
        """
        raw = self.network.predict_on_batch(images[..., np.newaxis].astype(np.float32))
        found = calibrated(raw, self.facts["temperature"], self.multi_label)
        called = decisions(found, self.cuts, self.multi_label)
        return list(zip(found, called, self.scope.outside(images), strict=True))

    def _read(self, picture: Picture) -> tuple[np.ndarray | str, tuple[str, ...]]:
        if picture.content is None:
            return picture.reason, ()
        try:
            pixels = decode(picture.content, self.size, self.facts["fit"])
            cautions = read_dicom(picture.content)[2] if is_dicom(picture.content) else ()
        except UnreadableImage as error:
            return str(error), ()
        if not is_dicom(picture.content) and coloured(picture.content):
            cautions = (*cautions, COLOURED)
        return pixels, cautions

    def _told(self, name, pixels, cautions, probabilities, called, outside) -> Prediction:
        return Prediction(
            name=name,
            called=tuple(label for label, is_called in zip(self.classes, called, strict=True) if is_called),
            probabilities=dict(zip(self.classes, map(float, probabilities), strict=True)),
            cautions=(*cautions, OUTSIDE) if outside else cautions,
            pixels=pixels,
        )


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
