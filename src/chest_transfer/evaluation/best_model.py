"""Model selection: which of an experiment's models of a dataset to take away."""

from chest_transfer.model_names import ENSEMBLE, NOT_FITTED


def best_on_validation(detail: dict[str, dict[str, dict]]) -> tuple[str, str, str]:
    """Return regime, row and fit of the model with the largest area on validation; the test split has no say.

    Args:
        detail: content of `metrics/detail/D.json`: scores by regime and start, with those of each fit. Models of other
            datasets that were not trained on this one are not candidates.
    """
    areas = {
        (regime, row, fit): scores["validation_auc"] or 0.0
        for regime, rows in detail.items()
        for row, record in rows.items()
        for fit, scores in record["fits"].items()
        if regime not in NOT_FITTED
    }
    return max(areas, key=lambda key: (areas[key], file_name(*key)))


def file_name(regime: str, row: str, fit: str) -> str:
    """Return `ModelName.file_name` of a model: `train-none-seed1-all`, or `train-none-ensemble-all`."""
    return f"{regime}-{row.removesuffix(f'-{ENSEMBLE}')}-{fit}"
