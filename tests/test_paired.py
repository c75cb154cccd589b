"""Models of several experiments compared on the same test patients."""

import numpy as np
import pytest

from chest_transfer.data.predictions import Predictions
from chest_transfer.reporting.paired import are_of_the_same_patients, difference

COUNT = 200
LABELS = (np.arange(COUNT) % 2).astype(int)
HARD = np.random.default_rng(0).normal(size=COUNT)
MINUS = "\N{MINUS SIGN}"


def predictions(seed: int, separation: float, names: str = "n", images: int = COUNT) -> tuple[Predictions, Predictions]:
    """The validation and test predictions of one fit; the same patients are hard for every model."""
    noise = np.random.default_rng(seed).normal(size=COUNT)
    scores = separation * LABELS + HARD + 0.3 * noise
    of_images = np.array([f"{names}{number}" for number in range(images)])
    classes = ["Normal", "COVID"]
    of_split = Predictions(
        of_images, of_images, np.eye(2, dtype=int)[LABELS[:images]], np.stack([-scores, scores], axis=1)[:images],
        classes, classes, np.zeros(images, bool),
    )  # fmt: skip
    return of_split, of_split


def test_a_worse_model_is_worse_with_an_interval():
    best = {seed: predictions(seed, 2.0) for seed in (1, 2, 3)}
    text = difference(best, {seed: predictions(seed + 10, 1.0) for seed in best})
    value, low, high = (float(number.replace(MINUS, "-")) for number in text.replace("(", "").rstrip(")").split()[::1]
                        if number != "to")  # fmt: skip
    assert low < value < high < 0
    of_one_seed = difference({1: best[1]}, {1: predictions(7, 1.0)})
    assert of_one_seed.startswith(MINUS)
    assert difference(best, best) == "the same predictions"


@pytest.mark.parametrize("others", [{"names": "m"}, {"images": 150}])
def test_other_test_patients_are_noticed(others):
    first, second = {1: predictions(1, 1.0)}, {1: predictions(1, 1.0, **others)}
    assert are_of_the_same_patients(first, first)
    assert not are_of_the_same_patients(first, second)
