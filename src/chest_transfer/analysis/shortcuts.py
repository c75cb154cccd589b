"""Shortcut models: how well classes can be told from what shows no disease, or hardly any.

Sources, scanners and file formats differ by class in the public datasets (DeGrave et al. 2021, AI for radiographic
COVID-19 detection selects shortcuts over signal). A model that is hardly better may have learned nothing else.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import logit
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from chest_transfer.data.arrays import UNKNOWN, Arrays
from chest_transfer.data.thumbnails import box_thumbnails
from chest_transfer.evaluation.calibrated_predictions import uncalibrated_predictions
from chest_transfer.evaluation.intervals import cluster_bootstrap_weights, with_interval
from chest_transfer.evaluation.metrics import score_area

SIDE = 32  # pixels a side of the images of which a part is taken
BORDER_WIDTH = 3  # of them, on each side: no lung reaches it
CENTER_MARGIN = 0.2  # of the side: the middle 60 % hold nearly all of the lungs
THUMBNAIL_SIDE = 16
COLOR_MODES = ("RGB", "RGBA", "P", "CMYK", "I;16")
MOST_IMAGES = 20_000  # training radiographs that a shortcut model is fitted to, evenly spread over the split
SMALLEST_PROBABILITY = 1e-6


@dataclass(frozen=True)
class Shortcut:
    """What a shortcut model sees.

    Args:
        inputs: function from images (N, H, W) uint8 and the table of their files to inputs (N, D).
        is_pixels: bool, whether the inputs are pixels (logistic regression) or facts (random forest).
        attribute: str, the column of the table that it sees; without several values there, there is no such shortcut.
    """

    inputs: Callable[[np.ndarray, pd.DataFrame], np.ndarray]
    is_pixels: bool
    attribute: str = ""


def _outside(margin: int) -> np.ndarray:
    """Return (SIDE, SIDE) bool: the frame of that width."""
    frame = np.ones((SIDE, SIDE), bool)
    frame[margin:-margin, margin:-margin] = False
    return frame


def _border(images: np.ndarray, files: pd.DataFrame) -> np.ndarray:
    return box_thumbnails(images, SIDE)[:, _outside(BORDER_WIDTH)]


def _outside_center(images: np.ndarray, files: pd.DataFrame) -> np.ndarray:
    return box_thumbnails(images, SIDE)[:, _outside(round(CENTER_MARGIN * SIDE))]


def _thumbnail(images: np.ndarray, files: pd.DataFrame) -> np.ndarray:
    return box_thumbnails(images, THUMBNAIL_SIDE).reshape(len(images), -1)


def _file(images: np.ndarray, files: pd.DataFrame) -> np.ndarray:
    width, height = files["width"], files["height"]
    return np.column_stack([width, height, width / height, files["bytes"] / (width * height)])


def _color_mode(images: np.ndarray, files: pd.DataFrame) -> np.ndarray:
    return np.column_stack([files["mode"] == mode for mode in COLOR_MODES]).astype(float)


def _source(images: np.ndarray, files: pd.DataFrame) -> np.ndarray:
    numbers = [zlib.crc32(source.encode()) for source in files["source"].astype(str)]  # a forest asks for equality only
    return np.array(numbers, float)[:, np.newaxis]


SHORTCUTS = {
    "border": Shortcut(_border, is_pixels=True),
    "outside_center": Shortcut(_outside_center, is_pixels=True),
    "thumbnail": Shortcut(_thumbnail, is_pixels=True),
    "file": Shortcut(_file, is_pixels=False),
    "color_mode": Shortcut(_color_mode, is_pixels=False),
    "source": Shortcut(_source, is_pixels=False, attribute="source"),
}


def shortcut_scores(train: Arrays, test: Arrays, images: pd.DataFrame, resamples: int, seed: int) -> dict[str, dict]:
    """Return the area under the ROC curve of each shortcut model on the test split, fitted to the training split.

    Args:
        train: Arrays of the training split.
        test: Arrays of the test split.
        images: table `images.csv`, indexed by name.
        resamples: int, of the bootstrap over patients.
        seed: int, of the bootstrap.

    Returns:
        dict of auc, auc_low and auc_high by shortcut: macro averages, like those of a model.
    """
    weights, scores = cluster_bootstrap_weights(test.patients, resamples, seed), {}
    fitted_rows = slice(None, None, -(-len(train.names) // MOST_IMAGES))
    for name, shortcut in SHORTCUTS.items():
        if shortcut.attribute and (shortcut.attribute not in images or images[shortcut.attribute].nunique() < 2):
            continue
        train_inputs = shortcut.inputs(train.images[fitted_rows], images.loc[train.names[fitted_rows]])
        test_inputs = shortcut.inputs(test.images, images.loc[test.names])
        probabilities = _predict(shortcut, train_inputs, train.targets[fitted_rows], test_inputs, train.multi_label)
        logits = logit(np.clip(probabilities, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY))
        # Each class has a model of its own; of two exclusive classes only the second has one.
        has_model_for_each = train.multi_label or len(test.classes) > 2
        if not has_model_for_each:
            logits[:, 0] = 0
        labels, classes = test.targets.astype(int), list(test.classes)
        predictions = uncalibrated_predictions(labels, logits, classes, has_model_for_each, test.patients)
        counts = predictions.patient_counts(predictions.averaged_classes)
        scores[name] = with_interval("auc", *score_area(predictions, weights), counts)
    return scores


def _predict(
    shortcut: Shortcut, train_inputs: np.ndarray, targets: np.ndarray, test_inputs: np.ndarray, multi_label: bool
) -> np.ndarray:
    """Return (N, K) probabilities of the test inputs (N, D), a model for each class, from training inputs (M, D)."""
    classes = targets.shape[1]
    probabilities = np.full((len(test_inputs), classes), 0.5)
    for k in range(classes) if multi_label or classes > 2 else [1]:
        known = targets[:, k] != UNKNOWN
        labels = targets[known, k]
        if 0 < labels.sum() < len(labels):
            model = _linear_model() if shortcut.is_pixels else _forest()
            probabilities[:, k] = model.fit(train_inputs[known], labels).predict_proba(test_inputs)[:, 1]
    return probabilities


def _linear_model():
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced", max_iter=500))


def _forest() -> RandomForestClassifier:
    return RandomForestClassifier(100, min_samples_leaf=5, class_weight="balanced", random_state=1)
