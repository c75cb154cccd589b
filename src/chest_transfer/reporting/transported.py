"""What a report says of models of another dataset: what their threshold is worth, moved without labels, and at best."""

from markupsafe import Markup

from chest_transfer.evaluation.transport import REFUSED
from chest_transfer.model_names import TRANSFERRED
from chest_transfer.reporting.html_tables import decimal, html_table
from chest_transfer.reporting.wording import training_in_words

THRESHOLDS = {
    "source": "of its own validation", "adapted": "of its adaptation", "moved": "moved without labels",
    "best": "best on these labels",
}  # fmt: skip


def threshold_table(scores: dict[str, dict]) -> Markup | str:
    """Return a table of the models that come from other datasets at each threshold; empty where there is none.

    Args:
        scores: dict, the scores of each model of the target.
    """
    rows = []
    for model, record in scores.items():
        regime, _, source = model.partition("-")
        if regime not in TRANSFERRED:
            continue
        # A model that was trained on the target has a threshold of the target's validation split.
        adaptations = [fit["adaptation"] for fit in record["fits"].values() if "adaptation" in fit]
        refused = sum(REFUSED in adaptation["statistics"] for adaptation in adaptations)
        made = training_in_words(regime) + f" (refused: {refused} of {len(adaptations)})" * bool(refused)
        of_thresholds = record.get("thresholds") or {"": record}
        for threshold, at in of_thresholds.items():
            words = THRESHOLDS.get(threshold, "of the target's validation")
            rows.append([
                source, made, words, decimal(record["auc"]), decimal(at["sensitivity"]),
                decimal(at["specificity"]), decimal(at["accuracy"]), decimal(record["ece"]),
            ])  # fmt: skip
    rows.sort(key=lambda row: row[0])
    heads = ["from", "model", "threshold", "AUC", "sensitivity", "specificity", "accuracy", "ECE"]
    caption = (
        "Models of other datasets: unchanged, adapted without labels, and trained further on this one. The best "
        "threshold was chosen with these test labels: an upper limit that nobody can reach beforehand"
    )
    return html_table(caption, heads, rows, text_columns=3) if rows else ""
