"""The predictor: a packed model's calibrated predictions for radiographs, at a threshold, with cautions."""

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np

from chest_transfer.data.dicom import is_dicom
from chest_transfer.data.gray_levels import COLOR
from chest_transfer.data.lung_windows import NOT_FOUND, LungFinder
from chest_transfer.data.radiographs import UnreadableImage, decode_image, decode_square, is_color
from chest_transfer.data.regions import SIDE, WHOLE, Window, lung_window
from chest_transfer.errors import ChestTransferError
from chest_transfer.evaluation.averaging import logits_of_mean
from chest_transfer.evaluation.conformal import possible
from chest_transfer.evaluation.operating_points import calibrated_probabilities, predicted_labels
from chest_transfer.evaluation.out_of_distribution import OutOfDistribution
from chest_transfer.networks.classifier import logits_network
from chest_transfer.networks.ensembles import members_of
from chest_transfer.networks.facts import PackedFacts
from chest_transfer.networks.saving import LUNGS, load_model, read_arrays, read_facts
from chest_transfer.serving.answers import answer_in_words
from chest_transfer.serving.image_files import ImageFile
from chest_transfer.serving.packing import read_out_of_distribution
from chest_transfer.serving.untrusted import check_untrusted_model

BATCH = 32
OUTSIDE = "unlike the radiographs that the model was trained on"


@dataclass(frozen=True)
class Prediction:
    """A model's prediction for one picture.

    Args:
        name: str, of the picture.
        possible: tuple of str, the classes that are possible at the error rate; of independent ones those that may be
            present.
        labels: tuple of str, the predicted classes; none where no threshold is reached, or the picture is unreadable.
        probabilities: dict of calibrated probabilities by class; None if unreadable.
        cautions: tuple of str, why the prediction should not be trusted: unlike the training images, in color ...
        answer: str, a sentence: what was found, and what was looked for.
        is_undecided: bool, whether no single class, or for a finding neither its presence nor its absence, is left.
        error: str, why there is no prediction, in one line.
        pixels: (H, W) uint8 array as the model sees it; None if unreadable.
        window: Window, the part of the picture that it sees.
    """

    name: str
    labels: tuple[str, ...] = ()
    probabilities: dict[str, float] | None = None
    possible: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()
    answer: str = ""
    is_undecided: bool = False
    error: str = ""
    pixels: np.ndarray | None = None
    window: Window = WHOLE

    def record(self) -> dict:
        """Return the prediction as JSON, without the pixels."""
        return {
            "name": self.name, "answer": self.answer, "predicted": list(self.labels),
            "probabilities": self.probabilities or {}, "possible": list(self.possible),
            "is_undecided": self.is_undecided, "cautions": list(self.cautions), "error": self.error,
        }  # fmt: skip


