"""The report: it opens alone, reads well at any width, and says first what a reader must know."""

import json
import re
import shutil
import sys
from html.parser import HTMLParser

import pandas as pd
import pytest
from conftest import ROOT, refused, run, stage, stages

from chest_transfer.networks.saving import read_facts
from chest_transfer.reporting import charts
from chest_transfer.reporting.cautions import of_dataset, of_overlap
from chest_transfer.reporting.gathering import gain_sentence
from chest_transfer.reporting.leaderboard import leaderboard, read_published, scores_of


@pytest.fixture(scope="module")
def project(evaluated):
    stages(evaluated, ("report",))
    return evaluated


@pytest.fixture(scope="module")
def html(project) -> str:
    return (project / "report/index.html").read_text()


class Page(HTMLParser):
    """What a checker of pages needs of one."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def all(self, name: str) -> list[dict]:
        return [attributes for tag, attributes in self.tags if tag == name]


def test_the_page_needs_nothing_else(html):
    page = Page(html)
    assert not page.all("script")
    assert not page.all("link")
    sources = [image["src"] for image in page.all("img")]
    assert sources
    assert all(source.startswith("data:image/webp;base64,") for source in sources)
    anchors = {attributes["href"] for attributes in page.all("a")}
    assert all(anchor.startswith("#") for anchor in anchors)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes and "svg" not in attributes["id"]]
    assert {anchor[1:] for anchor in anchors} <= set(ids)
    assert not re.search(r"url\((?!#)", html)


def test_the_page_can_be_heard_and_walked_through(html):
    page = Page(html)
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == 1
    assert all(image["alt"] for image in page.all("img"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(header.get("scope") for header in page.all("th"))
    assert all(drawing["aria-hidden"] == "true" for drawing in page.all("svg"))
    assert page.all("a")[0]["href"] == "#answer"  # the first key press leads past the rest
    scrolling = [block for block in page.all("div") if "scroll" in block.get("class", "")]
    assert all(block["tabindex"] == "0" and block["aria-label"] for block in scrolling)


def test_the_page_says_what_it_rests_on(html, project):
    assert "simulated: these figures say nothing about patients" in html
    assert "Not a medical device" in html
    assert (project / "params.yaml").read_text().splitlines()[2] in html
    assert "tensorflow" in html
    metrics = json.loads((project / "metrics/pneumonia.json").read_text())
    assert f"{metrics['train']['none']['auc']:.3f}" in html


def test_the_threshold_that_was_scored_is_the_one_in_the_models_file(project):
    facts = read_facts(project / "models/pneumonia/cnn/train-none.keras")
    detail = json.loads((project / "metrics/detail/pneumonia.json").read_text())["train"]["none"]
    assert facts["temperature"] == pytest.approx(detail["temperature"], abs=1e-5)
    assert facts["thresholds"]["youden"][1] == pytest.approx(detail["threshold"], abs=1e-5)


def test_markdown_and_cards_tell_the_same(project):
    metrics = json.loads((project / "metrics/pneumonia.json").read_text())
    found = f"{metrics['train']['none']['auc']:.3f}"
    assert found in (project / "report/report.md").read_text()
    card = (project / "report/cards/pneumonia-cnn-train-none.md").read_text()
    assert found in card
    assert "Not a medical device" in card
    assert "NORMAL, PNEUMONIA" in card


def test_a_second_report_has_the_same_bytes(project, html):
    stage(project, "report")
    assert (project / "report/index.html").read_text() == html


def test_the_command_names_the_page_that_it_wrote(project):
    done = run(project, sys.executable, "-m", "chest_transfer.cli", "report", PYTHONPATH=str(ROOT / "src"))
    assert done.stdout.splitlines() == ["report/index.html"]
    assert (project / "report/index.html").exists()


def test_a_missing_evaluation_is_told(project, tmp_path):
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


def test_charts_take_the_pages_colours_and_are_the_same_text_twice():
    table = pd.DataFrame({"model": ["a", "a", "b", "b"], "x": [0, 1, 0, 1], "y": [0, 1, 0.5, 1]})
    first = charts.curves(table, "x", "y", ("x", "y"), diagonal=True)
    assert first == charts.curves(table, "x", "y", ("x", "y"), diagonal=True)
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
    sentence = gain_sentence("covid", "train", "imagenet", gain, SCORES)
    assert verdict in sentence
    assert "0.800 against 0.700" in sentence


def data(**changes) -> dict:
    clean = {
        "leaks": {"patients": {"train_test": 0}, "pictures": {"train_test": 0}},
        "leaked_into_official_test": 0,
        "shortcuts": {"border": {"auc": 0.55, "auc_low": 0.45, "auc_high": 0.65}},
        "classes": {"test": {"Normal": 100, "Ill": 100}},
        "without_patient_id": 0,
        "skipped": {"total": 0},
    }
    return clean | changes


MODEL = {"train-none": {"auc": 0.9}}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"leaks": {"patients": {"train_test": 2}, "pictures": {}}}, "2 of the same patients are in train and test"),
        ({"leaks": {"patients": {}, "pictures": {"train_val": 1}}}, "1 of the same pictures are in train and val"),
        ({"leaked_into_official_test": 3}, "3 official test radiographs"),
        (
            {"shortcuts": {"border": {"auc": 0.93, "auc_low": 0.9, "auc_high": 0.96}}},
            "from the border of the picture alone",
        ),
    ],
)
def test_what_is_serious_is_warned_of_and_the_clean_set_is_not(changes, said):
    assert of_dataset("tb", data(), MODEL, {}) == []
    (caution,) = of_dataset("tb", data(**changes), MODEL, {})
    assert caution.serious
    assert said in caution.text


def test_what_is_less_serious_is_said_too():
    pointing = {"pointing": 0.5, "pointing_low": 0.4, "pointing_chance": 0.45, "images": 20}
    cautions = of_dataset(
        "tb",
        data(
            classes={"test": {"Normal": 100, "Ill": 12}}, without_patient_id=5, skipped={"total": 1},
            shortcuts={"thumbnail": {"auc": 0.9, "auc_low": 0.8, "auc_high": 0.95}},
        ),
        MODEL,
        {"train-none": {"boxes": {"Ill": pointing}, "lungs": {}}},
    )  # fmt: skip
    assert not any(caution.serious for caution in cautions)
    assert len(cautions) == 5


def test_overlap_is_serious_where_test_radiographs_were_learnt():
    columns = ["dataset", "other", "images", "also_in_other", "test_images", "test_learnt_by_other"]
    rows = [("covid", "tb", 900, 57, 190, 10), ("tb", "covid", 800, 57, 160, 0), ("nih", "tb", 600, 3, 147, 0)]
    rows += [("tb", "nih", 800, 3, 160, 0), ("covid", "nih", 900, 0, 190, 0), ("nih", "covid", 600, 0, 147, 0)]
    first, second = of_overlap(pd.DataFrame(rows, columns=columns))
    assert first.serious
    assert "57 of 900 radiographs of covid are in tb too: 10 of its 190" in first.text
    assert not second.serious


def test_heat_maps_outside_the_lungs_are_told():
    lungs = {"pointing": 0.1, "pointing_high": 0.15, "area": 0.37, "images": 190}
    (caution,) = of_dataset("covid", data(), MODEL, {"train-none": {"boxes": {}, "lungs": lungs}})
    assert "10% of 190 point into lungs that cover 37%" in caution.text


def shown(name: str, seed: int, auc: float, **params) -> dict:
    """One experiment as `dvc exp show --json` tells of it."""
    settings = {
        "model": "vgg16",
        "image_size": 224,
        "source": "kaggle",
        "seed": seed,
        "datasets": ["pneumonia"],
    } | params
    scores = {"probe": {"imagenet": {"auc": auc, "auc_low": auc - 0.1, "auc_high": auc + 0.1, "accuracy": 0.9,
                                     "sensitivity": 0.8, "specificity": 0.7, "f1": 0.6}}}  # fmt: skip
    data = {"params": {"params.yaml": {"data": settings}}, "metrics": {"metrics/pneumonia.json": {"data": scores}}}
    return {"rev": "0123456789", "name": name, "data": data, "experiments": None}


def test_experiments_that_differ_in_their_seed_alone_are_one_row_beside_what_was_published():
    runs = [shown("a", 1, 0.90), shown("b", 2, 0.94), shown("c", 1, 0.80, image_size=96), shown("again", 1, 0.90)]
    table = leaderboard(scores_of(runs), read_published())
    assert table["seeds"].tolist() == [2, 1]
    assert table["AUC"].tolist() == ["0.920 (seeds 0.900-0.940)", "0.800 (0.700-0.900)"]
    assert table["published"][0] == "accuracy 0.923 (three-backbones); f1 0.927 (three-backbones)"
    simulated = leaderboard(scores_of([shown("a", 1, 0.9, source="phantom")]), read_published())
    assert simulated["published"].tolist() == [""]
