"""What an experiment says in sentences: what each start gained, and how many training patients it saved."""

from chest_transfer.evaluation.intervals import FEWEST_PATIENTS
from chest_transfer.reporting.html_tables import signed
from chest_transfer.reporting.wording import REGIMES, start_in_words
from chest_transfer.training.fit_check import has_failed

ORDER = ("train", "finetune", "transfer", "probe")  # the most interesting first


def gain_sentence(dataset: str, scores: dict[str, dict], regime: str, start: str, gain: dict) -> str:
    """Return what one start gained, and whether that can be claimed."""
    area, control = scores[f"{regime}-{start}"]["auc"], scores[gain["against"]]["auc"]
    source = start_in_words(regime, start)
    models = f"{regime}-{start}", gain["against"]
    failed = [model for model in models if has_failed(scores[model])]
    if failed:
        verdict = f"no gain from {source} can be claimed, because the fit of {' and that of '.join(failed)} failed"
    elif gain["auc_low"] is None:
        verdict = f"no gain from {source} can be claimed from fewer than {FEWEST_PATIENTS} ill or healthy test patients"
    elif gain["auc_low"] > 0:
        verdict = f"{source} helped"
    elif gain["auc_high"] < 0:
        verdict = f"{source} did harm"
    else:
        verdict = f"no gain from {source} can be claimed"
    difference = signed(gain["auc"])
    if gain["auc_low"] is not None:
        difference += f", 95 % interval {signed(gain['auc_low'])} to {signed(gain['auc_high'])}"
    return (
        f"{dataset}, {REGIMES[regime]}: {verdict}. Test AUC {area:.3f} against {control:.3f} from random weights "
        f"({difference})."
    )


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
        if record.get("control_needs")
    ]


def _sentence(dataset: str, regime: str, start: str, record: dict, curves: dict[str, dict]) -> str:
    number, needs = next(iter(record["control_needs"].items()))
    control_regime, control_start = record["against"].split("-")
    of_control = [int(point) for point in curves[control_regime][control_start]["points"]]
    source = start_in_words(regime, start)
    is_saving = needs["patients_low"] is None or needs["patients_low"] > int(number)
    verdict = f"{source} saved patients" if is_saving else f"that {source} saved patients cannot be claimed"
    interval = f"{_count(needs['patients_low'], of_control)} to {_count(needs['patients_high'], of_control)}"
    if needs["patients_low"] is None:
        interval = _count(None, of_control)
    area = record["points"][number]["auc"]
    return (
        f"{dataset}, {REGIMES[regime]}: {verdict}. With {int(number):,} patients it reached a test AUC of {area:.3f}; "
        f"for that, random weights needed {_count(needs['patients'], of_control)} (95 % interval {interval})."
    )


def _count(patients: int | None, of_control: list[int]) -> str:
    """Return a number of patients in words; None is more than the control was trained on."""
    if patients is None:
        return f"more than {max(of_control):,}"
    return f"{min(of_control):,} or fewer" if patients <= min(of_control) else f"{patients:,}"
