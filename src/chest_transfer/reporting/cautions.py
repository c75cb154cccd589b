"""What a reader must know before believing a number: from the tracked metrics alone."""

from dataclasses import dataclass

WITHOUT_DISEASE = ("border", "file", "colour_mode")  # shortcut probes that see none
CLOSE = 0.5  # of the best model's lead over chance: a probe without disease that has as much
LEVEL = 0.02  # of the best model's area: a probe within it does as well
FEW = 50  # test radiographs of a class
SAID = {
    "border": "from the border of the picture alone, where no lung is",
    "outside_centre": "with the middle of the picture cut out",
    "thumbnail": "from a thumbnail of 16 x 16 pixels, by a linear model",
    "file": "from the file's size and shape alone",
    "colour_mode": "from the file's colour mode alone",
}


@dataclass(frozen=True)
class Caution:
    """One thing to know: `serious` ones come first; of these `datasets` alone, or of all where there are none."""

    serious: bool
    text: str
    datasets: tuple[str, ...] = ()


def of_dataset(name: str, data: dict, scores: dict[str, dict], explained: dict[str, dict]) -> list[Caution]:
    """Leaks, shortcuts, small numbers, and heat maps that point nowhere.

    Args:
        name: the dataset.
        data: its tracked summary, of `exploration.explored`.
        scores: model -> its scores.
        explained: model -> how its heat maps point.
    """
    found = []
    for what, pairs in data["leaks"].items():
        for pair, count in pairs.items():
            if count:
                one, other = pair.split("_")
                same = "the same patients" if what == "patients" else "the same pictures"
                found.append(Caution(True, f"{name}: {count} of {same} are in {one} and {other}."))
    if leaked := data["leaked_into_official_test"]:
        found.append(Caution(True, f"{name}: {leaked} official test radiographs are of patients, or copies, in train."))
    return found + _shortcuts(name, data, scores) + _limits(name, data) + _pointing(name, explained)


def _shortcuts(name: str, data: dict, scores: dict[str, dict]) -> list[Caution]:
    best = max((found["auc"] for found in scores.values() if found["auc"] is not None), default=None)
    if best is None:
        return []
    found = []
    for probe, told in data["shortcuts"].items():
        if told["auc"] is None or told["auc_low"] is None or told["auc_low"] <= 0.5:
            continue
        figures = (
            f"AUC {told['auc']:.2f} ({told['auc_low']:.2f} to {told['auc_high']:.2f}); the best model has {best:.2f}"
        )
        if probe in WITHOUT_DISEASE and told["auc"] - 0.5 >= CLOSE * (best - 0.5):
            text = f"{name}: classes are told {SAID[probe]}: {figures}. It may be read as well as disease."
            found.append(Caution(True, text))
        elif probe not in WITHOUT_DISEASE and told["auc"] >= best - LEVEL:
            found.append(Caution(False, f"{name}: no model is better than what is told {SAID[probe]}: {figures}."))
    return found


def _limits(name: str, data: dict) -> list[Caution]:
    found = []
    rarest = min(data["classes"]["test"].items(), key=lambda item: item[1])
    if not rarest[1]:
        found.append(Caution(False, f"{name}: no test radiograph shows {rarest[0]}: nothing is known of it."))
    elif rarest[1] < FEW:
        found.append(Caution(False, f"{name}: {rarest[1]} test radiographs of {rarest[0]}: intervals are wide."))
    if data["without_patient_id"]:
        text = f"{name}: the archive names no patients; two radiographs of one may lie in two splits."
        found.append(Caution(False, text))
    if skipped := data["skipped"]["total"]:
        found.append(Caution(False, f"{name}: {skipped} unreadable files were left out."))
    return found


def _pointing(name: str, explained: dict[str, dict]) -> list[Caution]:
    found = []
    for model, scores in explained.items():
        for finding, told in scores["boxes"].items():
            if told["pointing_low"] <= told["pointing_chance"]:
                figures = f"{told['pointing']:.0%} of {told['images']}, {told['pointing_chance']:.0%} by chance"
                text = f"{name}: the heat maps of {model} point to {finding} no more than chance does ({figures})."
                found.append(Caution(False, text))
        lungs = scores["lungs"]
        if lungs and lungs["pointing_high"] < lungs["area"]:
            figures = f"{lungs['pointing']:.0%} of {lungs['images']} point into lungs that cover {lungs['area']:.0%}"
            found.append(Caution(False, f"{name}: the heat maps of {model} point outside the lungs ({figures})."))
    return found


def of_overlap(rows) -> list[Caution]:
    """Pairs of datasets that show the same radiographs; rows of `exploration.shared_pictures`."""
    told = {(row.dataset, row.other): row for row in rows.itertuples()}
    found = []
    for (one, other), row in told.items():
        if one > other or not row.also_in_other:
            continue
        back = told[other, one]
        learnt = f"{row.test_learnt_by_other} of its {row.test_images} test radiographs are in {other}'s training"
        text = (
            f"{row.also_in_other} of {row.images} radiographs of {one} are in {other} too: {learnt}, "
            f"{back.test_learnt_by_other} of {back.test_images} the other way. A model that comes from the other "
            "dataset is scored without them."
        )
        found.append(Caution(bool(row.test_learnt_by_other or back.test_learnt_by_other), text, (one, other)))
    return found
