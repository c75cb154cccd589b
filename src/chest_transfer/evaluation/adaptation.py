"""Adapting a network to another hospital's radiographs without labels: their statistics replace those of training.

Batch norms get the averages of the new images (Li et al. 2016, arXiv 1603.04779), mixed with the old ones as if these
were of `SOURCE_IMAGES` images (Schneider et al. 2020, arXiv 2006.16971). A network without batch norm sees gray levels
with the mean and the standard deviation of its training images.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np

from chest_transfer.data.arrays import Arrays
from chest_transfer.data.gray_statistics import GrayStatistics, gray_statistics
from chest_transfer.errors import ChestTransferError
from chest_transfer.evaluation.class_shares import MovedThreshold, Question, mean_entropy, move_thresholds
from chest_transfer.networks.classifier import LOGITS, logits_network
from chest_transfer.networks.facts import ClassifierFacts
from chest_transfer.training.batch_norm import image_statistics, training_mode
from chest_transfer.training.batches import Batches

FEWEST_IMAGES = 100
SOURCE_IMAGES = 500
BATCH = 32
PREPROCESSING = "preprocessing"  # the layer that scales gray levels


@dataclass(frozen=True)
class Adaptation:
    """What was changed in a network.

    Args:
        images: int, unlabelled radiographs.
        statistics: str, in words.
        moved: dict of MovedThreshold, by the question: `diseased`, or a finding.
    """

    images: int
    statistics: str
    moved: dict[str, MovedThreshold]

    def record(self) -> dict:
        """Return it as JSON."""
        return {
            "images": self.images,
            "statistics": self.statistics,
            "shares": {name: round(one.share, 6) for name, one in self.moved.items()},
            "offsets": {name: round(one.offset, 6) for name, one in self.moved.items()},
            "doubts": {name: one.doubt for name, one in self.moved.items() if one.doubt},
        }


def adapt(
    classifier,
    arrays: Arrays,
    gray: GrayStatistics,
    facts: ClassifierFacts,
    questions: list[Question],
    stated_share: float | None = None,
) -> Adaptation:
    """Adapt a classifier to radiographs without labels, in place.

    Its statistics become those of the radiographs; then its logits are moved, so that the thresholds that it has
    predict each disease as often as it is there, by an estimate (`class_shares`) that nothing refutes, or as stated;
    else as often as before.

    Args:
        classifier: Keras model from gray levels (N, H, W, 1) 0-255 to probabilities (N, K).
        arrays: Arrays, of which only the images are used.
        gray: GrayStatistics of the radiographs that it was trained on.
        facts: ClassifierFacts.
        questions: list of Question, whose thresholds are moved.
        stated_share: float, the share of the ill that is known; None to estimate it.

    Raises:
        ChestTransferError: there are too few radiographs, or no share is stated and the network would be less certain
            of them; it must then be loaded again.
    """
    network, classes, multi_label = logits_network(classifier), facts.classes, facts.multi_label
    check_enough(len(arrays.names))
    before, as_it_was = _logits(network, arrays), _memory_of(classifier)
    statistics = adapt_statistics(classifier, arrays, gray)
    after = _logits(logits_network(classifier), arrays)
    _, as_is = move_thresholds(questions, classes, multi_label, before, before)
    plausible = [question for question in questions if not as_is[question.name].doubt]
    entropies = [mean_entropy(plausible, classes, multi_label, logits) for logits in (before, after)]
    if plausible and entropies[1] >= entropies[0]:
        less = (
            f"adapted to these {len(arrays.names)} radiographs, the model would be less certain of them (mean entropy "
            f"{entropies[1]:.3f} in place of {entropies[0]:.3f}), which often goes with more errors"
        )
        if stated_share is None:
            raise ChestTransferError(f"{less}; use it as it is, or label some patients and train on them")
        as_it_was()
        statistics, after = f"no averages: {less}", before
    offsets, moved = move_thresholds(questions, classes, multi_label, before, after, stated_share)
    bias = classifier.get_layer(LOGITS).bias
    bias.assign(np.asarray(bias) + offsets)
    return Adaptation(len(arrays.names), statistics, moved)


def _memory_of(classifier) -> Callable[[], None]:
    """Return a function that gives a classifier its weights and its scaling of gray levels back."""
    weights, layer = classifier.get_weights(), classifier.get_layer(PREPROCESSING)
    scale, offset = layer.scale, layer.offset

    def restore() -> None:
        classifier.set_weights(weights)
        layer.scale, layer.offset = scale, offset

    return restore


def _logits(network, arrays: Arrays) -> np.ndarray:
    return network.predict(Batches(arrays, BATCH), verbose=0).astype(np.float64)


def check_enough(images: int) -> None:
    """Check that there are enough radiographs to adapt to.

    Raises:
        ChestTransferError: there are too few.
    """
    if images < FEWEST_IMAGES:
        raise ChestTransferError(
            f"{images} radiographs are too few to adapt to: statistics of so few are unreliable (allowed: "
            f"{FEWEST_IMAGES} or more); use the model as it is"
        )


def adapt_statistics(network, arrays: Arrays, source: GrayStatistics) -> str:
    """Replace a network's statistics by those of radiographs without labels, in place; return what was replaced.

    Args:
        network: Keras model from gray levels (N, H, W, 1) 0-255.
        arrays: Arrays of radiographs, of which only the images are used.
        source: GrayStatistics of the radiographs that the network was trained on.
    """
    images = len(arrays.names)
    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    if not norms:
        return _adapt_gray_levels(network.get_layer(PREPROCESSING), gray_statistics(arrays.images), source)
    kept = SOURCE_IMAGES / (SOURCE_IMAGES + images)
    old = [(np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)) for layer in norms]
    were_trainable = [layer.trainable for layer in norms]
    for layer in norms:
        layer.trainable = True  # a frozen one would stay as it is
    new = image_statistics(training_mode(network), norms, Batches(arrays, BATCH, seed=0), images)
    for layer, was_trainable in zip(norms, were_trainable, strict=True):
        layer.trainable = was_trainable
    for layer, (old_mean, old_variance), (new_mean, new_variance) in zip(norms, old, new, strict=True):
        mean = kept * old_mean + (1 - kept) * new_mean
        square = kept * (old_variance + old_mean**2) + (1 - kept) * (new_variance + new_mean**2)
        layer.moving_mean.assign(mean)
        layer.moving_variance.assign(np.maximum(square - mean**2, 0))
    return f"the averages of {len(norms)} batch norms, to {1 - kept:.0%} those of {images} radiographs"


def _adapt_gray_levels(layer, target: GrayStatistics, source: GrayStatistics) -> str:
    scale = source.deviation / target.deviation
    offset = source.mean - scale * target.mean
    layer.offset = (np.asarray(layer.offset) + np.asarray(layer.scale) * offset).tolist()
    layer.scale = (np.asarray(layer.scale) * scale).tolist()
    return f"gray levels, times {scale:.3f} and {offset:+.1f}, so that their mean and deviation are those of training"
