"""The few numbers of a dataset that are metrics of DVC, and so columns of `dvc exp show`; all others are in tables."""

from chest_transfer.evaluation.best_model import best_on_validation, file_name
from chest_transfer.model_names import is_ensemble


def headline(detail: dict[str, dict[str, dict]], gain: dict[str, dict]) -> dict:
    """Return one number for each model, and six entries on the one to take away.

    Args:
        detail: content of `metrics/detail/D.json`: scores by regime and start, with those of each fit.
        gain: content of `metrics/gain/D.json`: AUC minus that of the control, by regime and start.

    Returns:
        JSON: the test AUC by regime and start, without ensembles; and `best`, the model with the largest AUC on
        validation (`model`), its `auc`, `sensitivity` and `specificity` on the test, and `gain_low` and `gain_high`,
        the 95 % interval of what its start gains over random weights; not of an ensemble, nor of random weights.
    """
    areas = {
        regime: {row: record["auc"] for row, record in rows.items() if not is_ensemble(row)}
        for regime, rows in detail.items()
    }
    regime, row, fit = best_on_validation(detail)
    scores = detail[regime][row]["fits"][fit]
    gained = {} if is_ensemble(row) else gain.get(regime, {}).get(row, {})  # an ensemble's is over its own members
    best = {"model": file_name(regime, row, fit)} | {key: scores[key] for key in ("auc", "sensitivity", "specificity")}
    best |= {f"gain{end}": gained[f"auc{end}"] for end in ("_low", "_high") if gained.get(f"auc{end}") is not None}
    return areas | {"best": best}
