"""Shortcut probes: how well classes are told from what shows no disease, or hardly any.

Sources, scanners and file formats differ by class in the public sets (DeGrave et al. 2021, AI for radiographic COVID-19
detection selects shortcuts over signal). A model close to such a probe may have learnt nothing else.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from chest_transfer.data.arrays import Arrays
from chest_transfer.data.overlap import shrunk
from chest_transfer.evaluation.intervals import drawn
from chest_transfer.evaluation.metrics import Judged, area, sampled_areas, with_interval

SIDE = 32  # pixels a side that pictures are shrunk to before a part is taken
RING = 3  # of them, on each side: the border; no lung reaches it
THUMBNAIL = 16
MOST = 20_000  # training radiographs that a probe learns from, evenly over the split


def _border(images: np.ndarray, files: pd.DataFrame) -> np.ndarray:
    ring = np.ones((SIDE, SIDE), bool)
    ring[RING:-RING, RING:-RING] = False
    return shrunk(images, SIDE)[:, ring]


def _outside_centre(images: np.ndarray, files: pd.DataFrame) -> np.ndarray:
    """Without the middle 60 % of either side, where nearly all of the lungs are."""
    outside, edge = np.ones((SIDE, SIDE), bool), round(0.2 * SIDE)
    outside[edge:-edge, edge:-edge] = False
    return shrunk(images, SIDE)[:, outside]


def _thumbnail(images: np.ndarray, files: pd.DataFrame) -> np.ndarray:
    return shrunk(images, THUMBNAIL).reshape(len(images), -1)


def _file(images: np.ndarray, files: pd.DataFrame) -> np.ndarray:
    pixels = files["width"] * files["height"]
    return np.column_stack([files["width"], files["height"], files["width"] / files["height"], files["bytes"] / pixels])


def _mode(images: np.ndarray, files: pd.DataFrame) -> np.ndarray:
    return np.column_stack([files["mode"] == mode for mode in ("RGB", "RGBA", "P", "CMYK", "I;16")]).astype(float)


# What is shown of a radiograph, and whether it is read as pixels (a linear model) or as facts (trees).
PROBES: dict[str, tuple[Callable, bool]] = {
    "border": (_border, True),
    "outside_centre": (_outside_centre, True),
    "thumbnail": (_thumbnail, True),
    "file": (_file, False),
    "colour_mode": (_mode, False),
}


def shortcut_scores(
    train: Arrays, test: Arrays, files: pd.DataFrame, multi_label: bool, rounds: int, seed: int
) -> dict[str, dict]:
    """Each probe's area under the ROC curve on the test split, fitted on the training split.

    Args:
        train, test: the splits.
        files: of `images.csv`, indexed by name.
        multi_label: whether an image may have several labels.
        rounds, seed: of the bootstrap over patients.

    Returns:
        name -> auc, auc_low, auc_high: macro averages, as a model's own.
    """
    weights, found = drawn(test.patients, rounds, seed), {}
    every = slice(None, None, -(-len(train.names) // MOST))
    for name, (shown, pixels) in PROBES.items():
        learnt_from = shown(train.images[every], files.loc[train.names[every]])
        asked = shown(test.images, files.loc[test.names])
        probabilities = _told(learnt_from, asked, train.targets[every], pixels, multi_label)
        judged = Judged(test.targets.astype(int), probabilities, multi_label, 1.0, np.full(len(test.classes), 0.5))
        found[name] = with_interval("auc", area(judged), sampled_areas(judged, weights))
    return found


def _told(train: np.ndarray, test: np.ndarray, targets: np.ndarray, pixels: bool, multi_label: bool) -> np.ndarray:
    """(N, K) probabilities for the test inputs (N, d), from training inputs (M, d) and targets (M, K)."""
    made = np.zeros((len(test), targets.shape[1]))
    classes = targets.shape[1]
    for k in range(classes) if multi_label or classes > 2 else [1]:
        if not 0 < targets[:, k].sum() < len(targets):
            continue
        model = (
            make_pipeline(StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced", max_iter=500))
            if pixels
            else RandomForestClassifier(100, min_samples_leaf=5, class_weight="balanced", random_state=1)
        )
        made[:, k] = model.fit(train, targets[:, k]).predict_proba(test)[:, 1]
    if not multi_label and classes == 2:
        made[:, 0] = 1 - made[:, 1]
    return made
