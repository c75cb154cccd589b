"""Models on radiographs from elsewhere: what is asked, what is left out, and how much worse they do."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import change_settings, refused, run, stage, stages, toy_project
from ward import write_ward

from chest_transfer.data.arrays import UNKNOWN
from chest_transfer.data.findings import NIH_FINDINGS
from chest_transfer.data.predictions import Predictions
from chest_transfer.evaluation.class_matching import ModelOutputs, judge, shared_findings
from chest_transfer.evaluation.external import external_scores
from chest_transfer.networks.facts import ClassScores
from chest_transfer.settings import Evaluate

SCORES = ClassScores(ill=[-1, 0, 2], healthy=[-2, -1, 0], ill_count=30, healthy_count=30)
CHILDREN = ModelOutputs(["NORMAL", "PNEUMONIA"], False, 1.0, np.array([0.7, 0.3]), [SCORES] * 2)
COVID_CLASSES = ["Normal", "COVID", "Lung_Opacity", "Viral_Pneumonia"]
COVID = ModelOutputs(COVID_CLASSES, False, 1.0, np.zeros(4), [SCORES] * 4)
NIH = ModelOutputs(list(NIH_FINDINGS), True, 1.0, np.full(14, 0.5), [SCORES] * 14)


@pytest.mark.parametrize(
    ("model", "classes", "multi_label", "shared"),
    [
        (CHILDREN, ["Normal", "Pneumonia"], False, ["pneumonia"]),
        (CHILDREN, ["no pneumonia", "pneumonia"], False, ["pneumonia"]),
        (CHILDREN, list(NIH_FINDINGS), True, ["pneumonia"]),
        (CHILDREN, ["Normal", "Tuberculosis"], False, []),
        (CHILDREN, ["Normal", "COVID", "Lung_Opacity", "Viral_Pneumonia"], False, []),
        (COVID, ["healthy", "COVID-19"], False, ["covid"]),
        (COVID, ["Normal", "viral pneumonia", "SARS-CoV-2"], False, ["covid", "viral pneumonia"]),
        (NIH, ["Pleural Effusion", "Oedema", "Fracture"], True, ["effusion", "edema"]),
        (NIH, ["No Finding", "Nodule"], False, ["nodule"]),
        (NIH, ["No Finding", "Lung nodule", "Devices"], True, ["nodule"]),
    ],
)
def test_findings_are_matched_by_what_they_mean(model, classes, multi_label, shared):
    assert shared_findings(model, classes, multi_label) == shared


class TestJudge:
    def test_a_finding_is_decided_at_the_models_own_threshold(self):
        logits = np.array([[0.0, 2.0], [0.0, -0.5], [0.0, -2.0]])  # probabilities .88, .38 and .12
        labels = np.array([[0, 1], [1, UNKNOWN], [0, 0]])
        asked = judge(["pneumonia"], CHILDREN, logits, labels, ["Mass", "Pneumonia"], True, np.array(list("abc")))
        assert asked.classes == ["pneumonia"]
        assert asked.labels[:, 0].tolist() == [1, UNKNOWN, 0]
        assert asked.predicted[:, 0].tolist() == [1, 1, 0]
        assert asked.log_odds[:, 0] == pytest.approx([2, -0.5, -2])

    def test_without_a_shared_finding_it_is_diseased_or_healthy(self):
        logits = np.array([[3.0, 0, 0, 0], [0, 3.0, 0, 0], [0, 1.0, 1.0, 1.0], [1.5, 1.0, 1.0, 1.0]])
        labels = np.eye(2, dtype=int)[[0, 1, 1, 0]]
        asked = judge([], COVID, logits, labels, ["Normal", "Tuberculosis"], False, np.array(list("abcd")))
        assert asked.classes == ["diseased"]
        assert asked.labels[:, 0].tolist() == [0, 1, 1, 0]
        assert asked.predicted[:, 0].tolist() == [0, 1, 1, 0]  # the most probable class of the model is not Normal
        odds = np.log(np.exp(logits[:, 1:]).sum(axis=1)) - logits[:, 0]
        assert asked.log_odds[:, 0] == pytest.approx(odds)

    def test_a_radiograph_is_healthy_only_if_all_findings_are_known_to_be_absent(self):
        labels = np.array([[0, 0], [0, UNKNOWN], [1, UNKNOWN]])
        asked = judge([], COVID, np.zeros((3, 4)), labels, ["Mass", "Nodule"], True, np.array(list("abc")))
        assert asked.labels[:, 0].tolist() == [0, UNKNOWN, 1]


def predictions(rng, images: int, separation: float, seen: int = 0) -> Predictions:
    labels = np.eye(2, dtype=int)[rng.integers(0, 2, images)]
    logits = rng.normal(0, 1, (images, 2))
    logits[:, 1] += separation * labels[:, 1]
    names = np.arange(images).astype(str)
    classes = ["NORMAL", "PNEUMONIA"]
    return Predictions(names, names, labels, logits, classes, classes, np.arange(images) < seen)


def test_the_change_from_the_own_test_split_has_an_interval():
    rng = np.random.default_rng(1)
    external, internal = predictions(rng, 300, 1.0, seen=40), predictions(rng, 300, 3.0)
    images = pd.DataFrame({"sex": ["F", "M"] * 150}, index=pd.Index(external.names, name="name"))
    settings = Evaluate(operating_point="youden", error_rate=0.1, rounds=200, seed=1)
    scores = external_scores(CHILDREN, external, False, images, settings, internal)
    record = scores.record
    assert record["images"] == 260
    assert record["overlap"] == 40
    assert record["change"]["auc"] == pytest.approx(record["auc"] - record["internal"]["auc"], abs=2e-6)
    assert record["change"]["auc_low"] < record["change"]["auc"] < record["change"]["auc_high"] < 0
    assert set(scores.subgroups["group"]) == {"F", "M"}


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A project whose models of simulated children were judged on a made-up ward that it lies beside."""
    parent = tmp_path_factory.mktemp("judged")
    write_ward(parent / "ward", 40, size=48).to_csv(parent / "ward.csv", index=False)
    folder = toy_project(parent)
    own = {"images": "../ward", "table": "../ward.csv", "image": "File", "label": "Diagnosis", "patient": "MRN"}
    own["classes"] = {"Normal": [], "Pneumonia": []}
    change_settings(folder / "params.yaml", own={"ward": own}, external=["ward"], probe__epochs=5)
    commands = [
        "sources", "download pneumonia", "preprocess pneumonia", "profile pneumonia", "pretrained cnn none",
        "embed pneumonia cnn none 1", "probe pneumonia cnn none 1 all", "train pneumonia cnn none 1 all",
        "evaluate pneumonia", "best pneumonia", "download ward", "preprocess ward all_test",
        "external ward pneumonia cnn", "external_evaluate ward pneumonia", "shortcuts pneumonia", "explore pneumonia",
        "overlap",
    ]  # fmt: skip
    stages(folder, *(command.split() for command in commands))
    return folder


