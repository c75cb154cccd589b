"""What a reader must know before trusting a number, from the tracked metrics alone."""

from dataclasses import dataclass

import pandas as pd

from chest_transfer.data.covariates import WITHOUT_DISEASE
from chest_transfer.evaluation.intervals import FEWEST_PATIENTS
from chest_transfer.evaluation.localization import in_words, is_better_than_chance
from chest_transfer.model_names import is_ensemble
from chest_transfer.reporting.wording import model_in_words
from chest_transfer.training.fit_check import has_failed

SERIOUS_SHARE = 0.5  # of the best model's lead over 0.5 that a shortcut model without disease must have
AS_GOOD = 0.02  # of AUC: a shortcut model within it of the best model does as well
FEW_IMAGES = 50  # test radiographs of a class
SHORTCUTS = {
    "border": "the border of the image alone",
    "outside_center": "the image without its middle",
    "thumbnail": "a thumbnail of 16 x 16 pixels, by a linear model",
    "sharpness": "how sharp the image is",
    "noise": "how noisy the image is",
    "contrast": "the brightness and contrast of the image",
    "gray_levels": "the histogram of gray levels",
    "field_of_view": "the black margins and the shares of black and white pixels",
    "file": "the size and shape of the file alone",
    "color_mode": "the color mode of the file alone",
    "source": "where a radiograph comes from",
}
SHORTCUTS_IN_TABLES = {
    "border": "border only", "outside_center": "without the middle", "thumbnail": "16 x 16 thumbnail",
    "sharpness": "sharpness", "noise": "noise", "contrast": "brightness, contrast", "gray_levels": "gray levels",
    "field_of_view": "black margins",
    "file": "file size and shape", "color_mode": "color mode", "source": "source",
}  # fmt: skip


@dataclass(frozen=True)
class Caution:
    """One thing to know.

    Args:
        serious: bool; serious cautions are listed first.
        text: str, whole sentences.
        datasets: tuple of str, the datasets that it is about; none if it is about all.
    """

    serious: bool
    text: str
    datasets: tuple[str, ...] = ()


def dataset_cautions(name: str, data: dict, scores: dict[str, dict], explained: dict[str, dict]) -> list[Caution]:
    """Return the cautions about a dataset: failed fits, leaks, shortcuts, small numbers, heat maps that point nowhere.

    Args:
        name: str, the dataset.
        data: dict, its tracked summary, of `exploration.explore`.
        scores: dict, the scores of each model.
        explained: dict, the localization scores of each model.
    """
    return [
        *_failed_fits(name, scores),
        *_few_patients(name, scores),
        *_leaks(name, data),
        *_shortcuts(name, data, scores),
        *_sources(name, scores),
        *_limits(name, data),
        *_localization(name, explained),
    ]


def overlap_cautions(overlap: pd.DataFrame) -> list[Caution]:
    """Return the cautions about pairs of datasets that show the same radiographs, from the table `overlap.csv`."""
    rows = {(row.dataset, row.other): row for row in overlap.itertuples()}
    cautions = []
    for (first, second), row in rows.items():
        if first > second or not row.also_in_other:
            continue
        reverse = rows[second, first]
        text = (
            f"{row.also_in_other} of {row.images} radiographs of {first} are in {second} too: "
            f"{row.test_in_training} of its {row.test_images} test radiographs are in {second}'s training data, "
            f"{reverse.test_in_training} of {reverse.test_images} the other way round. A model that comes from the "
            "other dataset is scored without them."
        )
        is_serious = bool(row.test_in_training or reverse.test_in_training)
        cautions.append(Caution(is_serious, text, (first, second)))
    return cautions


def _failed_fits(name: str, scores: dict[str, dict]) -> list[Caution]:
    return [
        Caution(True, f"{name}: a fit failed ({model_in_words(model)}): {record['fit']}.")
        for model, record in scores.items()
        if has_failed(record) and not is_ensemble(model)  # its members are named
    ]


def _few_patients(name: str, scores: dict[str, dict]) -> list[Caution]:
    models = [
        model for model, record in scores.items() if record["auc"] is not None and record.get("auc_low", 0) is None
    ]
    if not models:
        return []
    text = (
        f"{name}: fewer than {FEWEST_PATIENTS} ill or healthy test patients "
        f"({'; '.join(map(model_in_words, models))}): no intervals, "
        "and no conclusions."
    )
    return [Caution(True, text)]


def _leaks(name: str, data: dict) -> list[Caution]:
    cautions = []
    for kind, pairs in data["leaks"].items():
        shared = "patient" if kind == "patients" else "image"
        for pair, count in pairs.items():
            first, second = pair.split("_")
            if count:
                counted = f"1 {shared} is" if count == 1 else f"{count} {shared}s are"
                cautions.append(Caution(True, f"{name}: {counted} in {first} and in {second}."))
    if leaked := data["leaked_into_official_test"]:
        where = "the test split of another member" if data.get("pool") else "the official test split"
        text = f"{name}: {leaked} training radiographs were left out: their patients are in {where}."
        cautions.append(Caution(True, text))
    return cautions


