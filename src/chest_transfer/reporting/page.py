"""The report as one HTML page that needs no other file: charts and pictures inside, no script, font or network."""

import base64
import io
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from chest_transfer.reporting.cautions import SHORTCUTS_IN_TABLES, Caution
from chest_transfer.reporting.dataset_charts import (
    block_charts,
    brightness_chart,
    curve_charts,
    in_words,
    interval_chart,
    learning_chart,
    training_chart,
    transfer_chart,
)
from chest_transfer.reporting.external_results import external_table
from chest_transfer.reporting.gathering import Dataset
from chest_transfer.reporting.html_tables import (
    confusion_table,
    decimal,
    html_table,
    p_value,
    signed_with_interval,
    with_interval,
)
from chest_transfer.reporting.stress_results import degradation_table, shortcut_table
from chest_transfer.reporting.transported import threshold_table
from chest_transfer.reporting.wording import intervals_hold_for, model_in_words, operating_point_in_words
from chest_transfer.settings import Settings

TEMPLATES = Environment(
    loader=PackageLoader("chest_transfer.reporting", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
PACKAGES = ("tensorflow", "keras", "numpy", "scikit-learn", "pandas", "pillow", "dvc")
MODES = {"L": "in gray", "RGB": "in color mode RGB", "RGBA": "in color mode RGBA", "LA": "in gray with transparency",
         "P": "with a palette", "1": "in black and white"}  # fmt: skip
METHODS = {"hirescam": "HiResCAM", "grad-cam": "Grad-CAM", "grad-cam++": "Grad-CAM++"}
PICTURES = {
    "samples": "Radiographs of each class as they are in the archive, chosen by the hash of their names",
    "augmented": "One training radiograph: unchanged, then with random rotation, shift, zoom and contrast",
}


def render_page(settings: Settings, datasets: list[Dataset], cautions: list[Caution], provenance: str) -> str:
    """Return the report as HTML.

    Args:
        settings: Settings of the experiment.
        datasets: list of Dataset, with its metrics.
        cautions: list of Caution, serious ones first.
        provenance: str, a sentence that says whose results these are.
    """
    of_transfer = transfer_chart(datasets)
    areas = [
        (f"{dataset.name}: {model_in_words(name)}", record["auc"], record["auc_low"], record["auc_high"])
        for dataset in datasets
        for name, record in dataset.scores.items()
        if record["auc"] is not None
    ]
    return TEMPLATES.get_template("page.html").render(
        model=settings.model,
        datasets=datasets,
        cautions=cautions,
        subtitle=_subtitle(settings, datasets),
        operating_point=operating_point_in_words(settings),
        intervals_hold_for=intervals_hold_for(settings),
        seeds=settings.seeds,
        transfer_chart=of_transfer.on_page() if of_transfer else None,
        leaderboard=leaderboard(datasets),
        auc_chart=interval_chart(
            "auc", "Test AUC", "Test AUC with its interval; the line is chance.", "test AUC", 0.5, areas
        ).on_page(),
        trained_on=_machines(datasets),
        method=METHODS[settings.explain.method],
        parts={dataset.name: _part(dataset) for dataset in datasets},
        provenance=provenance,
        settings=Path("params.yaml").read_text(),
        versions="\n".join(f"{package} {version(package)}" for package in PACKAGES),
    )


def _machines(datasets: list[Dataset]) -> list[str]:
    """Return the kinds of machine that the models were trained on."""
    fits = (fit for of in datasets for record in of.scores.values() for fit in record["fits"].values())
    return sorted({fit["machine"] for fit in fits if fit.get("machine")})


def _subtitle(settings: Settings, datasets: list[Dataset]) -> str:
    tests = "; ".join(
        f"{dataset.name}: {sum(dataset.data['images'].values())} radiographs of "
        f"{sum(dataset.data['patients'].values())} patients, tested on {dataset.data['images']['test']}"
        for dataset in datasets
    )
    return f"{settings.image_size} pixels a side. {tests}."


def leaderboard(datasets: list[Dataset]) -> Markup:
    """Return a table of every model, the largest area of each dataset first."""
    rows, best = [], []
    for dataset in datasets:
        ordered = sorted(dataset.scores.items(), key=lambda item: -(item[1]["auc"] or 0))
        best.append(len(rows))
        for name, record in ordered:
            intervals = [with_interval(record, key) for key in ("auc", "sensitivity", "specificity")]
            numbers = [decimal(record.get(key)) for key in ("f1", "loss", "ece")]
            rows.append([dataset.name, model_in_words(name), *intervals, *numbers])
    heads = ["dataset", "model", "AUC", "sensitivity", "specificity", "F1", "cross-entropy", "ECE"]
    return html_table("Test scores; ECE is the expected calibration error", heads, rows, text_columns=2, best=best)


def _part(dataset: Dataset) -> dict:
    plots = dataset.plots
    curves = [*map(in_words, curve_charts(plots)), training_chart(plots["history"])]
    of_patients = plots["learning_curves"]
    learned = in_words(learning_chart(of_patients)).on_page(dataset.name) if len(of_patients) else None
    shortcuts = dataset.data["shortcuts"]
    rows = [
        (SHORTCUTS_IN_TABLES[name], score["auc"], score["auc_low"], score["auc_high"])
        for name, score in shortcuts.items()
    ]
    best = max(dataset.scores.items(), key=lambda item: item[1]["auc"] or 0)
    rows.insert(0, (f"best model ({model_in_words(best[0])})", best[1]["auc"], best[1]["auc_low"], best[1]["auc_high"]))
    rows = [row for row in rows if row[1] is not None]
    return {
        "charts": [chart.on_page(dataset.name) for chart in curves],
        "learning_curves": learned,
        "by_block": [chart.on_page(dataset.name) for chart in block_charts(dataset)],
        "confusions": [
            {"model": model_in_words(model), "html": confusion_table(model_in_words(model), cells)}
            for model, cells in plots["confusion"].groupby("model", sort=False)
        ],
        "pairs": _pairs(dataset.comparisons),
        "subgroups": subgroup_table(dataset.subgroups),
        "external": external_table(dataset.external),
        "transported": threshold_table(dataset.scores),
        "under_shortcuts": shortcut_table(dataset.stress),
        "degraded": degradation_table(dataset.stress),
        "shortcut_chart": interval_chart(
            "shortcuts", "What else tells the classes apart",
            "Test AUC of simple models that see hardly any disease, or none, and of the best model here. Where the "
            "border, sharpness or the size of the file does nearly as well, the model may have learned that instead.",
            "test AUC", 0.5, rows,
        ).on_page(dataset.name),
        "sheets": [
            {"model": model_in_words(model), "content": _inline(path)} for model, path in dataset.sheets.items()
        ],
        "pointing": _pointing(dataset.explained),
        "counts": _counts(dataset.data),
        "facts": _facts(dataset),
        "pictures": [{"alt": PICTURES[name], "content": _inline(path)} for name, path in dataset.pictures.items()],
        "data_charts": [brightness_chart(plots["brightness"]).on_page(dataset.name)],
    }  # fmt: skip


def _pairs(pairs: pd.DataFrame) -> Markup:
    tests = {"p": "p"}
    if pairs["p_delong"].notna().any():
        tests = {"p": "p, bootstrap", "p_delong": "p, DeLong"}
    rows = [
        [*map(model_in_words, (row["model"], row["other"])),
         signed_with_interval(row["auc"], row["auc_low"], row["auc_high"]),
         *(p_value(row[test]) for test in tests)]
        for row in pairs.to_dict("records")
    ]  # fmt: skip
    heads = ["first", "second", "difference (95 % interval)", *tests.values()]
    return html_table("", heads, rows, text_columns=2)


def subgroup_table(groups: pd.DataFrame) -> Markup | str:
    if groups.empty:
        return ""
    records = groups.astype(object).where(groups.notna(), None).to_dict("records")
    rows = [
        [model_in_words(row["model"]), f"{row['attribute']}: {row['group']}", str(row["images"]),
         *(with_interval(row, key) for key in ("auc", "sensitivity", "specificity"))]
        for row in records
    ]  # fmt: skip
    caption = "A kind of disease is scored against all healthy patients"
    heads = ["model", "subgroup", "images", "AUC", "sensitivity", "specificity"]
    return html_table(caption, heads, rows, text_columns=2)


def _pointing(explained: dict[str, dict]) -> Markup | str:
    rows = [
        [model_in_words(model), where, str(score["images"]), with_interval(score, "energy"),
         decimal(score["energy_chance"]),
         signed_with_interval(*(score.get(f"energy_gain{end}") for end in ("", "_low", "_high"))),
         with_interval(score, "pointing"), decimal(score["pointing_chance"])]
        for model, scores in explained.items()
        for where, score in {**scores["boxes"], "lungs": scores["lungs"]}.items()
        if score
    ]  # fmt: skip
    heads = ["model", "where", "images", "heat inside", "by chance", "gain", "pointing", "by chance"]
    return html_table("How well heat maps point", heads, rows, text_columns=2) if rows else ""


def _counts(data: dict) -> Markup:
    classes = list(data["classes"]["train"])
    rows = [
        [split, str(data["images"][split]), str(data["patients"][split]), *(str(of[name]) for name in classes)]
        for split, of in data["classes"].items()
    ]
    return html_table("Radiographs and patients", ["split", "radiographs", "patients", *classes], rows)


def _facts(dataset: Dataset) -> str:
    data, patients = dataset.data, dataset.plots["patients"]
    several = int(patients.loc[patients["radiographs"] > 1, "patients"].sum())
    files = "; ".join(
        f"{name}: {facts['width']:.0f} x {facts['height']:.0f} pixels, {facts['bytes'] / 1000:.0f} kB, "
        + ", ".join(f"{count} {MODES.get(mode, mode)}" for mode, count in facts["modes"].items())
        for name, facts in data["files"].items()
    )
    split = "The test split is the official one" if data["official_test"] else "The archive has no official test split"
    if pool := data.get("pool"):
        split = f"A pool of {' and '.join(pool)}, each with the splits that it has by itself"
    return f"{split}; {several} patients have several radiographs. {_duplicates(data)} Median file by class: {files}."


def _duplicates(data: dict) -> str:
    if not data["duplicates"]:
        return "No file is an exact copy of another."
    if data["duplicates_left_out"]:
        return f"{data['duplicates_left_out']} exact copies of other files were left out."
    return f"{data['duplicates']} files are exact copies of others: they are in the same split, and are scored."


def _inline(path: Path) -> str:
    """Return a picture as WebP, a tenth of the size of the PNG, in base64."""
    buffer = io.BytesIO()
    with Image.open(path) as image:
        image.convert("RGB").save(buffer, "WEBP", quality=80)
    return base64.b64encode(buffer.getvalue()).decode()
