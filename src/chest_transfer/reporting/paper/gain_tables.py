"""The tables on what starts are worth: gains, ensembles, learning curves, and how many patients a start saves."""

from chest_transfer.evaluation.learning_curves import AREA
from chest_transfer.model_names import is_ensemble
from chest_transfer.reporting.answers import GAIN, HARM, NOTHING, claim_of_gain
from chest_transfer.reporting.html_tables import DASH, p_value, signed_with_interval
from chest_transfer.reporting.paper.experiments import Experiment
from chest_transfer.reporting.paper.table import WHO, Table, interval, number, who
from chest_transfer.training.fit_check import has_failed

BOUNDS = ("patients_low", "patients_high")


def _gain_rows(experiments: list[Experiment], of_ensembles: bool) -> list[dict]:
    return [
        who(experiment, dataset.name, regime, start)
        | gain
        | {"claim": claim_of_gain(dataset.scores, regime, start, gain)}
        for experiment in experiments
        for dataset in experiment.datasets
        for regime, starts in dataset.gains.items()
        for start, gain in starts.items()
        if is_ensemble(start) == of_ensembles
    ]


_GAIN = [
    ("Difference of AUC", lambda row: signed_with_interval(*map(row.get, AREA))),
    ("P", lambda row: p_value(row["p"])),
    ("Interval without 0", lambda row: {GAIN: "yes", HARM: "yes", NOTHING: "no"}.get(row["claim"], row["claim"])),
]


def gains(experiments: list[Experiment], hold_for: str) -> Table:
    columns = [
        *WHO,
        ("Control", lambda row: "same training" if row["against"].startswith(f"{row['regime']}-") else "trained*"),
        *_GAIN,
        ("Epochs (control)", lambda row: f"{number(row.get('epochs'))} ({number(row.get('control_epochs'))})"),
    ]
    caption = (
        "Test AUC of each start minus that of random weights on the same patients (positive: better than random "
        f"weights), with 95 % intervals {hold_for}. *Where no model of that training started from random weights, the "
        "control is the whole network trained from them, which differs in more than its start. Epochs: until the "
        "unweighted validation cross-entropy was as low as the control's lowest with every seed, and the control's "
        "own."
    )
    return Table("gains", caption, _gain_rows(experiments, False), columns)


def ensembles(experiments: list[Experiment], hold_for: str) -> Table:
    caption = (
        "Test AUC of each ensemble minus the mean of its members, with 95 % intervals over patients, conditional on "
        "the trained networks."
    )
    return Table("ensembles", caption, _gain_rows(experiments, True), [*WHO, *_GAIN])


def learning_curves(experiments: list[Experiment], hold_for: str) -> Table:
    rows = [
        who(experiment, dataset.name, regime, start)
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
        *WHO,
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


def patients_saved(experiments: list[Experiment], hold_for: str) -> Table:
    rows = [
        who(experiment, dataset.name, regime, start)
        | {"trained_on": int(number), "against": record["against"], "fewest": int(next(iter(record["points"])))}
        | {"failed": has_failed(record["points"][number])}
        | needs
        for experiment in experiments
        for dataset in experiment.datasets
        for regime, starts in dataset.curves.items()
        for start, record in starts.items()
        for number, needs in record.get("control_needs", {}).items()
    ]
    columns = [
        *WHO,
        ("Training patients", lambda row: f"{row['trained_on']:,}"),
        ("Patients that random weights need", lambda row: _patients(row["patients"], row["fewest"])),
        ("95 % interval", lambda row: " to ".join(dict.fromkeys(_patients(row[key], row["fewest"]) for key in BOUNDS))),
        ("Fit", lambda row: "failed" if row["failed"] else DASH),
    ]
    caption = (
        "How many training patients random weights with the same training need to reach the test AUC that a start "
        f"reaches with the number in the column Training patients, with 95 % intervals {hold_for}. Interpolated in "
        "logarithms between the numbers that were tried; beyond them, only whether it is fewer or more is known."
    )
    return Table("patients_saved", caption, rows, columns)


def _patients(needed: int | str | None, fewest: int) -> str:
    if needed is None:
        return DASH
    return f"{fewest} or fewer" if not isinstance(needed, str) and needed <= fewest else str(needed)
