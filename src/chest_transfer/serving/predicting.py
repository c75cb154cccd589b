"""Predicting: what a saved model says of radiographs, calibrated, at its threshold, and whether it should be asked."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np

from chest_transfer.data.dicom import is_dicom
from chest_transfer.data.radiographs import UnreadableImage, coloured, read_grey
from chest_transfer.data.scope import Scope
from chest_transfer.errors import ChestTransferError
from chest_transfer.networks.saving import load_model, read_array, read_facts
from chest_transfer.serving.pictures import Picture
from chest_transfer.serving.untrusted import refuse_code
from chest_transfer.training.operating import calibrated, decisions

BATCH = 32
NEEDED = ("classes", "multi_label", "fit", "temperature", "thresholds", "scope")  # of a model file's facts
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


class _Loaded:
    """The parts of a model file that take time, each made when it is first needed."""

    def __init__(self, path: Path, scope: dict):
        self._path, self._scope = path, scope

    @cached_property
    def network(self):
        return load_model(self._path)[0]

    @cached_property
    def scope(self) -> Scope:
        arrays = {name: read_array(self._path, f"scope_{name}") for name in ("mean", "components", "variances")}
        return Scope(**arrays, **self._scope)

    @cached_property
    def grad_cam(self):
        from chest_transfer.evaluation.grad_cam import GradCam

        return GradCam(self.network)


class Predictor:
    """A saved model, ready to be asked.

    Args:
        path: its `.keras` file; one that could run code is refused.
        point: the operating point, one of those that were frozen into it.

    Raises:
        ChestTransferError: no such file, none of this project's classifiers, or an operating point that it has not.
    """

    def __init__(self, path: Path, point: str = "youden"):
        refuse_code(path)
        self.path, self.facts = path, read_facts(path)
        if lacking := [key for key in NEEDED if key not in self.facts]:
            raise ChestTransferError(
                f"'{path}' lacks '{lacking[0]}': no classifier, or of an older version; run: dvc repro"
            )
        self._loaded = _Loaded(path, self.facts["scope"])
        self._set(point)
        self.classes, self.multi_label = self.facts["classes"], self.facts["multi_label"]

    def _set(self, point: str) -> None:
        points = self.facts["thresholds"]
        if point not in points:
            raise ChestTransferError(f"'{self.path}' has no operating point '{point}' (allowed: {', '.join(points)})")
        self.point, self.cuts = point, np.array(points[point])

    def at(self, point: str) -> "Predictor":
        """The same model at another operating point; what one of both has loaded, the other has too."""
        other = copy.copy(self)
        other._set(point)
        return other

    @property
    def network(self):
        """The Keras model."""
        return self._loaded.network

    @property
    def scope(self) -> Scope:
        """What its training pictures look like."""
        return self._loaded.scope

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

    def explained(self, prediction: Prediction) -> str:
        """The class that a heat map is of: of two the disease; else the first that is called, or the likeliest."""
        if len(self.classes) == 2:
            return self.classes[1]
        return (*prediction.called, max(prediction.probabilities, key=prediction.probabilities.get))[0]

    def heat_maps(self, predictions: list[Prediction], classes: list[str]) -> np.ndarray:
        """Grad-CAM of a class of each readable picture: (n, size, size) float32, 0-1."""
        from chest_transfer.evaluation.explanation import heat_maps

        numbers = np.array([self.classes.index(name) for name in classes])
        return heat_maps(self._loaded.grad_cam, np.array([prediction.pixels for prediction in predictions]), numbers)

    def _read(self, picture: Picture) -> tuple[np.ndarray | str, tuple[str, ...]]:
        if picture.content is None:
            return picture.reason, ()
        try:
            read = read_grey(picture.content, self.size)
            colours = not is_dicom(picture.content) and coloured(picture.content)
        except UnreadableImage as error:
            return str(error), ()
        cautions = (*read.unusual, COLOURED) if colours else read.unusual
        return read.square(self.size, self.facts["fit"]), cautions

    def _told(self, name, pixels, cautions, probabilities, called, outside) -> Prediction:
        return Prediction(
            name=name,
            called=tuple(label for label, is_called in zip(self.classes, called, strict=True) if is_called),
            probabilities=dict(zip(self.classes, map(float, probabilities), strict=True)),
            cautions=(*cautions, OUTSIDE) if outside else cautions,
            pixels=pixels,
        )
