"""Model selection: which of an experiment's models of a dataset to take away."""

from chest_transfer.model_names import ENSEMBLE, NOT_FITTED


def best_on_validation(detail: dict[str, dict[str, dict]]) -> str:
    """Return the `file_name` of the model with the largest area on validation; the test split has no say.

    Args:
        detail: content of `metrics/detail/D.json`: scores by regime and start, with those of each fit. Models of other
            datasets that were not trained on this one are not candidates.
    """
    areas = {
        f"{regime}-{row.removesuffix(f'-{ENSEMBLE}')}-{fit}": scores["validation_auc"] or 0.0
        for regime, rows in detail.items()
        for row, record in rows.items()
        for fit, scores in record["fits"].items()
        if regime not in NOT_FITTED
    }
    return max(areas, key=lambda name: (areas[name], name))
