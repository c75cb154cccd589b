"""The report as one HTML page that needs nothing else: charts and pictures inside, no script, no font, no network."""

import base64
import io
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from chest_transfer.reporting import charts
from chest_transfer.reporting.cautions import Caution
from chest_transfer.reporting.gathering import Dataset, signed
from chest_transfer.reporting.tables import confusion, number, ranged, table
from chest_transfer.settings import Settings

TEMPLATES = Environment(
    loader=PackageLoader("chest_transfer.reporting", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
PACKAGES = ("tensorflow", "keras", "numpy", "scikit-learn", "pandas", "pillow", "dvc")
MINUS = "\N{MINUS SIGN}"
SHORTCUTS = {
    "border": "border only", "outside_centre": "without the middle", "thumbnail": "16 x 16 thumbnail",
    "file": "file size and shape", "colour_mode": "colour mode",
}  # fmt: skip
PICTURES = {
    "samples": "Radiographs of each class as they are in the archive, chosen by the hash of their names",
    "augmented": "One radiograph as training sees it: first as it is, then turned, moved and zoomed at random",
}


CURVES = (
    ("roc", "ROC", ("false_positive_rate", "true_positive_rate"), (f"1 {MINUS} specificity", "sensitivity"), True,
     "Ill against healthy at every threshold. The grey line is chance."),
    ("precision_recall", "Precision and recall", ("recall", "precision"), ("recall (sensitivity)", "precision"), False,
     "Of those called ill, the share who are."),
    ("reliability", "Calibration", ("probability", "frequency"), ("calibrated probability", "observed frequency"), True,
     "A model that keeps its word lies on the grey line: of patients given 70 %, 70 % are ill."),
)  # fmt: skip


def page(settings: Settings, datasets: list[Dataset], cautions: list[Caution], commit: str) -> str:
    """The whole HTML text."""
    gains = [
        (f"{dataset.name}, {regime} from {start}", gain["auc"], gain["auc_low"], gain["auc_high"])
        for dataset in datasets
        for regime, starts in dataset.gains.items()
        for start, gain in starts.items()
        if gain["auc"] is not None
    ]
    areas = [
        (f"{dataset.name}, {name}", found["auc"], found["auc_low"], found["auc_high"])
        for dataset in datasets
        for name, found in dataset.scores.items()
        if found["auc"] is not None
    ]
    return TEMPLATES.get_template("page.html").render(
        model=settings.model,
        datasets=datasets,
        cautions=cautions,
        subtitle=_subtitle(settings, datasets),
        operating_point=_operating_point(settings),
        gain_chart=Markup(charts.intervals(gains, "gain in test AUC", zero=0)) if gains else "",
        leaderboard=leaderboard(datasets),
        auc_chart=Markup(charts.intervals(areas, "test AUC", zero=0.5)),
        parts={dataset.name: _part(dataset) for dataset in datasets},
        made=commit,
        settings=Path("params.yaml").read_text(),
        versions="\n".join(f"{package} {version(package)}" for package in PACKAGES),
    )


def _subtitle(settings: Settings, datasets: list[Dataset]) -> str:
    tests = "; ".join(
        f"{dataset.name}: {sum(dataset.data['images'].values())} radiographs of "
        f"{sum(dataset.data['patients'].values())} patients, tested on {dataset.data['images']['test']}"
        for dataset in datasets
    )
    return f"{settings.image_size} pixels a side. {tests}."


def _operating_point(settings: Settings) -> str:
    point = settings.evaluate.operating_point
    return "the largest sum of sensitivity and specificity (Youden)" if point == "youden" else f"a {point}"


def leaderboard(datasets: list[Dataset]) -> Markup:
    """Every model, the best area of each dataset first."""
    rows, best = [], []
    for dataset in datasets:
        ordered = sorted(dataset.scores.items(), key=lambda item: -(item[1]["auc"] or 0))
        best.append(len(rows))
        for name, found in ordered:
            shown = [ranged(found, key) for key in ("auc", "sensitivity", "specificity")]
            plain = [number(found.get(key)) for key in ("f1", "loss", "ece")]
            rows.append([dataset.name, name, *shown, *plain])
    heads = ["dataset", "model", "AUC", "sensitivity", "specificity", "F1", "log loss", "ECE"]
    return table("Test scores; ECE is the expected calibration error", heads, rows, texts=2, best=best)


def _part(dataset: Dataset) -> dict:
    plots = dataset.plots
    found = [
        {"title": title, "svg": Markup(charts.curves(plots[plot], *columns, labels, diagonal)), "caption": caption}
        for plot, title, columns, labels, diagonal, caption in CURVES
    ]
    found.append({
        "title": "Training", "svg": Markup(charts.losses(plots["history"])),
        "caption": "Log loss after each epoch: training solid, validation dashed.",
    })  # fmt: skip
    shortcuts = dataset.data["shortcuts"]
    rows = [(SHORTCUTS[name], told["auc"], told["auc_low"], told["auc_high"]) for name, told in shortcuts.items()]
    best = max(dataset.scores.items(), key=lambda item: item[1]["auc"] or 0)
    rows.insert(0, (f"best model ({best[0]})", best[1]["auc"], best[1]["auc_low"], best[1]["auc_high"]))
    rows = [row for row in rows if None not in row]
    return {
        "charts": found,
        "confusions": [
            {"model": model, "html": confusion(model, cells)}
            for model, cells in plots["confusion"].groupby("model", sort=False)
        ],
        "pairs": _pairs(dataset.comparisons),
        "subgroups": _subgroups(dataset.subgroups),
        "shortcut_chart": Markup(charts.intervals(rows, "test AUC", zero=0.5)),
        "sheets": [{"model": model, "content": _content(path)} for model, path in dataset.sheets.items()],
        "pointing": _pointing(dataset.explained),
        "counts": _counts(dataset.data),
        "facts": _facts(dataset),
        "pictures": [{"alt": PICTURES[name], "content": _content(path)} for name, path in dataset.pictures.items()],
        "data_charts": [{
            "title": "Brightness by class",
            "svg": Markup(charts.histogram(plots["brightness"], "brightness", "share", ("mean grey level", "share"))),
            "caption": "Mean grey level by class. Where classes differ much, a scanner may be what is told apart.",
        }],
    }  # fmt: skip


def _pairs(pairs: pd.DataFrame) -> Markup:
    rows = [
        [row.model, row.other, f"{signed(row.auc)} ({signed(row.auc_low)} to {signed(row.auc_high)})", _p(row.p),
         _p(row.p_delong)]
        for row in pairs.itertuples()
    ]  # fmt: skip
    return table("", ["first", "second", "difference (95 % interval)", "p, bootstrap", "p, DeLong"], rows, texts=2)


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else number(value)


def _subgroups(groups: pd.DataFrame) -> Markup | str:
    if groups.empty:
        return ""
    records = groups.astype(object).where(groups.notna(), None).to_dict("records")
    rows = [
        [row["model"], f"{row['attribute']}: {row['group']}", str(row["images"]),
         *(ranged(row, key) for key in ("auc", "sensitivity", "specificity"))]
        for row in records
    ]  # fmt: skip
    caption = "A kind of disease is scored against all healthy patients"
    return table(caption, ["model", "subgroup", "images", "AUC", "sensitivity", "specificity"], rows, texts=2)


def _pointing(explained: dict[str, dict]) -> Markup | str:
    rows = [
        [model, what, str(told["images"]), ranged(told, "pointing"), number(told["pointing_chance"]),
         ranged(told, "energy"), number(told["energy_chance"])]
        for model, scores in explained.items()
        for what, told in {**scores["boxes"], "lungs": scores["lungs"]}.items()
        if told
    ]  # fmt: skip
    heads = ["model", "where", "images", "pointing", "by chance", "heat inside", "by chance"]
    return table("How well heat maps point", heads, rows, texts=2) if rows else ""


def _counts(data: dict) -> Markup:
    classes = list(data["classes"]["train"])
    rows = [
        [split, str(data["images"][split]), str(data["patients"][split]), *(str(of[name]) for name in classes)]
        for split, of in data["classes"].items()
    ]
    return table("Radiographs and patients", ["split", "radiographs", "patients", *classes], rows)


def _facts(dataset: Dataset) -> str:
    data, patients = dataset.data, dataset.plots["patients"]
    several = int(patients.loc[patients["radiographs"] > 1, "patients"].sum())
    files = "; ".join(
        f"{name}: {facts['width']:.0f} x {facts['height']:.0f} pixels, {facts['bytes'] / 1000:.0f} kB, "
        + ", ".join(f"{count} {mode}" for mode, count in facts["modes"].items())
        for name, facts in data["files"].items()
    )
    split = "an official test split" if data["official_test"] else "a test split cut here"
    return (
        f"It has {split}; {several} patients have several radiographs; {data['duplicates']} copies were left out. "
        f"Median file by class: {files}."
    )


def _content(path: Path) -> str:
    """A picture as WebP, a tenth of the PNG's size, in base64."""
    buffer = io.BytesIO()
    with Image.open(path) as image:
        image.convert("RGB").save(buffer, "WEBP", quality=80)
    return base64.b64encode(buffer.getvalue()).decode()
