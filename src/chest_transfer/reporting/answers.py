"""What an experiment says in sentences: what each start gained, and how many training patients it saved."""

from chest_transfer.evaluation.comparisons import CONTROL
from chest_transfer.evaluation.intervals import FEWEST_PATIENTS
from chest_transfer.model_names import ENSEMBLE, is_ensemble
from chest_transfer.reporting.html_tables import signed
from chest_transfer.reporting.wording import REGIMES, model_in_words, start_in_words
from chest_transfer.training.fit_check import has_failed

NEEDS = ("patients", "patients_low", "patients_high")
GAIN, HARM, NOTHING, FAILED, TOO_FEW = "gain", "harm", "none", "none: a fit failed", "none: too few patients"
ORDER = ("train", "finetune", "transfer", "probe")  # the most interesting first


def gain_sentence(dataset: str, scores: dict[str, dict], regime: str, row: str, gain: dict) -> str:
    """Return what one start, or an ensemble, gained, and whether that can be claimed.

    Args:
        dataset: str.
        scores: dict, the scores of each of its models by key.
        regime: str.
        row: str, the start, or `<start>-ensemble`.
        gain: dict, the entry of `metrics/gain/D.json`.
    """
    area, control = scores[f"{regime}-{row}"]["auc"], scores[gain["against"]]["auc"]
    start, of_ensemble = row.removesuffix(f"-{ENSEMBLE}"), is_ensemble(row)
    source, training = start_in_words(regime, start), REGIMES[regime]
    if of_ensemble:
        training, source = f"{training}, from {source}", "averaging the networks of all seeds"
    models = _models_of_gain(regime, row, gain)
    failed = [model for model in models if has_failed(scores[model])]
    because = {
        FAILED: f", because a fit failed ({' and '.join(map(model_in_words, failed))})",
        TOO_FEW: f" from fewer than {FEWEST_PATIENTS} ill or healthy test patients",
    }
    claim = claim_of_gain(scores, regime, row, gain)
    verdict = f"no gain from {source} can be claimed{because.get(claim, '')}"
    if claim in (GAIN, HARM):
        with_seed = " with this one training seed" * _is_of_one_seed(scores[f"{regime}-{row}"])
        verdict = f"{source} {'helped' if claim == GAIN else 'did harm'}{with_seed}"
    difference = signed(gain["auc"])
    if gain["auc_low"] is not None:
        difference += f", 95 % interval {signed(gain['auc_low'])} to {signed(gain['auc_high'])}"
    if of_ensemble:
        difference += ", over patients"
    compared = "of a single one on average" if of_ensemble else "from random weights"
    return (
        f"{dataset}, {training}: {verdict}. Test AUC {area:.3f} against {control:.3f} {compared} ({difference})."
        f"{'' if failed else _speed(gain)}"
    )


def _is_of_one_seed(scores: dict) -> bool:
    seeds = {fit.split("-")[0] for fit in scores.get("fits", {})}
    return len(seeds) == 1 and seeds != {ENSEMBLE}


def claim_of_gain(scores: dict[str, dict], regime: str, row: str, gain: dict) -> str:
    """Return what may be claimed of a gain: `GAIN`, `HARM`, `NOTHING`, `FAILED` or `TOO_FEW`; as `gain_sentence`."""
    if any(has_failed(scores[model]) for model in _models_of_gain(regime, row, gain)):
        return FAILED
    if gain["auc_low"] is None:
        return TOO_FEW
    if gain["auc_low"] > 0:
        return GAIN
    return HARM if gain["auc_high"] < 0 else NOTHING


def _models_of_gain(regime: str, row: str, gain: dict) -> list[str]:
    """Return the keys of the models that are compared; of an ensemble, its members alone."""
    return list(dict.fromkeys((f"{regime}-{row.removesuffix(f'-{ENSEMBLE}')}", gain["against"])))


def _speed(gain: dict) -> str:
    """Return how many epochs a start took to the lowest validation loss of the control; empty where it is unknown."""
    if gain.get("control_epochs") is None:
        return ""
    then = f"after {_epochs(gain['epochs'])}" if gain["epochs"] is not None else "not with every seed, or not at all"
    return (
        f" Random weights reached their lowest validation loss after {_epochs(gain['control_epochs'])}; this start "
        f"reached it {then}."
    )


def _epochs(number: float) -> str:
    return "1 epoch" if number == 1 else f"{number:.3g} epochs"


def patients_saved(dataset: str, curves: dict[str, dict]) -> list[str]:
    """Return a sentence for each start that is compared with random weights, of its smallest number of patients.

    Args:
        dataset: str.
        curves: dict, content of `metrics/curves/D.json`.
    """
    return [
        _sentence(dataset, regime, start, record, curves)
        for regime in ORDER
        for start, record in curves.get(regime, {}).items()
        if record.get("control_needs") and next(iter(record["points"].values()))["auc"] is not None
    ]


def _sentence(dataset: str, regime: str, start: str, record: dict, curves: dict[str, dict]) -> str:
    number, needs = next(iter(record["control_needs"].items()))
    control, point = curves[record["against"].split("-")[0]][CONTROL]["points"], record["points"][number]
    source, low = start_in_words(regime, start), needs["patients_low"]
    if failed := [
        who for who, of in (("its", [point]), ("the control's", control.values())) if any(map(has_failed, of))
    ]:
        verdict = f"that {source} saved patients cannot be claimed, because some of {' and '.join(failed)} fits failed"
    elif low is None:
        verdict = f"fewer than {FEWEST_PATIENTS} ill or healthy test patients do not tell whether {source} saved any"
    elif isinstance(low, str) or low > int(number):
        verdict = f"{source} saved patients"
    else:
        verdict = f"that {source} saved patients cannot be claimed"
    fewest = int(next(iter(control)))
    value, *bounds = (_count(needs[key], fewest) for key in NEEDS)
    interval = f" (95 % interval {bounds[0]} to {bounds[1]})" if low is not None and bounds[0] != bounds[1] else ""
    return (
        f"{dataset}, {REGIMES[regime]}: {verdict}. With {int(number):,} training patients the test AUC was "
        f"{point['auc']:.3f}; random weights needed {value} for that{interval}."
    )


def _count(patients: int | str | None, fewest: int) -> str:
    """Return a number of patients in words; those between the numbers that were tried are interpolated."""
    if isinstance(patients, str):
        return f"more than {int(patients.removeprefix('> ')):,}"
    if patients is None:
        return "an unknown number"
    return f"{patients:,} or fewer" if patients <= fewest else f"about {patients:,}"
