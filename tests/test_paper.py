"""`chest-transfer paper`: tables, figures, methods and a checklist, all of whose numbers come from metrics."""

import json
import re
import shutil
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT, change_settings, commit, run

from chest_transfer.data.catalog import CATALOG
from chest_transfer.errors import ChestTransferError
from chest_transfer.networks.backbones import BACKBONES
from chest_transfer.reporting.dataset_charts import MINUS
from chest_transfer.reporting.html_tables import DASH
from chest_transfer.reporting.paper.experiments import read_experiments
from chest_transfer.reporting.paper.latex import latex_paragraph, latex_table, latex_text, references_cited
from chest_transfer.reporting.paper.methods import methods_of
from chest_transfer.reporting.paper.table import Table
from chest_transfer.reporting.paper.training_methods import IMBALANCES
from chest_transfer.reporting.paper.writing import write_paper
from chest_transfer.settings import read_settings
from chest_transfer.training.losses import IMBALANCES as OF_LOSSES

BIB = files("chest_transfer.reporting.paper").joinpath("references.bib").read_text()


@pytest.fixture(scope="module")
def paper(evaluated) -> Path:
    """The folder that the command writes for a toy experiment."""
    assert run(evaluated, "chest-transfer", "paper").stdout == "paper/paper.tex\n"
    return evaluated / "paper"


@pytest.fixture
def experiment(evaluated, monkeypatch):
    monkeypatch.chdir(evaluated)
    [experiment] = read_experiments([])
    return experiment


def test_the_scores_are_those_of_the_metrics(paper, evaluated):
    detail = json.loads((evaluated / "metrics/detail/pneumonia.json").read_text())
    table = pd.read_csv(paper / "tables/scores.csv")
    assert len(table) == sum(map(len, detail.values()))
    for row in table.itertuples():
        record = detail[row.regime][row.start]
        for key in ("auc", "auc_low", "sensitivity_high", "brier"):
            expected = float("nan") if record[key] is None else record[key]
            assert getattr(row, key) == pytest.approx(expected, nan_ok=True)
        assert f"{record['auc']:.3f}" in (paper / "tables/scores.md").read_text()
        assert f"{record['auc']:.3f}" in (paper / "tables/scores.tex").read_text()


def test_the_counts_are_those_of_the_data(paper, evaluated):
    data = json.loads((evaluated / "metrics/data/pneumonia.json").read_text())
    table = pd.read_csv(paper / "tables/datasets.csv", index_col="split")
    assert table["patients"].to_dict() == data["patients"]
    assert table["PNEUMONIA"].to_dict() == {split: of["PNEUMONIA"] for split, of in data["classes"].items()}
    assert f"All {sum(data['images'].values()):,} usable frontal radiographs" in (paper / "methods.md").read_text()


def test_figures_have_their_letters_inside_and_the_same_bytes_each_time(paper, experiment, tmp_path):
    write_paper([experiment], tmp_path / "again")
    figures = sorted((paper / "figures").iterdir())
    assert {path.stem for path in figures} >= {"roc_pneumonia", "reliability_pneumonia", "training_pneumonia"}
    for path in figures:
        content = path.read_bytes()
        assert content == (tmp_path / "again/figures" / path.name).read_bytes()
        if path.suffix == ".pdf":
            assert content.count(b"/FontFile2") == content.count(b"/Type /FontDescriptor") > 0
        else:
            assert b"<text" not in content  # outlines


@pytest.mark.skipif(
    shutil.which("latexmk") is None, reason="needs latexmk; run: apt-get install latexmk texlive-latex-extra"
)
def test_latex_compiles_it(paper, tmp_path):
    shutil.copytree(paper, tmp_path / "paper")
    run(tmp_path / "paper", "latexmk", "-pdf", "-interaction=nonstopmode", "-halt-on-error", "paper.tex")
    log = (tmp_path / "paper/paper.log").read_text(errors="replace")
    assert "undefined" not in log
    assert (tmp_path / "paper/paper.pdf").stat().st_size > 10_000


def test_a_report_that_is_written_again_keeps_it(paper, evaluated):
    (paper / "checklist.md").write_text("edited by an author")
    run(evaluated, "chest-transfer", "report")
    assert (paper / "checklist.md").read_text() == "edited by an author"
    run(evaluated, "chest-transfer", "paper")


