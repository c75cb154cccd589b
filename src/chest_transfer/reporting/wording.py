"""How a report says what was done: training regimes, starting weights, operating point, intervals."""

from chest_transfer.model_names import ENSEMBLE, TRANSFERRED, is_ensemble
from chest_transfer.settings import Settings

REGIMES = {
    "probe": "a head on the frozen network",
    "finetune": "fine-tuned",
    "train": "the whole network trained",
    "transfer": "trained on from another dataset",
}
STARTS = {
    "none": "random weights",
    "statistics": "random weights with ImageNet's statistics",
    "phantom": "simulated patients",
    "imagenet": "ImageNet",
}


def start_in_words(regime: str, start: str) -> str:
    """Return what a model started from."""
    return f"a model of {start}" if regime in TRANSFERRED else STARTS.get(start, start)


def intervals_hold_for(settings: Settings) -> str:
    """Return what the intervals of an experiment take into account, as the end of a sentence."""
    if len(settings.seeds) == 1:
        return "over patients (bootstrap)"
    return f"for other training seeds and other patients ({len(settings.seeds)} seeds as readers, Obuchowski-Rockette)"


def operating_point_in_words(settings: Settings) -> str:
    """Return how thresholds were chosen."""
    point = settings.evaluate.operating_point
    return (
        "the largest sum of sensitivity and specificity (Youden)"
        if point == "youden"
        else f"a {point.replace(' ', ' of ')}"
    )


def training_in_words(regime: str) -> str:
    """Return the name of a training regime in a table."""
    return {
        "finetune": "fine-tuned",
        "train": "trained",
        "transfer": "transferred",
        "as_is": "as is",
        "adapted": "adapted",
    }.get(regime, regime)


OF_MODELS = {  # what a model is called in tables, charts and cautions
    "probe": "frozen backbone",
    "finetune": "fine-tuned",
    "train": "whole network",
    "as_is": "as it is",
    "adapted": "adapted without labels",
    "transfer": "trained further",
}


def model_in_words(key: str) -> str:
    """Return a model's key, such as `train-phantom`, in words: `whole network, simulated patients`.

    What follows the key, as the class or the seed in `train-phantom Effusion`, stays behind it.
    """
    key, blank, rest = key.partition(" ")
    regime, dash, row = key.partition("-")
    if not dash or regime not in OF_MODELS:
        return f"{key}{blank}{rest}"
    return f"{OF_MODELS[regime]}, {row_in_words(regime, row)}{': ' if rest else ''}{rest}"


def row_in_words(regime: str, row: str) -> str:
    """Return what the models of a row of the metrics started from, and whether it is their ensemble."""
    start = start_in_words(regime, row.removesuffix(f"-{ENSEMBLE}"))
    return f"{start}, ensemble" if is_ensemble(row) else start
