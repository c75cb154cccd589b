"""The report: it needs no other file, is readable at any width, and says first what a reader must know."""

import json
import re
import shutil
import sys
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, encoded, refused, run, stage, stages

from chest_transfer.lockfile import output_md5, write_lock
from chest_transfer.model_names import ModelName
from chest_transfer.networks.facts import PackedFacts
from chest_transfer.networks.saving import read_facts
from chest_transfer.reporting import charts
from chest_transfer.reporting.answers import gain_sentence
from chest_transfer.reporting.cautions import dataset_cautions, overlap_cautions
from chest_transfer.reporting.chart_looks import page_chart
from chest_transfer.reporting.gathering import _pretrained_first
from chest_transfer.reporting.wording import model_in_words
from chest_transfer.reporting.writing import write_report
from chest_transfer.serving.packing import pack
from chest_transfer.settings import PartialWeights, read_settings


@pytest.fixture(scope="module")
def project(evaluated):
    stages(evaluated, ("report",))
    return evaluated


@pytest.fixture(scope="module")
def html(project) -> str:
    return (project / "report/index.html").read_text()


class Page(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def all(self, name: str) -> list[dict]:
        return [attributes for tag, attributes in self.tags if tag == name]


def test_the_page_needs_no_other_file(html):
    page = Page(html)
    assert not page.all("script")
    assert not page.all("link")
    sources = [image["src"] for image in page.all("img")]
    assert sources
    assert all(source.startswith("data:image/webp;base64,") for source in sources)
    anchors = {attributes["href"] for attributes in page.all("a")}
    downloads = {anchor for anchor in anchors if anchor.startswith("data:")}
    assert {anchor.split(";")[0] for anchor in downloads} == {"data:text/csv", "data:image/svg+xml"}
    anchors -= downloads
    assert all(anchor.startswith("#") for anchor in anchors)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes and "svg" not in attributes["id"]]
    assert {anchor[1:] for anchor in anchors} <= set(ids)
    assert not re.search(r"url\((?!#)", html)