def test_the_checklist_has_every_item_of_claim(paper):
    numbers = re.findall(r"^\| (\d+) \|", (paper / "checklist.md").read_text(), re.MULTILINE)
    assert [int(number) for number in numbers] == list(range(1, 45))


def test_only_what_is_cited_is_among_the_references(paper):
    cited = set(re.findall(r"@(\w+)", (paper / "methods.md").read_text()))
    assert set(re.findall(r"^@\w+{(\w+),", (paper / "references.bib").read_text(), re.MULTILINE)) == cited


def test_every_reference_of_a_dataset_and_a_backbone_is_known():
    keys = [key for row in CATALOG.values() for key in row.references]
    keys += [row.reference for row in BACKBONES.values() if row.reference]
    assert len(references_cited("".join(f"[@{key}]" for key in keys)).splitlines()) == len(set(keys))
    for line in BIB.splitlines()[1:]:
        assert line.startswith("@"), line
        assert line.count("{") == line.count("}"), line
        assert all(f"{field}={{" in line for field in ("author", "title")), line


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({}, "Every fit was made once, with training seed 1"),
        ({}, "There was one training seed, so no interval holds for others."),
        ({"seeds": [1, 2, 3]}, "with 3 training seeds (1, 2, 3)"),
        ({"seeds": [1, 2, 3]}, "by the method of Obuchowski and Rockette [@obuchowski1995]"),
        ({"patients": [20, "all"]}, "Numbers of training patients were 20 and all. Each seed drew its own subsets"),
        ({"train__schedule": "plateau"}, "multiplied by 0.1 after 3 epochs without improvement"),
        ({"train__imbalance": "focal"}, "cross-entropy as the focal loss [@lin2017]"),
        ({"train__augmentation__flip": True}, "rotation ±10°, translation ±5 % of the side length, zoom ±10 %"),
        ({"train__augmentation__flip": True}, "contrast ±10 %, horizontal flips."),
        ({"train__augmentation__degrade": {"blur": 0.02, "noise": 10}}, "100 % of the radiographs were degraded by on"),
        ({"train__augmentation__degrade": {"blur": 0.02, "noise": 10}}, "up to the one given: blur 0.02, noise 10."),
        ({"train__regularization__mixup": 0.4}, "mixup with a parameter of 0.4 [@zhang2018]"),
        (
            {"train__regularization__averaged_epochs": 2},
            "moving averages of the weights over about 2 epochs [@polyak1992]",
        ),
        ({}, "at an error rate of 10 %"),
        (
            {"finetune__weights": ["none"], "finetune__unfreeze": "last 3"},
            "last 3 of the backbone's layers",
        ),
        ({"finetune__weights": ["none"], "finetune__unfreeze_every": 0}, "from the output down, all at once"),
        ({"finetune__weights": ["none"], "finetune__warmup": 1}, "after a warm-up of 1 epoch;"),
        ({"model": "vgg16"}, "Adam [@kingma2015] with a learning rate of 0.0001"),  # times the backbone's factor
        ({"model": "vgg16"}, "by subtracting ImageNet's mean of each channel, and repeated in three channels."),
        ({"model": "mobilenetv2"}, "mobilenetv2 [@sandler2018] with a width multiplier of 1, initialized"),
        ({"embed__views": 2}, "It also saw 2 augmented views of each radiograph. Augmentation: rotation"),
        ({"weights_files": {"mine": {"path": "w.h5", "preprocessing": "tf"}}}, "initialized with random weights."),
        ({"evaluate__operating_point": "sensitivity 0.9"}, "chosen for a sensitivity of 0.9. The primary metric"),
        ({"weights": ["none", "imagenet"], "model": "vgg16"}, "that Keras publishes, of which its hash was verified."),
        ({"weights": ["none", "imagenet"], "model": "mobilenetv2"}, "Keras publishes, whose hash is not published."),
        ({"preprocess__fit": "pad", "image_size": 64}, "with black borders and resized to 64"),
        (
            {"preprocess__region": "lungs"},
            "cropped to the box around the lungs, as a small U-Net [@ronneberger2015] found",
        ),
        ({"preprocess__region": "lungs", "preprocess__outside_lungs": "black"}, "blackened outside of the lungs, made"),
        ({"external": ["covid"]}, "on which nothing was trained or chosen: covid."),
        ({"source": "kaggle"}, "pneumonia: chest radiographs of children from Guangzhou [@kermany2018]."),
        ({}, "pneumonia: simulated radiographs, in the layout of chest radiographs of children"),
    ],
)
def test_methods_say_what_the_settings_do(experiment, tmp_path, change, sentence):
    shutil.copy("params.yaml", tmp_path)
    change_settings(tmp_path / "params.yaml", **change)
    changed = replace(experiment, settings=read_settings(tmp_path / "params.yaml"))
    text = "\n".join(paragraph for section in methods_of(changed).values() for paragraph in section)
    assert sentence in text
    references_cited(text)  # all of them are known


