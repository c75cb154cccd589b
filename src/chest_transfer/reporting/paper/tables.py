"""The tables of a paper: each as raw numbers for CSV, and as text for Markdown and LaTeX."""

from collections.abc import Iterator

from chest_transfer.reporting.answers import claim_of_gain
from chest_transfer.reporting.html_tables import DASH, decimal, signed_with_interval
from chest_transfer.reporting.paper.experiments import Experiment
from chest_transfer.reporting.paper.table import Table, interval, number, p_value, words
from chest_transfer.reporting.wording import intervals_hold_for, row_in_words, training_in_words
from chest_transfer.training.fit_check import has_failed

AREA = ("auc", "auc_low", "auc_high")


def tables_of(experiments: list[Experiment]) -> list[Table]:
    """Return the tables that have rows, datasets first."""
    kinds = dict.fromkeys(intervals_hold_for(experiment.settings) for experiment in experiments)
    hold_for = kinds.popitem()[0] if len(kinds) == 1 else "as Methods describe them for each experiment"
    if any(len(experiment.settings.seeds) > 1 for experiment in experiments):
        hold_for += " (of ensembles: over patients, for these very networks)"
    made = (_datasets(experiments), *(make(experiments, hold_for) for make in _OF_MODELS))
    return [table for table in made if table.rows]


_SCORES = [interval("auc", "AUC"), interval("sensitivity", "Sensitivity"), interval("specificity", "Specificity")]
_WHO = [
    words("dataset"), words("backbone"),
    ("Training", lambda row: training_in_words(row["regime"])),
    ("Starting weights", lambda row: row_in_words(row["regime"], row["start"])),
]  # fmt: skip


def _who(experiment: Experiment, dataset: str, regime: str, start: str) -> dict:
    return {"dataset": dataset, "backbone": experiment.name, "regime": regime, "start": start}


def _datasets(experiments: list[Experiment]) -> Table:
    rows: dict[tuple, dict] = {}
    for dataset in (dataset for experiment in experiments for dataset in experiment.datasets):
        for split in ("train", "val", "test"):
            numbers = {"patients": dataset.data["patients"][split], "radiographs": dataset.data["images"][split]}
            row = {"dataset": dataset.name, "split": split} | numbers | dataset.data["classes"][split]
            rows[tuple(row.items())] = row
    others = ("dataset", "split", "patients", "radiographs")
    columns = [
        words("dataset"),
        ("Split", lambda row: {"train": "training", "val": "validation"}.get(row["split"], row["split"])),
        ("Patients", lambda row: f"{row['patients']:,}"),
        ("Radiographs", lambda row: f"{row['radiographs']:,}"),
        ("Radiographs by class", lambda row: ", ".join(
            f"{name} {count:,}" for name, count in row.items() if name not in others
        )),
    ]  # fmt: skip
    caption = f"Patients and radiographs of each split. {_disjoint(experiments)}"
    return Table("datasets", caption, list(rows.values()), columns)


def _disjoint(experiments: list[Experiment]) -> str:
    """Return whether patients are in one split only, as far as the archives tell."""
    datasets = {dataset.name: dataset.data for experiment in experiments for dataset in experiment.datasets}
    if shared := [name for name, data in datasets.items() if any(data["leaks"]["patients"].values())]:
        return f"Some patients of {', '.join(shared)} are in two splits."
    if unknown := [name for name, data in datasets.items() if data["without_patient_id"]]:
        return (
            f"No patient with an identifier is in two splits; in {', '.join(unknown)}, radiographs without one count "
            "as patients of their own."
        )
    return "No patient is in two splits of a dataset."


def _each_model(experiments: list[Experiment]) -> Iterator[tuple[dict, dict]]:
    """Yield who it is and its scores, for each model of each experiment."""
    for experiment in experiments:
        for dataset in experiment.datasets:
            for key, scores in dataset.scores.items():
                regime, start = key.split("-", 1)
                yield _who(experiment, dataset.name, regime, start), scores


def _scores(experiments: list[Experiment], hold_for: str) -> Table:
    rows = [
        who | {key: value for key, value in scores.items() if not isinstance(value, dict)}
        for who, scores in _each_model(experiments)
    ]
    columns = [
        *_WHO, *_SCORES,
        ("Fit", lambda row: "failed" if has_failed(row) else DASH),
        ("Brier score", lambda row: decimal(row.get("brier"))), ("ECE", lambda row: decimal(row.get("ece"))),
    ]  # fmt: skip
    caption = (
        f"Scores on the test split, with 95 % intervals {hold_for}. Temperature and threshold were chosen on "
        "validation. ECE: expected calibration error."
    )
    return Table("scores", caption, rows, columns)


