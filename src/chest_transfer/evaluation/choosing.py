"""Choosing: which of an experiment's models of a dataset to take away."""


def best_on_validation(detail: dict[str, dict[str, dict]]) -> str:
    """The model with the best area on validation, as `way-start`; the test split has no say.

    Args:
        detail: of `metrics/detail/`: way -> start -> scores. Models used as they are, of other datasets, do not count.
    """
    found = {
        f"{way}-{start}": scores.get("validation_auc") or 0.0
        for way, starts in detail.items()
        for start, scores in starts.items()
        if way != "as_is"
    }
    return max(found, key=lambda name: (found[name], name))
