"""The learning rate of each epoch, from the losses so far: what a resumed training needs to go on alike."""

import math


def rate_of(epoch: int, losses: list[float], first: float, settings) -> float:
    """The learning rate of an epoch.

    Args:
        epoch: 0 for the first.
        losses: on validation, of all the epochs before.
        first: the rate to start from; with `cosine`, the highest.
        settings: schedule, plateau, cosine and epochs.
    """
    if settings.schedule == "plateau":
        return _plateau(losses, first, settings.plateau)
    if settings.schedule == "cosine":
        return _cosine(epoch, first, settings.cosine, settings.epochs)
    return first


def _plateau(losses: list[float], first: float, plateau) -> float:
    """Multiplied by `factor` after each `patience` epochs without a lower loss."""
    rate, best, waited = first, math.inf, 0
    for loss in losses:
        best, waited = (loss, 0) if loss < best else (best, waited + 1)
        if waited >= plateau.patience:
            rate, waited = min(rate, max(rate * plateau.factor, plateau.smallest_rate)), 0
    return rate


def _cosine(epoch: int, highest: float, cosine, epochs: int) -> float:
    """Up in a line while warming, then down along half a cosine (arXiv 1608.03983, without restarts)."""
    if epoch < cosine.warmup:
        return highest * (epoch + 1) / (cosine.warmup + 1)
    lowest, share = min(cosine.smallest_rate, highest), (epoch - cosine.warmup) / max(1, epochs - 1 - cosine.warmup)
    return lowest + (highest - lowest) * (1 + math.cos(math.pi * min(share, 1))) / 2