def _shortcuts(name: str, data: dict, scores: dict[str, dict]) -> list[Caution]:
    areas = [record["auc"] for record in scores.values() if record["auc"] is not None]
    if not areas:
        return []
    best, cautions = max(areas), []
    telling = {key: score for key, score in data["shortcuts"].items() if (score["auc_low"] or 0) > 0.5}
    without = {key: score for key, score in telling.items() if key in WITHOUT_DISEASE}
    strong = {key: score for key, score in without.items() if score["auc"] - 0.5 >= SERIOUS_SHARE * (best - 0.5)}
    if strong:
        text = (
            f"{name}: the classes can be told apart without looking at disease: by {_listed(strong)}; the highest AUC "
            f"of a model is {best:.2f}. Models may use it instead of disease."
        )
        cautions.append(Caution(True, text))
    if weak := {key: score for key, score in without.items() if key not in strong}:
        cautions.append(Caution(False, f"{name}: classes differ in what shows no disease: {_listed(weak)}."))
    for key, score in telling.items():
        if key not in WITHOUT_DISEASE and score["auc"] >= best - AS_GOOD:
            numbers = f"AUC {score['auc']:.2f} ({score['auc_low']:.2f} to {score['auc_high']:.2f})"
            verdict = f"a simple model that sees {SHORTCUTS[key]} does nearly as well as the best network, or better"
            cautions.append(Caution(False, f"{name}: {verdict}: {numbers}, against {best:.2f}."))
    return cautions + _shift(name, data)


def _listed(shortcuts: dict[str, dict]) -> str:
    """Return shortcuts with their areas as words, the largest first."""
    ordered = sorted(shortcuts, key=lambda key: -shortcuts[key]["auc"])
    return ", ".join(
        f"{SHORTCUTS[key]} (AUC {shortcuts[key]['auc']:.2f}, {shortcuts[key]['auc_low']:.2f} to "
        f"{shortcuts[key]['auc_high']:.2f})"
        for key in ordered
    )


def _shift(name: str, data: dict) -> list[Caution]:
    """Return the caution that shortcuts are worth another thing in validation than in the test."""
    differing = []
    for key, score in data["shortcuts"].items():
        bounds = [score[f"{prefix}auc_{end}"] for prefix in ("", "validation_") for end in ("low", "high")]
        if None not in bounds and (bounds[1] < bounds[2] or bounds[3] < bounds[0]):
            differing.append(
                f"{SHORTCUTS[key]} (AUC {score['validation_auc']:.2f}, and {score['auc']:.2f} in the test)"
            )
    if not differing:
        return []
    text = (
        f"{name}: the test is not like validation. What tells the classes apart in validation differs: "
        f"{', '.join(differing)}. A threshold that validation chose may not hold there."
    )
    return [Caution(True, text)]


def _sources(name: str, scores: dict[str, dict]) -> list[Caution]:
    """Return the caution that the best model has a smaller area within each source than over all of them."""
    model, best = max(scores.items(), key=lambda item: item[1]["auc"] or 0)
    areas = {source: of_source["auc"] for source, of_source in best.get("sources", {}).items()}
    if not areas or best["auc"] is None or max(areas.values()) >= best["auc"]:
        return []
    within = " and ".join(f"{area:.2f} within {source}" for source, area in areas.items())
    text = (
        f"{name}: the best model ({model_in_words(model)}) has an AUC of {best['auc']:.2f} over all sources, but "
        f"{within}: it also tells them apart."
    )
    return [Caution(max(areas.values()) < best["auc"] - AS_GOOD, text)]


def _limits(name: str, data: dict) -> list[Caution]:
    cautions = []
    images_of = data["classes"]["test"]
    if absent := [label for label, images in images_of.items() if not images]:
        text = (
            f"{name}: no test radiograph shows {', '.join(absent)}: nothing is known of it, and averages leave it out."
        )
        cautions.append(Caution(False, text))
    if few := {label: images for label, images in images_of.items() if 0 < images < FEW_IMAGES}:
        rarest = min(few, key=few.get)
        text = f"{name}: only {few[rarest]} test radiographs show {rarest}: intervals are wide."
        cautions.append(Caution(False, text))
    if data["without_patient_id"]:
        text = f"{name}: the archive does not tell patients apart; two radiographs of one may be in two splits."
        cautions.append(Caution(False, text))
    cautions += [Caution(False, f"{name}: {sentence}.") for sentence in data.get("cautions", [])]
    if unreadable := data["skipped"]["total"]:
        cautions.append(Caution(False, f"{name}: {unreadable} unreadable files were left out."))
    return cautions


def _localization(name: str, explained: dict[str, dict]) -> list[Caution]:
    cautions = []
    for model, scores in explained.items():
        for finding, score in scores["boxes"].items():
            if is_better_than_chance(score) is None:
                text = (
                    f"{name}: too few patients with {finding} to tell whether heat maps point to it "
                    f"({model_in_words(model)})."
                )
                cautions.append(Caution(False, text))
            elif not is_better_than_chance(score):
                text = (
                    f"{name}: it cannot be shown that heat maps point to {finding} more often than by chance "
                    f"({model_in_words(model)}: {in_words(score)})."
                )
                cautions.append(Caution(False, text))
        lungs = scores["lungs"]
        if lungs and lungs["pointing_high"] is not None and lungs["pointing_high"] < lungs["area"]:
            numbers = f"{lungs['pointing']:.0%} of {lungs['images']} point into lungs that cover {lungs['area']:.0%}"
            cautions.append(
                Caution(False, f"{name}: heat maps point outside the lungs ({model_in_words(model)}: {numbers}).")
            )
    return cautions
