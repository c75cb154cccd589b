"""The learning rate as a function of the epoch, the step and the losses so far: all that a resumed training knows."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chest_transfer.settings import Cosine, Fit, Plateau


def epoch_learning_rate(epoch: int, val_losses: list[float], initial_rate: float, settings: "Fit") -> float:
    """Return the learning rate of an epoch, before warm-up.

    Args:
        epoch: int, 0 for the first.
        val_losses: list of float, the validation loss of every epoch before.
        initial_rate: float, the rate of the first epoch.
        settings: section of the settings with schedule, plateau, cosine and epochs.
    """
    return SCHEDULES[settings.schedule](epoch, val_losses, initial_rate, settings)


def warmup_factor(epoch: int, step: int, steps_per_epoch: int, warmup_epochs: float) -> float:
    """Return what the learning rate of a step is multiplied by: it rises in a straight line to 1 during warm-up.

    Source: Goyal et al. 2017, arXiv 1706.02677, section 2.2.

    Args:
        epoch: int, 0 for the first.
        step: int, 0 for the first of the epoch.
        steps_per_epoch: int.
        warmup_epochs: float, length of the warm-up in epochs; 0 for none.
    """
    warmup_steps = warmup_epochs * steps_per_epoch
    steps_done = epoch * steps_per_epoch + step
    return min(1.0, (steps_done + 1) / (warmup_steps + 1))


def _constant(epoch: int, val_losses: list[float], initial_rate: float, settings: "Fit") -> float:
    return initial_rate


def _plateau(epoch: int, val_losses: list[float], initial_rate: float, settings: "Fit") -> float:
    """Multiply the rate by `factor` after each `patience` epochs without a lower loss, as Keras' ReduceLROnPlateau."""
    plateau: Plateau = settings.plateau
    rate, lowest_loss, epochs_waited = initial_rate, math.inf, 0
    for loss in val_losses:
        lowest_loss, epochs_waited = (loss, 0) if loss < lowest_loss else (lowest_loss, epochs_waited + 1)
        if epochs_waited >= plateau.patience:
            rate = min(rate, max(rate * plateau.factor, plateau.smallest_rate))
            epochs_waited = 0
    return rate


def _cosine(epoch: int, val_losses: list[float], initial_rate: float, settings: "Fit") -> float:
    """Fall along half a cosine from the initial rate to the smallest at the last epoch (arXiv 1608.03983)."""
    cosine: Cosine = settings.cosine
    smallest_rate = min(cosine.smallest_rate, initial_rate)
    progress = min(epoch / max(1, settings.epochs - 1), 1)
    return smallest_rate + (initial_rate - smallest_rate) * (1 + math.cos(math.pi * progress)) / 2


SCHEDULES = {"constant": _constant, "plateau": _plateau, "cosine": _cosine}