def _gains(experiments: list[Experiment], hold_for: str) -> Table:
    rows = [
        _who(experiment, dataset.name, regime, start)
        | gain
        | {"claim": claim_of_gain(dataset.scores, regime, start, gain)}
        for experiment in experiments
        for dataset in experiment.datasets
        for regime, starts in dataset.gains.items()
        for start, gain in starts.items()
    ]
    columns = [
        *_WHO,
        ("Difference of AUC", lambda row: signed_with_interval(*map(row.get, AREA))),
        ("p", lambda row: p_value(row["p"])), words("claim"),
        ("Epochs (control)", lambda row: f"{number(row.get('epochs'))} ({number(row.get('control_epochs'))})"),
    ]  # fmt: skip
    caption = (
        "What each start gains over random weights with the same training, as a difference of test AUC on the same "
        "patients; of an ensemble, over the mean of its members. Where no model of that training started from random "
        "weights, the control is the whole network trained from them. 95 % intervals are "
        f"{hold_for}. Epochs: until the validation loss was as low as the control's lowest, and the control's own."
    )
    return Table("gains", caption, rows, columns)


def _learning_curves(experiments: list[Experiment], hold_for: str) -> Table:
    rows = [
        _who(experiment, dataset.name, regime, start)
        | {"patients": int(number)}
        | point
        | {f"gain_{key}": value for key, value in record.get("gain", {}).get(number, {}).items()}
        for experiment in experiments
        for dataset in experiment.datasets
        for regime, starts in dataset.curves.items()
        for start, record in starts.items()
        for number, point in record["points"].items()
    ]
    columns = [
        *_WHO,
        ("Training patients", lambda row: f"{row['patients']:,}"),
        interval("auc", "AUC"),
        ("Fit", lambda row: "failed" if has_failed(row) else DASH),
        ("Gain", lambda row: signed_with_interval(*(row.get(f"gain_{key}") for key in AREA))),
    ]
    caption = (
        "Test AUC against the number of training patients, and its gain over random weights with the same training "
        f"and as many patients, with 95 % intervals {hold_for}. Nothing is claimed where a fit failed."
    )
    return Table("learning_curves", caption, rows, columns)


def _patients_saved(experiments: list[Experiment], hold_for: str) -> Table:
    rows = [
        _who(experiment, dataset.name, regime, start)
        | {"trained_on": int(number), "against": record["against"]}
        | needs
        for experiment in experiments
        for dataset in experiment.datasets
        for regime, starts in dataset.curves.items()
        for start, record in starts.items()
        for number, needs in record.get("control_needs", {}).items()
    ]
    columns = [
        *_WHO,
        ("Training patients", lambda row: f"{row['trained_on']:,}"),
        ("Patients that the control needs", lambda row: str(row["patients"] or DASH)),
        ("95 % interval", lambda row: DASH if row["patients_low"] is None else (
            f"{row['patients_low']} to {row['patients_high']}"
        )),
    ]  # fmt: skip
    caption = (
        "How many training patients random weights need for the test AUC that a pretrained start reaches, between the "
        f"numbers that were tried, with 95 % intervals {hold_for}."
    )
    return Table("patients_saved", caption, rows, columns)


def _findings(experiments: list[Experiment], hold_for: str) -> Table:
    rows = [
        who | {"finding": finding} | area
        for who, scores in _each_model(experiments)
        for finding, area in scores.get("findings", {}).items()
    ]
    caption = f"Test AUC of each finding, with 95 % intervals {hold_for}."
    return Table("findings", caption, rows, [*_WHO, words("finding"), interval("auc", "AUC")])


def _subgroups(experiments: list[Experiment], hold_for: str) -> Table:
    rows = []
    for experiment in experiments:
        for dataset in experiment.datasets:
            for group in dataset.subgroups.astype(object).where(dataset.subgroups.notna(), None).to_dict("records"):
                rows.append(_who(experiment, dataset.name, *group.pop("model").split("-", 1)) | group)
    columns = [
        *_WHO, ("Subgroup", lambda row: f"{row['attribute']}: {row['group']}"),
        ("Radiographs", lambda row: f"{row['images']:,}"), *_SCORES,
    ]  # fmt: skip
    caption = (
        f"Scores in subgroups of the test patients, with 95 % intervals {hold_for}. A kind of disease is scored "
        "against all healthy patients."
    )
    return Table("subgroups", caption, rows, columns)


def _external(experiments: list[Experiment], hold_for: str) -> Table:
    rows = []
    for experiment in experiments:
        for dataset in experiment.datasets:
            for target, records in dataset.external.items():
                for key, record in records.items():
                    numbers = {name: value for name, value in record.items() if not isinstance(value, dict | list)}
                    who = _who(experiment, dataset.name, *key.split("-", 1))
                    rows.append(
                        who | {"radiographs_of": target} | numbers | {"internal_auc": record["internal"]["auc"]}
                    )
    columns = [
        *_WHO, ("Radiographs of", lambda row: row["radiographs_of"]), interval("auc", "AUC there"),
        ("AUC on its own test split", lambda row: decimal(row["internal_auc"])),
        interval("sensitivity", "Sensitivity"), interval("specificity", "Specificity"),
    ]  # fmt: skip
    caption = (
        "Models on radiographs from elsewhere, on which nothing was trained or chosen, at their own thresholds; with "
        "95 % intervals over patients, for the first training seed."
    )
    return Table("external", caption, rows, columns)


_OF_MODELS = (_scores, _gains, _learning_curves, _patients_saved, _findings, _subgroups, _external)