class _LoadedParts:
    """The parts of a model's file that take time to load, each loaded when it is first needed."""

    def __init__(self, path: Path):
        self._path = path

    @cached_property
    def network(self):
        return load_model(self._path, PackedFacts)[0]

    @cached_property
    def logits_networks(self) -> list:
        return [logits_network(member) for member in members_of(self.network)]

    @cached_property
    def out_of_distribution(self) -> OutOfDistribution:
        return read_out_of_distribution(self._path)

    @cached_property
    def lungs(self) -> LungFinder | None:
        if read_facts(self._path, PackedFacts).region == "whole":
            return None
        arrays = read_arrays(self._path, LUNGS)
        if not arrays:
            raise ChestTransferError(
                f"'{self._path}' lacks the network that finds lungs; make it again with: dvc repro"
            )
        from chest_transfer.networks.lung_network import LungNetwork

        return LungNetwork.of_arrays(arrays)

    @cached_property
    def heat_maps(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        from chest_transfer.evaluation.grad_cam import GradCam

        of_members = [GradCam(member).maps for member in members_of(self.network)]
        return lambda images, classes: np.mean([maps(images, classes) for maps in of_members], axis=0)


class Predictor:
    """A packed model, ready to predict.

    Args:
        path: Path of its `.keras` file; one that could run code is refused.
        operating_point: str, one of those in the file.
        error_rate: float, of prediction sets, one of those in the file.

    Raises:
        ChestTransferError: there is no such file, it is not a packed model, or it has no such operating point or rate.
    """

    def __init__(self, path: Path, operating_point: str = "youden", error_rate: float = 0.1):
        check_untrusted_model(path)
        self.path, self.facts = path, read_facts(path, PackedFacts)
        self.classes, self.multi_label = self.facts.classes, self.facts.multi_label
        self._loaded = _LoadedParts(path)
        self._set_operating_point(operating_point)
        if f"{error_rate:g}" not in self.facts.cutoffs:
            allowed = ", ".join(self.facts.cutoffs)
            raise ChestTransferError(f"'{path}' has no error rate {error_rate:g} (allowed: {allowed})")
        self.error_rate, self._cutoffs = error_rate, np.array(self.facts.cutoffs[f"{error_rate:g}"])

    def _set_operating_point(self, operating_point: str) -> None:
        if operating_point not in self.facts.thresholds:
            allowed = ", ".join(self.facts.thresholds)
            raise ChestTransferError(f"'{self.path}' has no operating point '{operating_point}' (allowed: {allowed})")
        self.operating_point = operating_point
        self._thresholds = np.array(self.facts.thresholds[operating_point])

    def at(self, operating_point: str) -> "Predictor":
        """Return the same model at another operating point; both share what they load."""
        other = copy.copy(self)
        other._set_operating_point(operating_point)
        return other

    @property
    def network(self):
        """The Keras model, from gray levels to probabilities before calibration."""
        return self._loaded.network

    @property
    def lungs(self) -> LungFinder | None:
        """What finds the lungs, where the model sees the box around them."""
        return self._loaded.lungs

    @property
    def image_size(self) -> int:
        """Pixels a side."""
        return self.facts.image_size

    @property
    def threshold(self) -> float | dict[str, float] | None:
        """The probability from which the disease, or each finding, is predicted; None for the most probable class."""
        if self.multi_label:
            return dict(zip(self.classes, self._thresholds.tolist(), strict=True))
        return float(self._thresholds[1]) if len(self._thresholds) == 2 else None

    def predict(self, pictures: Iterable[ImageFile]) -> Iterator[Prediction]:
        """Yield a prediction for each picture, in order; an unreadable one has an error and does not stop the rest."""
        pictures = iter(pictures)
        while batch := list(islice(pictures, BATCH)):
            decoded = [self.decode(picture) for picture in batch]
            images = [one.pixels for one in decoded if not one.error]
            results = iter(self.predict_images(np.array(images)) if images else ())
            for one in decoded:
                yield one if one.error else self._predicted(one, *next(results))

    def predict_images(self, images: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, bool]]:
        """Return calibrated probabilities (K,), predicted labels (K,) and whether it is out of distribution, for each.

        Args:
            images: (n, size, size) uint8 array, at most `BATCH`.
        """
        gray_levels = images[..., np.newaxis].astype(np.float32)
        logits = self._mean([network.predict_on_batch(gray_levels) for network in self._loaded.logits_networks])
        probabilities = calibrated_probabilities(logits, self.facts.temperature, self.multi_label)
        labels = predicted_labels(probabilities, self._thresholds, self.multi_label)
        return list(zip(probabilities, labels, self._loaded.out_of_distribution.is_outside(images), strict=True))

    def logits(self, arrays) -> np.ndarray:
        """Return the logits (N, K) of Arrays of N radiographs, before calibration."""
        from chest_transfer.training.batches import Batches

        batches = Batches(arrays, BATCH)
        return self._mean([network.predict(batches, verbose=0) for network in self._loaded.logits_networks])

    def _mean(self, logits: list[np.ndarray]) -> np.ndarray:
        """Return the logits of a single network, or those of an ensemble's mean."""
        return logits[0] if len(logits) == 1 else logits_of_mean(np.stack(logits), self.multi_label)

    def explained_class(self, prediction: Prediction) -> str:
        """Return the class that a heat map explains: of two the disease; else the first predicted, or most probable."""
        if len(self.classes) == 2:
            return self.classes[1]
        return (*prediction.labels, max(prediction.probabilities, key=prediction.probabilities.get))[0]

    def heat_maps(self, predictions: list[Prediction], classes: list[str]) -> np.ndarray:
        """Return the heat map of a class of each readable picture: (n, size, size) float32, 0-1."""
        from chest_transfer.evaluation.explanation import maps_in_batches

        numbers = np.array([self.classes.index(name) for name in classes])
        images = np.array([prediction.pixels for prediction in predictions])
        return maps_in_batches(self._loaded.heat_maps, images, numbers)

    def decode(self, picture: ImageFile) -> Prediction:
        """Return what is known of a picture before the model sees it: its pixels, or the reason why there are none."""
        if picture.content is None:
            return Prediction(picture.name, error=picture.reason)
        try:
            found = self._window(picture.content)
            window = found or WHOLE
            decoded = decode_image(picture.content, window.whole_side(self.image_size))
            shows_color = not is_dicom(picture.content) and is_color(picture.content)
        except UnreadableImage as error:
            return Prediction(picture.name, error=str(error))
        cautions = (*decoded.warnings, COLOR) if shows_color else decoded.warnings
        if not found:
            cautions = (*cautions, NOT_FOUND)
        pixels = decoded.square(self.image_size, self.facts.fit, window)
        return Prediction(picture.name, cautions=cautions, pixels=pixels, window=window)

    def _window(self, content: bytes) -> Window | None:
        """Return the part of a picture that the model sees; None where it should see lungs, and none are found."""
        if not (lungs := self.lungs):
            return WHOLE
        mask = lungs.masks(decode_square(content, SIDE)[np.newaxis])[0]
        return lung_window(mask, self.facts.outside_lungs)

    def _predicted(
        self, decoded: Prediction, probabilities: np.ndarray, labels: np.ndarray, is_outside: bool
    ) -> Prediction:
        sets = possible(probabilities[None], self._cutoffs)[0]
        predicted = tuple(label for label, is_predicted in zip(self.classes, labels, strict=True) if is_predicted)
        of_class = dict(zip(self.classes, map(float, probabilities), strict=True))
        unanswered = self._unanswered(sets)
        return replace(
            decoded,
            labels=predicted,
            probabilities=of_class,
            possible=tuple(name for name, (_, present) in zip(self.classes, sets, strict=True) if present),
            cautions=(*decoded.cautions, *[OUTSIDE] * bool(is_outside), *unanswered),
            answer=answer_in_words(self.classes, self.multi_label, predicted, of_class, self.threshold),
            is_undecided=bool(unanswered),
        )

    def _unanswered(self, sets: np.ndarray) -> list[str]:
        """Return the caution that the model gives no answer, from which classes may be absent and present (K, 2)."""
        unanswered = f"undecided at an error rate of {self.error_rate:.0%}: "
        if self.multi_label:
            sizes = dict(zip(self.classes, sets.sum(axis=1), strict=True))
            both, neither = ([name for name, size in sizes.items() if size == wanted] for wanted in (2, 0))
            return [f"{unanswered}{', '.join(both)} may be present or absent"] * bool(both) + [
                f"{unanswered}{', '.join(neither)} fits neither presence nor absence"
            ] * bool(neither)
        names = [name for name, (_, present) in zip(self.classes, sets, strict=True) if present]
        if len(names) == 1:
            return []
        return [
            unanswered
            + (
                f"{' and '.join(names)} both remain possible"
                if len(names) == 2
                else f"{', '.join(names)} remain possible"
                if names
                else "it fits none of the classes"
            )
        ]