def test_the_page_can_be_used_with_a_screen_reader_and_a_keyboard(html):
    page = Page(html)
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == 1
    assert all(image["alt"] for image in page.all("img"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(header.get("scope") for header in page.all("th"))
    assert all(drawing["aria-hidden"] == "true" for drawing in page.all("svg"))
    assert page.all("a")[0]["href"] == "#answer"  # the first press of the tab key skips the rest
    scrolling = [block for block in page.all("div") if "scroll" in block.get("class", "")]
    assert all(block["tabindex"] == "0" and block["aria-label"] for block in scrolling)


def test_the_page_says_where_its_numbers_come_from(html, project):
    assert "simulated: these numbers say nothing about patients" in html
    assert "Not a medical device" in html
    assert (project / "params.yaml").read_text().splitlines()[2] in html
    assert "tensorflow" in html
    metrics = json.loads((project / "metrics/detail/pneumonia.json").read_text())
    assert f"{metrics['train']['none']['auc']:.3f}" in html


def test_the_calibration_that_was_scored_is_the_one_in_the_packed_file(project, tmp_path):
    name = ModelName("pneumonia", "cnn", "train", "none", 1)
    distribution = project / "data/out_of_distribution/pneumonia.npz"
    pack([project / name.network], [project / name.predictions_of("val")], distribution, tmp_path / "packed.keras")
    facts = read_facts(tmp_path / "packed.keras", PackedFacts)
    detail = json.loads((project / "metrics/detail/pneumonia.json").read_text())["train"]["none"]
    assert facts.temperature == detail["temperature"]
    assert facts.thresholds["youden"][1] == detail["threshold"]


def test_the_markdown_and_the_model_cards_have_the_same_scores(project):
    metrics = json.loads((project / "metrics/detail/pneumonia.json").read_text())
    area = f"{metrics['train']['none']['auc']:.3f}"
    assert area in (project / "report/report.md").read_text()
    card = (project / "report/cards/pneumonia-cnn-train-none-seed1-all.md").read_text()
    assert area in card
    assert "Not a medical device" in card
    assert "NORMAL, PNEUMONIA" in card


def test_learning_curves_are_labeled_as_cross_entropy(project, html):
    history = pd.read_csv(project / "metrics/plots/pneumonia/history.csv")
    assert list(history) == ["model", "epoch", "cross_entropy", "loss"]
    chart = page_chart(charts.training_curves, history)
    assert ">cross-entropy<" in chart
    assert ">loss<" not in chart
    assert ">cross-entropy<" in html
    assert "Cross-entropy after each epoch, without class weights: training solid, validation dashed." in html
    drawn = page_chart(charts.training_curves, history.assign(loss=history["loss"] + 1))
    assert drawn == chart  # the weighted loss is not what is drawn


def test_a_second_report_has_the_same_bytes(project, html):
    stage(project, "report")
    assert (project / "report/index.html").read_text() == html


def test_the_command_names_the_page_that_it_wrote(project):
    done = run(project, sys.executable, "-m", "chest_transfer.cli", "report", PYTHONPATH=str(ROOT / "src"))
    assert done.stdout.splitlines() == ["report/index.html"]
    assert (project / "report/index.html").exists()


def test_a_missing_evaluation_is_an_error(project, tmp_path):
    shutil.copy(project / "params.yaml", tmp_path)
    assert "no metrics at" in refused(stage(tmp_path, "report", check=False))


@pytest.mark.browser
@pytest.mark.parametrize("width", [1200, 390])
def test_a_browser_shows_it_at_any_width_without_scrolling_sideways(project, browser, width):
    with browser.new_page(viewport={"width": width, "height": 800}) as page:
        page.goto((project / "report/index.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("document.images.length") > 0
        page.evaluate("for (const image of document.images) image.loading = 'eager'")
        page.wait_for_function("[...document.images].every((image) => image.complete && image.naturalWidth)")


def test_charts_have_the_colors_of_the_page_and_are_the_same_text_each_time():
    table = pd.DataFrame({"model": ["a", "a", "b", "b"], "x": [0, 1, 0, 1], "y": [0, 1, 0.5, 1]})
    first = page_chart(charts.curves, table, "x", "y", ("x", "y"), diagonal=True)
    assert first == page_chart(charts.curves, table, "x", "y", ("x", "y"), diagonal=True)
    assert "var(--ink)" in first
    assert "var(--series-1)" in first
    assert "#010101" not in first


GAIN = {"auc": 0.1, "auc_low": 0.02, "auc_high": 0.2, "p": 0.01, "p_delong": 0.01, "against": "train-none"}
SCORES = {"train-none": {"auc": 0.7}, "train-imagenet": {"auc": 0.8}}


@pytest.mark.parametrize(
    ("bounds", "verdict"),
    [((0.02, 0.2), "ImageNet helped"), ((-0.2, -0.02), "ImageNet did harm"),
     ((-0.1, 0.1), "no gain from ImageNet can be claimed")],
)  # fmt: skip
def test_a_gain_is_claimed_only_where_the_interval_says_so(bounds, verdict):
    gain = GAIN | {"auc_low": bounds[0], "auc_high": bounds[1]}
    sentence = gain_sentence("covid", SCORES, "train", "imagenet", gain)
    assert verdict in sentence
    assert "0.800 against 0.700" in sentence


def test_the_first_answer_is_of_weights_that_are_all_pretrained():
    settings = read_settings(ROOT / "params.yaml")
    partial = {"imagenet_1": PartialWeights(weights="imagenet", blocks=1)}
    settings = settings.model_copy(update={"partial_weights": partial})
    gains = {"train": {"statistics": {}, "imagenet_1": {}, "imagenet": {}, "mine": {}}}
    assert list(_pretrained_first(gains, settings)["train"]) == ["imagenet", "mine", "statistics", "imagenet_1"]


@pytest.mark.parametrize(
    ("seeds", "verdict"), [([1], "ImageNet helped with this one training seed."), ([1, 2], "ImageNet helped. Test AUC")]
)
def test_a_gain_of_one_seed_is_called_that(seeds, verdict):
    fits = {f"seed{seed}-{patients}": {} for seed in seeds for patients in (50, "all")}
    scores = SCORES | {"train-imagenet": SCORES["train-imagenet"] | {"fits": fits}}
    assert verdict in gain_sentence("covid", scores, "train", "imagenet", GAIN)


@pytest.mark.parametrize("fit", ["ensemble-all", "ensemble-50"])
def test_a_gain_of_an_ensemble_is_not_of_one_seed(fit):
    scores = {"train-imagenet": {"auc": 0.8}, "train-imagenet-ensemble": {"auc": 0.9, "fits": {fit: {}}}}
    gain = GAIN | {"against": "train-imagenet"}
    sentence = gain_sentence("covid", scores, "train", "imagenet-ensemble", gain)
    assert "averaging the networks of all seeds helped. Test AUC" in sentence


@pytest.mark.parametrize("failed", ["train-none", "train-imagenet"])
def test_no_gain_is_claimed_where_a_fit_failed(failed):
    # A control that learned nothing would make any start look good.
    scores = SCORES | {failed: SCORES[failed] | {"fit": "the predictions are constant"}}
    sentence = gain_sentence("covid", scores, "train", "imagenet", GAIN)
    assert f"no gain from ImageNet can be claimed, because a fit failed ({model_in_words(failed)})" in sentence


def areas(test: float, validation: float | None = None) -> dict[str, float]:
    """Return the areas of a shortcut on the test and on validation, with intervals of 0.1."""
    of_splits = {"": test, "validation_": test if validation is None else validation}
    return {
        f"{prefix}auc{end}": round(area + offset, 6)
        for prefix, area in of_splits.items()
        for end, offset in (("", 0), ("_low", -0.05), ("_high", 0.05))
    }


def data(**changes) -> dict:
    clean = {
        "leaks": {"patients": {"train_test": 0}, "images": {"train_test": 0}},
        "leaked_into_official_test": 0,
        "shortcuts": {"border": areas(0.55)},
        "classes": {"test": {"Normal": 100, "Diseased": 100}},
        "without_patient_id": 0,
        "skipped": {"total": 0},
    }
    return clean | changes


MODEL = {"train-none": {"auc": 0.9}}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"leaks": {"patients": {"train_test": 2}, "images": {}}}, "2 patients are in train and in test"),
        ({"leaks": {"patients": {}, "images": {"train_val": 3}}}, "3 images are in train and in val"),
        ({"leaked_into_official_test": 3}, "their patients are in the official test split"),
        (
            {"shortcuts": {"border": areas(0.93), "sharpness": areas(0.95), "thumbnail": areas(0.85)}},
            "without looking at disease: by how sharp the image is (AUC 0.95, 0.90 to 1.00), the border of the image "
            "alone (AUC 0.93, 0.88 to 0.98); the highest AUC of a model is 0.90",
        ),
        (
            {"shortcuts": {"sharpness": areas(0.5, validation=0.9)}},
            "differs: how sharp the image is (AUC 0.90, and 0.50 in the test). A threshold that validation chose may",
        ),
    ],
)
def test_serious_problems_are_warned_of_and_a_clean_dataset_has_none(changes, text):
    assert dataset_cautions("tb", data(), MODEL, {}) == []
    (caution,) = dataset_cautions("tb", data(**changes), MODEL, {})
    assert caution.serious
    assert text in caution.text


