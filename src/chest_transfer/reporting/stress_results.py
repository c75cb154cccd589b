"""What a report says of the stress test: a caution for the best model of a dataset, and two tables."""

from markupsafe import Markup

from chest_transfer.data.covariates import WITHOUT_DISEASE
from chest_transfer.data.degradations import DEGRADATIONS
from chest_transfer.evaluation.balancing import MATCHED, REVERSED
from chest_transfer.reporting.cautions import AS_GOOD, SHORTCUTS, SHORTCUTS_IN_TABLES, Caution
from chest_transfer.reporting.html_tables import DASH, decimal, html_table, signed_with_interval, with_interval
from chest_transfer.reporting.wording import model_in_words

LARGE_DROP = 0.2  # of sensitivity or specificity
NO_SHORTCUT = {"change": 0}
LEVELS = ("weak", "medium", "strong")
CHANGE = ("change", "change_low", "change_high")


def stress_cautions(name: str, scores: dict[str, dict], stress: dict[str, dict]) -> list[Caution]:
    """Return how a dataset's best model, by validation, does where a shortcut is matched, and on degraded radiographs.

    Args:
        name: str, the dataset.
        scores: dict, the scores of each of its models.
        stress: dict, of `stress_test.stress_test`, by model.
    """
    known = [model for model in stress if scores[model]["auc"] is not None]
    if not known:
        return []
    best = max(known, key=lambda model: scores[model]["validation_auc"] or 0)
    record, area, cautions = stress[best], scores[best]["auc"], []
    lost = {key: record[f"{MATCHED}_{key}"] for key in WITHOUT_DISEASE if f"{MATCHED}_{key}" in record}
    lost = {
        key: one
        for key, one in lost.items()
        if one["change"] is not None and (one["change_high"] or 0) < 0 and one["change"] < -AS_GOOD
    }
    if lost:
        key = min(lost, key=lambda key: lost[key]["change"])
        opposite = record[f"{REVERSED}_{key}"]["auc"]
        text = (
            f"{name}: the best model ({model_in_words(best)}) has an AUC of {area:.2f}, and of {lost[key]['auc']:.2f} "
            f"({lost[key]['auc_low']:.2f} to {lost[key]['auc_high']:.2f}) among radiographs on which {SHORTCUTS[key]} "
            f"says nothing of the classes" + (f", {opposite:.2f} where it says the opposite." if opposite else ".")
        )
        cautions.append(Caution(True, text))
    if record["degraded"]["worst"]:
        cautions.append(_of_degraded(name, best, record["degraded"]))
    return cautions


def _of_degraded(name: str, model: str, degraded: dict) -> Caution:
    """Return what degraded radiographs do to a model: an area may stay where the threshold does not hold any more."""
    unchanged, drops = degraded["unchanged"], {}
    for kind, record in degraded["by_degradation"].items():
        for score in ("sensitivity", "specificity"):
            if None not in (record[score], unchanged[score]):
                drops[kind, score] = unchanged[score] - record[score]
    text = (
        f"{name}: on degraded radiographs the best model ({model_in_words(model)}) has a mean AUC of "
        f"{decimal(degraded['mean_auc'])} "
        f"({decimal(unchanged['auc'])} on the same ones as they are), at worst {decimal(degraded['worst_auc'])} "
        f"({_in_words(degraded['worst'])})"
    )
    (kind, score), drop = max(drops.items(), key=lambda item: item[1])
    fallen = degraded["by_degradation"][kind][score]
    text += (
        f"; at its threshold {score} falls from {decimal(unchanged[score])} to {decimal(fallen)} ({_in_words(kind)})."
    )
    return Caution(drop >= LARGE_DROP, text)


def _in_words(kind: str) -> str:
    """Return `noise_3` as `strong noise: 20`, with the strength in its unit."""
    name, _, level = kind.rpartition("_")
    return f"{LEVELS[int(level) - 1]} {name}: {DEGRADATIONS[name].levels[int(level) - 1]:g}"


def shortcut_table(stress: dict[str, dict]) -> Markup | str:
    """Return a table of the models where each shortcut is matched and reversed; empty where there is no stress test."""
    rows = []
    for model, record in stress.items():
        for key in WITHOUT_DISEASE:
            if record.get(f"{MATCHED}_{key}", NO_SHORTCUT)["change"] != 0:  # files of one color mode tell nothing
                matched, opposite = record[f"{MATCHED}_{key}"], record[f"{REVERSED}_{key}"]
                counts = [matched["effective_ill"], matched["effective_healthy"]]
                change = signed_with_interval(*map(matched.get, CHANGE))
                rows.append([
                    model_in_words(model), SHORTCUTS_IN_TABLES[key], with_interval(matched, "auc"), change,
                    with_interval(opposite, "auc"), DASH if None in counts else str(min(counts)),
                ])  # fmt: skip
    heads = ["model", "shortcut", "AUC, matched", "change", "AUC, reversed", "patients"]
    caption = (
        "Test radiographs weighted so that a shortcut says nothing of the classes (matched), or the opposite "
        "(reversed). Small changes either way also come from weighting other patients; a clear fall is a warning. "
        "Patients: the effective number (Kish) in the smaller class. A dash: too few patients contradict the shortcut"
    )
    return html_table(caption, heads, rows, text_columns=2) if rows else ""


def degradation_table(stress: dict[str, dict]) -> Markup | str:
    """Return a table of the AUC of each model with each degradation, weak to strong; empty without a stress test."""
    rows = [
        [f"{name} ({', '.join(f'{level:g}' for level in degradation.levels)})", *(
            _at_levels(record["degraded"]["by_degradation"], name) for record in stress.values()
        )]
        for name, degradation in DEGRADATIONS.items()
    ]  # fmt: skip
    heads, caption = (
        ["degradation (levels)", *map(model_in_words, stress)],
        (
            f"Test AUC on degraded radiographs, {' / '.join(LEVELS)}; in parentheses the lower of sensitivity and "
            "specificity. Units of the strengths are in docs/another-hospital.md"
        ),
    )
    return html_table(caption, heads, rows, text_columns=1) if stress else ""


def _at_levels(records: dict[str, dict], name: str) -> str:
    """Return the areas at each level, and the lower of sensitivity and specificity."""
    of_levels = [records[f"{name}_{level}"] for level in (1, 2, 3)]
    lowest = [min((one[key] for key in ("sensitivity", "specificity") if one[key] is not None), default=None)
              for one in of_levels]  # fmt: skip
    areas, lows = ([_short(value) for value in values] for values in ([one["auc"] for one in of_levels], lowest))
    return f"{' / '.join(areas)} ({' / '.join(lows)})"


def _short(value: float | None) -> str:
    """Return a number with two digits, as tables with several numbers in a cell need it."""
    return DASH if value is None else f"{value:.2f}".removeprefix("0")
