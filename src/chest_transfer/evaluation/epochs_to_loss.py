"""How fast a start learns: the epochs until its validation loss is as low as the control's ever was.

Pretrained weights may save epochs where they save no accuracy (Raghu et al. 2019, arXiv 1902.07208).
"""

import numpy as np
import pandas as pd

from chest_transfer.evaluation.fit_scores import EvaluatedFit, history_of
from chest_transfer.evaluation.intervals import rounded


def epochs_to_loss(fits: list[EvaluatedFit], control: list[EvaluatedFit]) -> dict[str, float | None]:
    """Return `epochs` and `control_epochs`: when each had the control's lowest validation loss, means over seeds.

    The loss is the cross-entropy without class weights.

    Args:
        fits: list of EvaluatedFit, of all seeds.
        control: list of EvaluatedFit, of the same seeds in the same order.

    Returns:
        dict; `epochs` is None where a seed never had it. Epoch 0 are the weights that a fine-tuning starts from.
    """
    reached = []
    for fit, of_control in zip(fits, control, strict=True):
        history, of_control_history = history_of(fit.name), history_of(of_control.name)
        goal = of_control_history["val_cross_entropy"].min()
        reached.append((first_epoch(history, goal), first_epoch(of_control_history, goal)))
    epochs, control_epochs = np.mean(reached, axis=0)
    return {"epochs": rounded(epochs), "control_epochs": rounded(control_epochs)}


def first_epoch(history: pd.DataFrame, goal: float) -> float:
    """Return the first epoch with a validation cross-entropy of at most the goal; NaN where there is none."""
    reached = history.loc[history["val_cross_entropy"] <= goal, "epoch"]
    return float(reached.iloc[0]) if len(reached) else float("nan")