FAILURE = "the validation loss is not below that of the class frequencies"


@pytest.mark.parametrize(
    ("within", "serious"),
    [({"a": 0.85, "b": 0.8}, [True]), ({"a": 0.89, "b": 0.8}, [False]), ({"a": 0.92, "b": 0.8}, [])],
)
def test_an_area_that_is_larger_over_all_sources_than_within_each_is_cautioned(within, serious):
    (key, record), *_ = MODEL.items()
    scores = {key: record | {"auc": 0.9, "sources": {name: {"auc": area} for name, area in within.items()}}}
    found = [
        caution for caution in dataset_cautions("chests", data(), scores, {}) if "over all sources" in caution.text
    ]
    assert [caution.serious for caution in found] == serious
    for caution in found:
        assert f"has an AUC of 0.90 over all sources, but {within['a']:.2f} within a and 0.80 within b" in caution.text


def test_each_failed_fit_is_warned_of():
    scores = {
        "train-none": {"auc": 0.5, "fit": FAILURE},
        "probe-none": {"auc": 0.9, "fit": "ok"},
        "finetune-none": {"auc": 0.9, "fit": "no epoch improved on the initial weights, which were restored"},
        "as_is-covid": {"auc": 0.9},  # it is not fitted to this dataset
    }
    cautions = dataset_cautions("tb", data(), scores, {})
    assert all(caution.serious for caution in cautions)
    assert [caution.text for caution in cautions] == [
        f"tb: a fit failed (whole network, random weights): {FAILURE}.",
        "tb: a fit failed (fine-tuned, random weights): no epoch improved on the initial weights, which were restored.",
    ]


def copy_project(project, folder):
    """Copy what a report is made from."""
    for name in ("params.yaml", "metrics", "data/predictions", "data/heat_maps", "data/pictures"):
        source, target = project / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    return folder