def test_every_way_to_treat_rare_classes_has_words():
    assert set(IMBALANCES) == set(OF_LOSSES)


class TestLatex:
    def test_special_characters_print_as_themselves(self):
        assert latex_text(f"50 % of {{a_b}} & c#d $ \\ < {MINUS}1 {DASH} 2") == (
            r"50 \% of \{a\_b\} \& c\#d \$ \textbackslash{} \textless{} $-$1 -- 2"
        )

    def test_citations(self):
        text = latex_paragraph("Fitted [@guo2017; @youden1950] to 5 %.")
        assert text == r"Fitted~\cite{guo2017,youden1950} to 5 \%."

    @pytest.mark.parametrize(("rows", "kind"), [(3, "table"), (60, "longtable")])
    def test_a_long_table_breaks_over_pages(self, rows, kind):
        columns = [("Model", lambda row: row["name"]), ("Always empty", lambda row: DASH)]
        table = Table("scores", "95 % intervals", [{"name": f"a_{n}"} for n in range(rows)], columns)
        text = latex_table(table)
        assert f"\\begin{{{kind}}}" in text
        assert text.count("a\\_") == rows
        assert r"\label{tab:scores}" in text
        assert r"95 \% intervals" in text
        assert "Always empty" not in text


class TestNamedExperiments:
    @pytest.fixture
    def repository(self, evaluated, tmp_path, monkeypatch) -> Path:
        """A repository whose only commit has the metrics and settings of an experiment, and whose folder has others."""
        for path in ("metrics", "params.yaml"):
            source = evaluated / path
            shutil.copytree(source, tmp_path / path) if source.is_dir() else shutil.copy(source, tmp_path / path)
        run(tmp_path, "git", "init", "-q", "-b", "main")
        commit(tmp_path, "An experiment")
        run(tmp_path, "git", "update-ref", "refs/exps/ab/cdef/tidy-mole", "HEAD")
        shutil.rmtree(tmp_path / "metrics")
        monkeypatch.chdir(tmp_path)
        return tmp_path

    @pytest.mark.parametrize("name", ["tidy-mole", "HEAD"])
    def test_their_metrics_come_from_git(self, repository, evaluated, name):
        [experiment] = read_experiments([name])
        detail = json.loads((evaluated / "metrics/detail/pneumonia.json").read_text())
        assert experiment.datasets[0].scores["train-none"]["auc"] == detail["train"]["none"]["auc"]
        revision = run(repository, "git", "rev-parse", "HEAD").stdout
        assert experiment.provenance == f"Made from commit {revision[:12]}."

    def test_two_of_one_backbone_are_told_apart_in_tables_and_figures(self, repository, tmp_path):
        experiments = read_experiments(["tidy-mole", "HEAD"])
        assert [experiment.name for experiment in experiments] == ["cnn, tidy-mole", "cnn, HEAD"]
        write_paper(experiments, tmp_path / "paper")
        table = pd.read_csv(tmp_path / "paper/tables/scores.csv")
        assert set(table["backbone"]) == {"cnn, tidy-mole", "cnn, HEAD"}
        assert (tmp_path / "paper/figures/roc_pneumonia_2_cnn.pdf").exists()
        assert "# Methods: cnn, HEAD" in (tmp_path / "paper/methods.md").read_text()

    def test_an_unknown_name_is_refused(self, repository):
        with pytest.raises(ChestTransferError, match="no experiment and no revision 'tidy-moles'; see: dvc exp show"):
            read_experiments(["tidy-moles"])


def test_metrics_that_are_missing_are_named(tmp_path, monkeypatch):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ChestTransferError, match=r"no metrics at 'metrics/.*'; run: dvc repro"):
        read_experiments([])
