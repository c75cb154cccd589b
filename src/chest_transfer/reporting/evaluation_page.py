"""One model on labelled radiographs from elsewhere, as lines for the screen and as an HTML page."""

from chest_transfer.evaluation.curves import curves_of_model
from chest_transfer.evaluation.external import ExternalScores
from chest_transfer.reporting.dataset_charts import curve_charts
from chest_transfer.reporting.html_tables import decimal, html_table, with_interval
from chest_transfer.reporting.page import TEMPLATES, subgroup_table
from chest_transfer.reporting.transported import THRESHOLDS

SCORES = {
    "auc": "AUC", "average_precision": "average precision", "sensitivity": "sensitivity", "specificity": "specificity",
    "accuracy": "accuracy", "balanced_accuracy": "balanced accuracy",
}  # fmt: skip
WITHOUT_INTERVAL = {"loss": "cross-entropy", "brier": "Brier score", "ece": "calibration error (ECE)"}


def score_rows(record: dict) -> list[list[str]]:
    """Return each score of `external_scores` and its value with its interval, as text."""
    rows = [[title, with_interval(record, key)] for key, title in SCORES.items()]
    rows += [[title, decimal(record[key])] for key, title in WITHOUT_INTERVAL.items()]
    rows += [
        [f"threshold {THRESHOLDS[name]}", f"sensitivity {decimal(at['sensitivity'])}, "
         f"specificity {decimal(at['specificity'])}, accuracy {decimal(at['accuracy'])}"]
        for name, at in record["thresholds"].items()
    ]  # fmt: skip
    findings = record.get("findings", {})
    return rows + [[f"AUC, {name}", with_interval(of_finding, "auc")] for name, of_finding in findings.items()]


def evaluation_lines(model: str, data: str, scores: ExternalScores, remarks: list[str]) -> list[str]:
    """Return the scores as lines for the screen.

    Args:
        model: str, the model's name.
        data: str, what the radiographs are called.
        scores: ExternalScores.
        remarks: list of str, what has to be known about them.
    """
    rows = score_rows(scores.record)
    width = max(len(title) for title, _ in rows)
    lines = [f"{model} on {data}: {_subtitle(scores.record)}", ""]
    lines += [f"{title:{width}}  {value}" for title, value in rows]
    return [*lines, "", *remarks]


def evaluation_page(model: str, data: str, scores: ExternalScores, remarks: list[str]) -> str:
    """Return the same as an HTML page, with curves and subgroups."""
    return TEMPLATES.get_template("evaluation.html").render(
        model=model,
        data=data,
        subtitle=_subtitle(scores.record),
        scores=html_table("95 % intervals over patients", ["score", "value"], score_rows(scores.record)),
        remarks=remarks,
        charts=[chart.on_page() for chart in curve_charts(curves_of_model("model", scores.predictions))],
        subgroups=subgroup_table(scores.subgroups.assign(model="model")),
    )


def _subtitle(record: dict) -> str:
    return f"{record['images']} radiographs of {record['patients']} patients; asked: {', '.join(record['asked'])}"