def change_json(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_failed_fits_in_the_metrics_are_in_the_page_the_markdown_and_the_card(project, tmp_path, monkeypatch):
    changed = copy_project(project, tmp_path / "changed")
    monkeypatch.chdir(changed)
    detail = changed / "metrics/detail/pneumonia.json"
    text = f"pneumonia: a fit failed (whole network, random weights): {FAILURE}."
    card = "cards/pneumonia-cnn-train-none-seed1-all.md"
    files = {name: changed / "report" / name for name in ("index.html", "report.md", card)}
    change_json(detail, lambda content: content["train"]["none"].update(fit="ok"))
    write_report(read_settings())
    assert not any("a fit failed" in file.read_text() for file in files.values())
    change_json(detail, lambda content: content["train"]["none"].update(fit=FAILURE))
    write_report(read_settings())
    pages = {name: file.read_text() for name, file in files.items()}
    assert f'<li class="serious">{text}</li>' in pages["index.html"]
    assert f"**Warning.** {text}" in pages["report.md"]
    assert text in pages[card]


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ({"duplicates": 0}, "No file is an exact copy of another."),
        ({"duplicates": 7}, "7 files are exact copies of others: they are in the same split, and are scored."),
        ({"duplicates": 7, "duplicates_left_out": 7}, "7 exact copies of other files were left out."),
    ],
)
def test_the_report_says_whether_exact_copies_are_scored_or_left_out(project, tmp_path, monkeypatch, counts, sentence):
    changed = copy_project(project, tmp_path / "changed")
    monkeypatch.chdir(changed)
    change_json(changed / "metrics/data/pneumonia.json", lambda summary: summary.update(counts))
    write_report(read_settings())
    page = (changed / "report/index.html").read_text()
    assert sentence in page
    assert ("and are scored" in page) == ("and are scored" in sentence)
    assert ("were left out" in page) == ("were left out" in sentence)


def test_less_serious_problems_are_reported_too():
    pointing = {"energy": 0.5, "energy_chance": 0.45, "energy_gain_low": -0.01, "images": 20}
    cautions = dataset_cautions(
        "tb",
        data(
            classes={"test": {"Normal": 100, "Diseased": 12}}, without_patient_id=5, skipped={"total": 1},
            shortcuts={"thumbnail": areas(0.9), "noise": areas(0.6)},
        ),
        MODEL,
        {"train-none": {"boxes": {"Diseased": pointing}, "lungs": {}}},
    )  # fmt: skip
    assert not any(caution.serious for caution in cautions)
    assert len(cautions) == 6


def test_overlap_is_serious_if_test_radiographs_are_in_the_training_data_of_the_other_dataset():
    columns = ["dataset", "other", "images", "also_in_other", "test_images", "test_in_training"]
    rows = [("covid", "tb", 900, 57, 190, 10), ("tb", "covid", 800, 57, 160, 0), ("nih", "tb", 600, 3, 147, 0)]
    rows += [("tb", "nih", 800, 3, 160, 0), ("covid", "nih", 900, 0, 190, 0), ("nih", "covid", 600, 0, 147, 0)]
    first, second = overlap_cautions(pd.DataFrame(rows, columns=columns))
    assert first.serious
    assert "57 of 900 radiographs of covid are in tb too: 10 of its 190" in first.text
    assert not second.serious


def test_heat_maps_outside_the_lungs_are_reported():
    lungs = {"pointing": 0.1, "pointing_high": 0.15, "area": 0.37, "images": 190}
    (caution,) = dataset_cautions("covid", data(), MODEL, {"train-none": {"boxes": {}, "lungs": lungs}})
    assert "10% of 190 point into lungs that cover 37%" in caution.text


def test_without_two_starts_the_report_says_that_nothing_is_compared(html, project):
    assert "pneumonia: nothing is compared." in html  # the toy experiment has random weights alone
    assert "Nothing is compared." in (project / "report/report.md").read_text()


def test_pictures_of_other_settings_are_left_out_with_a_caution(project, tmp_path, monkeypatch):
    folder = copy_project(project, tmp_path / "left-out")
    monkeypatch.chdir(folder)
    heat_map = next(folder.glob("data/heat_maps/pneumonia/cnn/*.png"))
    outs = {
        "evaluate@pneumonia": [folder / f"metrics/{name}/pneumonia.json" for name in ("detail", "gain")],
        "explore@pneumonia": [folder / "metrics/data/pneumonia.json"], "overlap": [folder / "metrics/overlap.csv"],
        "explain@pneumonia-cnn": [folder / "metrics/explained/pneumonia.json", heat_map.parent],
        "pictures@pneumonia": sorted(folder.glob("data/pictures/pneumonia/*.png")),
        "stress@pneumonia": [folder / "metrics/stress/pneumonia.json"],
    }  # fmt: skip
    entries = {
        stage: {"outs": [{"path": path.relative_to(folder).as_posix(), "md5": output_md5(path)} for path in paths]}
        for stage, paths in outs.items()
    }
    write_lock({"schema": "2.0", "stages": entries}, folder)
    write_report(read_settings())
    page = (folder / "report/index.html").read_text()
    assert "left out" not in page
    assert "Heat maps of" in page
    heat_map.write_bytes(encoded(np.zeros((9, 9), np.uint8)))
    write_report(read_settings())
    page = (folder / "report/index.html").read_text()
    assert "pneumonia: the heat maps are not of the settings in params.yaml, and are left out" in page
    assert "Heat maps of" not in page