@pytest.mark.slow
def test_external_radiographs_are_judged_and_not_trained_on(judged):
    metrics = json.loads((judged / "metrics/external/ward/pneumonia-detail.json").read_text())
    assert metrics["probe"]["none"]["asked"] == ["pneumonia"]
    assert metrics["probe"]["none"]["images"] == 48
    assert {"internal", "change", "auc_low", "ece"} <= set(metrics["train"]["none"])
    assert not list(judged.glob("models/ward*"))
    subgroups = pd.read_csv(judged / "metrics/external/ward/pneumonia-subgroups.csv")
    assert set(subgroups["model"]) <= {"probe-none", "train-none"}


@pytest.mark.slow
def test_the_command_gives_the_same_figures(judged):
    change_settings(judged / "params.yaml", evaluate__rounds=1000)
    stage(judged, "external_evaluate", "ward", "pneumonia")
    metrics = json.loads((judged / "metrics/external/ward/pneumonia-detail.json").read_text())
    done = run(
        judged, "chest-transfer", "evaluate", "models/best/pneumonia.keras", "ward", "--json", "--html", "page.html"
    )
    record = json.loads(done.stdout)
    _, _, key = record["model"].split("/")
    regime, start = key.split("-")
    of_pipeline = metrics[regime][start]
    assert record["asked"] == of_pipeline["asked"]
    numbers = {name: value for name, value in of_pipeline.items() if isinstance(value, int | float)}
    assert {name: record[name] for name in numbers} == pytest.approx(numbers, abs=2e-6)
    page = (judged / "page.html").read_text()
    assert "48 radiographs of 40 patients; asked: pneumonia" in page
    assert page.count("<svg") == 3


@pytest.mark.slow
def test_the_command_takes_a_table_without_any_settings(judged, tmp_path):
    model = judged / "models/best/pneumonia.keras"
    options = ["--image", "File", "--label", "Diagnosis", "--classes", "Normal,Pneumonia", "--patient", "MRN"]
    command = ["chest-transfer", "evaluate", str(model), str(judged.parent / "ward.csv")]
    done = run(tmp_path, *command, "--images", str(judged.parent / "ward"), *options)
    lines = done.stdout.splitlines()
    assert lines[0].endswith(" on ward: 48 radiographs of 40 patients; asked: pneumonia")
    assert any(line.startswith("AUC ") for line in lines)
    assert "Whether the model was trained on some of them is unknown" in done.stdout
    options[options.index("Diagnosis")] = "Diagnose"
    message = refused(run(tmp_path, *command, "--images", str(judged.parent / "ward"), *options, check=False))
    assert message.endswith("(it has: File, Diagnosis, MRN, Sex, Age, View); correct --label")
    message = refused(run(tmp_path, *command, check=False))
    assert "name a table, and its radiographs with --images FOLDER --image COLUMN --label COLUMN" in message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"external": ["pneumonia"]},
            "'pneumonia' is among `datasets`, which models are trained on, and among",
        ),
        ({"external": ["wards"]}, "unknown dataset 'wards' (allowed: pneumonia, tuberculosis,"),
    ],
)
def test_wrong_settings_are_refused(project, changes, message):
    change_settings(project / "params.yaml", **changes)
    assert message in refused(stage(project, "sources", check=False))
