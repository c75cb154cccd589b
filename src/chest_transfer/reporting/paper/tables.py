"""The tables of a paper: each as raw numbers for CSV, and as text for Markdown and LaTeX."""

from collections.abc import Iterator

from chest_transfer.reporting.cautions import SHORTCUTS_IN_TABLES
from chest_transfer.reporting.html_tables import DASH, decimal
from chest_transfer.reporting.paper.experiments import Experiment, datasets_of
from chest_transfer.reporting.paper.gain_tables import ensembles, gains, learning_curves, patients_saved
from chest_transfer.reporting.paper.table import WHO, Table, interval, who, words
from chest_transfer.reporting.wording import intervals_hold_for
from chest_transfer.training.fit_check import has_failed


def tables_of(experiments: list[Experiment]) -> list[Table]:
    """Return the tables that have rows, datasets first."""
    kinds = dict.fromkeys(intervals_hold_for(experiment.settings) for experiment in experiments)
    hold_for = kinds.popitem()[0] if len(kinds) == 1 else "as Methods describe them for each experiment"
    if any(len(experiment.settings.seeds) > 1 for experiment in experiments):
        hold_for += "; of ensembles, over patients alone"
    made = (_datasets(experiments), *(make(experiments, hold_for) for make in _OF_MODELS))
    return [table for table in made if table.rows]


_SCORES = [interval("auc", "AUC"), interval("sensitivity", "Sensitivity"), interval("specificity", "Specificity")]


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
    datasets = {name: dataset.data for name, dataset in datasets_of(experiments).items()}
    if shared := [name for name, data in datasets.items() if any(data["leaks"]["patients"].values())]:
        return f"Some patients of {', '.join(shared)} are in two splits."
    if unknown := [name for name, data in datasets.items() if data["without_patient_id"]]:
        return (
            f"Where the archive of {', '.join(unknown)} has no patient identifier, a radiograph counts as a patient, "
            "and whether splits share patients could not be checked."
        )
    return "No patient is in two splits of a dataset."


def _each_model(experiments: list[Experiment]) -> Iterator[tuple[dict, dict]]:
    """Yield who it is and its scores, for each model of each experiment."""
    for experiment in experiments:
        for dataset in experiment.datasets:
            for key, scores in dataset.scores.items():
                regime, start = key.split("-", 1)
                yield who(experiment, dataset.name, regime, start), scores


def _scores(experiments: list[Experiment], hold_for: str) -> Table:
    rows = [
        model | {key: value for key, value in scores.items() if not isinstance(value, dict)}
        for model, scores in _each_model(experiments)
    ]
    columns = [
        *WHO, *_SCORES,
        ("Fit", lambda row: "failed" if has_failed(row) else DASH),
        ("Brier score", lambda row: decimal(row.get("brier"))), ("ECE", lambda row: decimal(row.get("ece"))),
    ]  # fmt: skip
    caption = (
        f"Scores on the test split, with 95 % intervals {hold_for}. Temperature and threshold were chosen on "
        "validation. ECE: expected calibration error."
    )
    return Table("scores", caption, rows, columns)


def _shortcuts(experiments: list[Experiment], hold_for: str) -> Table:
    rows = [
        {"dataset": name, "model": SHORTCUTS_IN_TABLES[shortcut]} | score
        for name, dataset in datasets_of(experiments).items()
        for shortcut, score in dataset.data["shortcuts"].items()
    ]
    caption = (
        "Test AUC of simple models that see no disease, or hardly any, with 95 % intervals over patients: where they "
        "do nearly as well as a network, it may have learned the same."
    )
    columns = [
        words("dataset"), ("Sees", lambda row: row["model"]), interval("auc", "AUC"),
        interval("validation_auc", "AUC on validation"),
    ]  # fmt: skip
    return Table("shortcuts", caption, rows, columns)


def _findings(experiments: list[Experiment], hold_for: str) -> Table:
    rows = [
        model | {"finding": finding} | area
        for model, scores in _each_model(experiments)
        for finding, area in scores.get("findings", {}).items()
    ]
    caption = f"Test AUC of each finding, with 95 % intervals {hold_for}."
    return Table("findings", caption, rows, [*WHO, words("finding"), interval("auc", "AUC")])


def _subgroups(experiments: list[Experiment], hold_for: str) -> Table:
    rows = []
    for experiment in experiments:
        for dataset in experiment.datasets:
            for group in dataset.subgroups.astype(object).where(dataset.subgroups.notna(), None).to_dict("records"):
                rows.append(who(experiment, dataset.name, *group.pop("model").split("-", 1)) | group)
    columns = [
        *WHO, ("Subgroup", lambda row: f"{row['attribute']}: {row['group']}"),
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
                    model = who(experiment, dataset.name, *key.split("-", 1))
                    rows.append(
                        model | {"radiographs_of": target} | numbers | {"internal_auc": record["internal"]["auc"]}
                    )
    columns = [
        *WHO, ("Radiographs of", lambda row: row["radiographs_of"]), interval("auc", "AUC there"),
        ("AUC on its own test split", lambda row: decimal(row["internal_auc"])),
        *_SCORES[1:],
    ]  # fmt: skip
    caption = (
        "Models on radiographs from elsewhere, on which nothing was trained or chosen, at their own thresholds; with "
        "95 % intervals over patients, for the first training seed."
    )
    return Table("external", caption, rows, columns)


_OF_MODELS = (
    _scores, gains, ensembles, learning_curves, patients_saved, _findings, _subgroups, _external, _shortcuts
)  # fmt: skip
