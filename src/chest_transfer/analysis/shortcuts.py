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
from sklearn.base import ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from chest_transfer.analysis import acquisition
from chest_transfer.data.arrays import UNKNOWN, Arrays
from chest_transfer.data.covariates import Covariates
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
SCORED_SPLITS = ("val", "test")
FEW_INPUTS = 6  # at most as many can be balanced between classes one by one


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
    "sharpness": Shortcut(lambda images, files: acquisition.sharpness(images), is_pixels=False),
    "noise": Shortcut(lambda images, files: acquisition.noise(images), is_pixels=False),
    "contrast": Shortcut(lambda images, files: acquisition.contrast(images), is_pixels=False),
    "gray_levels": Shortcut(lambda images, files: acquisition.gray_levels(images), is_pixels=False),
    "field_of_view": Shortcut(lambda images, files: acquisition.field_of_view(images), is_pixels=False),
    "file": Shortcut(_file, is_pixels=False),
    "color_mode": Shortcut(_color_mode, is_pixels=False),
    "source": Shortcut(_source, is_pixels=False, attribute="source"),
}


def fit_shortcuts(train: Arrays, others: dict[str, Arrays], images: pd.DataFrame) -> dict[str, dict[str, Covariates]]:
    """Fit every shortcut model to the training split, and apply it to other splits.

    Args:
        train: Arrays of the training split.
        others: dict of Arrays by split.
        images: table `images.csv`, indexed by name.

    Returns:
        dict by split of dicts of Covariates by shortcut.
    """
    covariates: dict[str, dict[str, Covariates]] = {split: {} for split in others}
    rows = slice(None, None, -(-len(train.names) // MOST_IMAGES))
    for name, shortcut in SHORTCUTS.items():
        if shortcut.attribute and (shortcut.attribute not in images or images[shortcut.attribute].nunique() < 2):
            continue
        train_inputs = shortcut.inputs(train.images[rows], images.loc[train.names[rows]])
        models = _fit(shortcut, train_inputs, train.targets[rows], train.multi_label)
        for split, part in others.items():
            inputs = shortcut.inputs(part.images, images.loc[part.names])
            has_few = not shortcut.is_pixels and inputs.shape[1] <= FEW_INPUTS
            log_odds = _log_odds(models, inputs, part.targets.shape[1])
            covariates[split][name] = Covariates(log_odds, inputs if has_few else None)
    return covariates


def shortcut_scores(
    covariates: dict[str, dict[str, Covariates]], parts: dict[str, Arrays], resamples: int, seed: int
) -> dict[str, dict]:
    """Return the area under the ROC curve of each shortcut model.

    On validation, which is like training unless the archive has its own, a shortcut shows what a network can learn; on
    the test it shows what that is worth there. A large difference is a shift between the two.

    Args:
        covariates: dict of `fit_shortcuts`, of `SCORED_SPLITS`.
        parts: dict of Arrays, by split.
        resamples: int, of the bootstrap over patients.
        seed: int, of the bootstrap.

    Returns:
        dict of auc, auc_low and auc_high (test) and the same after `validation_`, by shortcut: macro averages, like
        those of a model.
    """
    scores: dict[str, dict] = {name: {} for name in covariates["test"]}
    for split, prefix in (("test", ""), ("val", "validation_")):
        part = parts[split]
        weights = cluster_bootstrap_weights(part.patients, resamples, seed)
        labels, has_model_for_each = part.targets.astype(int), _has_model_for_each(part.targets, part.multi_label)
        for name, values in covariates[split].items():
            predictions = uncalibrated_predictions(
                labels, values.log_odds.astype(np.float64), list(part.classes), has_model_for_each, part.patients
            )
            counts = predictions.patient_counts(predictions.averaged_classes)
            area = with_interval("auc", *score_area(predictions, weights), counts)
            scores[name] |= {f"{prefix}{key}": value for key, value in area.items()}
    return scores


def _has_model_for_each(targets: np.ndarray, multi_label: bool) -> bool:
    """Return whether each class has a shortcut model of its own; of two exclusive classes only the second has one."""
    return multi_label or targets.shape[1] > 2


def _fit(shortcut: Shortcut, inputs: np.ndarray, targets: np.ndarray, multi_label: bool) -> dict[int, ClassifierMixin]:
    """Return a model for each class that the training inputs (N, D) show and lack, by its number."""
    models = {}
    for k in range(targets.shape[1]) if _has_model_for_each(targets, multi_label) else [1]:
        known = targets[:, k] != UNKNOWN
        labels = targets[known, k]
        if 0 < labels.sum() < len(labels):
            model = _linear_model() if shortcut.is_pixels else _forest()
            models[k] = model.fit(inputs[known], labels)
    return models


def _log_odds(models: dict[int, ClassifierMixin], inputs: np.ndarray, classes: int) -> np.ndarray:
    """Return (N, K) log odds, 0 for a class without a model."""
    log_odds = np.zeros((len(inputs), classes))
    for k, model in models.items():
        if len(inputs):
            probabilities = model.predict_proba(inputs)[:, 1]
            log_odds[:, k] = logit(np.clip(probabilities, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY))
    return log_odds


def _linear_model():
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced", max_iter=500))


def _forest() -> RandomForestClassifier:
    return RandomForestClassifier(100, min_samples_leaf=5, class_weight="balanced", random_state=1)
