"""What a report says of models on radiographs from elsewhere: a caution for each such dataset, and a table."""

from markupsafe import Markup

from chest_transfer.evaluation.external import COMPARED
from chest_transfer.evaluation.learning_curves import AREA
from chest_transfer.reporting.cautions import Caution
from chest_transfer.reporting.html_tables import DASH, decimal, html_table, signed_with_interval, with_interval
from chest_transfer.reporting.wording import model_in_words


def external_cautions(name: str, scores: dict[str, dict], external: dict[str, dict[str, dict]]) -> list[Caution]:
    """Return how a dataset's best model, by validation, does on each dataset from elsewhere.

    Args:
        name: str, the dataset.
        scores: dict, the scores of each of its models on its own test split.
        external: dict, by dataset from elsewhere, of the scores of each model there.
    """
    cautions = []
    for target, records in external.items():
        known = [model for model in records if records[model]["auc"] is not None]
        if not known:
            continue
        best = max(known, key=lambda model: scores[model]["validation_auc"] or 0)
        record = records[best]
        fallen = [key for key in COMPARED if (record["change"][f"{key}_high"] or 0) < 0]
        numbers = ", ".join(
            f"{'AUC' if key == 'auc' else key} {decimal(record[key])} ({decimal(record['internal'][key])})"
            for key in COMPARED
        )
        worse = " and ".join("AUC" if key == "auc" else key for key in fallen)
        verdict = f"has a lower {worse} on" if fallen else "was judged on"
        text = (
            f"{name}: the best model ({model_in_words(best)}) {verdict} radiographs of {target}: {numbers}; in "
            "parentheses the same on its own test "
            f"patients. The question was {' and '.join(record['asked'])}, at the thresholds in the model."
        )
        cautions.append(Caution(bool(fallen), text))
    return cautions


def external_table(external: dict[str, dict[str, dict]]) -> Markup | str:
    """Return a table of every model on each dataset from elsewhere; empty where there is none."""
    rows = [
        [target, model_in_words(model), ", ".join(record["asked"]), str(record["images"]), str(record["overlap"]),
         with_interval(record, "auc"), signed_with_interval(*map(record["change"].get, AREA)),
         *(with_interval(record, key) for key in COMPARED[1:]), _at(record, "moved"), _at(record, "best")]
        for target, records in external.items()
        for model, record in records.items()
    ]  # fmt: skip
    heads = [
        "radiographs",
        "model",
        "asked",
        "images",
        "left out",
        "AUC",
        "change",
        "sensitivity",
        "specificity",
        "moved",
        "best",
    ]
    caption = (
        "Thresholds are the model's own. Left out are radiographs that it was trained on. Change: from the AUC on its "
        "own test patients. Moved, best: sensitivity / specificity at a threshold moved without labels, and at the "
        "best one on these very labels"
    )
    return html_table(caption, heads, rows, text_columns=3) if rows else ""


def _at(record: dict, threshold: str) -> str:
    """Return sensitivity and specificity at a threshold, or a dash."""
    at = record["thresholds"].get(threshold)
    return f"{decimal(at['sensitivity'])} / {decimal(at['specificity'])}" if at else DASH
