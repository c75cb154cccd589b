"""Several training seeds: scores are means, intervals hold for other seeds too, and learning curves count patients."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from scipy.special import ndtri

from chest_transfer.data.predictions import Predictions
from chest_transfer.evaluation.intervals import PatientCounts, with_interval
from chest_transfer.evaluation.learning_curves import first_crossing, power_law_exponent
from chest_transfer.evaluation.seeds import mean_over_seeds
from chest_transfer.evaluation.summary import evaluate_dataset
from chest_transfer.model_names import ModelName
from chest_transfer.reporting.answers import gain_sentence, patients_saved
from chest_transfer.settings import read_settings

SETTINGS = read_settings(ROOT / "params.yaml").evaluate.model_copy(update={"rounds": 300})
COUNT, TRAINING_PATIENTS, SEEDS = 300, 1000, (1, 2, 3)
LABELS = (np.arange(COUNT) % 3 == 0).astype(int)
NAMES = np.array([f"test{n}" for n in range(COUNT)])
IMAGES = pd.DataFrame(
    {"split": ["test"] * COUNT + ["train"] * TRAINING_PATIENTS, "sex": ["F", "M"] * ((COUNT + TRAINING_PATIENTS) // 2),
     "patient": [*NAMES, *(f"train{n}" for n in range(TRAINING_PATIENTS))]},
    index=pd.Index([*NAMES, *(f"train{n}" for n in range(TRAINING_PATIENTS))], name="name"),
)  # fmt: skip
PATIENTS = np.random.default_rng(7).normal(size=COUNT)  # what is hard about each patient is so for every model


def write_fit(name: ModelName, area: float) -> None:
    """Write the predictions of a fit whose expected AUC is this."""
    rng = np.random.default_rng([name.seed, name.patients or 0, len(name.start)])
    score = np.sqrt(2) * ndtri(area) * LABELS + np.sqrt(0.7) * PATIENTS + np.sqrt(0.3) * rng.normal(size=COUNT)
    one_hot, logits = np.eye(2, dtype=int)[LABELS], np.stack([0 * score, score - 1], axis=1)
    classes = ["Normal", "COVID"]
    table = Predictions(NAMES, NAMES, one_hot, logits, classes, classes, np.zeros(COUNT, bool)).table()
    name.predictions.mkdir(parents=True)
    for split in ("val", "test"):
        table.to_csv(name.predictions_of(split), index=False)
    losses = [0.7, 0.6, 0.5] if name.start == "none" else [0.6, 0.45, 0.4]
    history = {"epoch": [1, 2, 3], "loss": losses, "cross_entropy": losses}
    history |= {"val_loss": losses, "val_cross_entropy": losses}
    pd.DataFrame(history).to_csv(name.predictions / "history.csv", index=False)


AREAS = {"none": {50: 0.7, 200: 0.75, None: 0.82}, "imagenet": {50: 0.79, 200: 0.86, None: 0.9}}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The metrics of two starts with three seeds and three numbers of patients; and of the first seed alone."""
    folder = tmp_path_factory.mktemp("study")
    names = [
        ModelName("covid", "cnn", "train", start, seed, patients)
        for start, areas in AREAS.items()
        for patients in areas
        for seed in SEEDS
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in names:
            write_fit(name, AREAS[name.start][name.patients] + 0.03 * (name.seed - 2))
        evaluate_dataset(names, IMAGES, SETTINGS, folder / "all")
        evaluate_dataset([name for name in names if name.seed == 2], IMAGES, SETTINGS, folder / "one")
    return folder


def metrics(study, which: str, path: str) -> dict:
    return json.loads((study / which / path).read_text())


def test_headline_scores_are_means_over_seeds_with_all_patients(study):
    detail = metrics(study, "all", "detail/covid.json")["train"]["none"]
    fits = {fit: record for fit, record in detail["fits"].items() if fit.endswith("all")}
    assert list(fits) == ["seed1-all", "seed2-all", "seed3-all"]
    assert list(detail["fits"]) == [f"seed{seed}-{patients}" for patients in (50, 200, "all") for seed in SEEDS]
    for score in ("auc", "sensitivity", "loss", "validation_auc"):
        assert detail[score] == pytest.approx(np.mean([record[score] for record in fits.values()]), abs=1e-6)
    assert "threshold" not in detail  # it belongs to a fit
    assert 0 < fits["seed1-all"]["threshold"] < 1
    assert metrics(study, "all", "covid.json")["covid"]["train"]["none"] == detail["auc"]


@pytest.mark.parametrize("score", ["auc", "average_precision", "balanced_accuracy"])
def test_an_interval_for_other_seeds_is_wider_than_one_for_other_patients(study, score):
    of_three, of_one = (metrics(study, which, "detail/covid.json")["train"]["none"] for which in ("all", "one"))
    width = {which: record[f"{score}_high"] - record[f"{score}_low"] for which, record in
             (("three", of_three), ("one", of_one))}  # fmt: skip
    assert of_three[f"{score}_low"] < of_three[score] < of_three[f"{score}_high"] <= 1
    assert width["three"] > width["one"]


def test_a_gain_with_seeds_is_that_of_the_reader_study(study):
    of_three, of_one = (metrics(study, which, "gain/covid.json")["train"]["imagenet"] for which in ("all", "one"))
    assert of_three["auc"] == pytest.approx(0.08, abs=0.04)
    assert of_three["auc_low"] > 0
    assert of_three["p"] < 0.05
    assert of_three["p_delong"] is None  # p is DeLong's already, with the seeds
    assert of_one["p_delong"] < 0.05


def test_a_gain_says_how_many_epochs_the_start_took_to_the_loss_of_the_control(study):
    gain = metrics(study, "all", "gain/covid.json")["train"]["imagenet"]
    assert (gain["epochs"], gain["control_epochs"]) == (2, 3)
    scores = {key: {"auc": 0.9} for key in ("train-none", "train-imagenet")}
    sentence = gain_sentence("covid", scores, "train", "imagenet", gain)
    assert sentence.endswith(" lowest validation loss after 3 epochs; this start reached it after 2 epochs.")
    never = gain_sentence("covid", scores, "train", "imagenet", gain | {"epochs": None, "control_epochs": 1.0})
    assert never.endswith(" after 1 epoch; this start reached it not with every seed, or not at all.")


def test_curves_pool_the_seeds_and_each_seed_has_its_training_curve(study):
    confusion = pd.read_csv(study / "all/plots/covid/confusion.csv")
    assert confusion[confusion["model"] == "train-none"]["images"].sum() == len(SEEDS) * COUNT
    history = set(pd.read_csv(study / "all/plots/covid/history.csv")["model"])
    assert history >= {"train-none seed 1 training", "train-none seed 3 validation"}
    assert set(pd.read_csv(study / "one/plots/covid/history.csv")["model"]) >= {"train-none training"}
    subgroups = pd.read_csv(study / "all/subgroups/covid.csv")
    assert set(subgroups["group"]) == {"F", "M"}


def test_learning_curves_say_how_many_patients_a_start_saves(study):
    learned = metrics(study, "all", "curves/covid.json")["train"]
    assert list(learned["none"]["points"]) == ["50", "200", "1000"]
    assert learned["none"]["exponent"] > 0
    assert "control_needs" not in learned["none"]
    gain = metrics(study, "all", "gain/covid.json")["train"]["imagenet"]
    assert learned["imagenet"]["gain"]["1000"] == {key: gain[key] for key in ("auc", "auc_low", "auc_high", "p")}
    assert learned["imagenet"]["gain"]["50"]["auc"] == pytest.approx(0.09, abs=0.03)
    needs = learned["imagenet"]["control_needs"]
    assert 50 <= needs["50"]["patients_low"] < needs["50"]["patients"] < 1000
    assert needs["1000"]["patients"] == needs["1000"]["patients_high"] == "> 1000"  # never reached
    table = pd.read_csv(study / "all/plots/covid/learning_curves.csv")
    assert table.groupby("model")["patients"].apply(list).to_dict() == {
        "train-none": [50, 200, 1000], "train-imagenet": [50, 200, 1000]
    }  # fmt: skip
    [sentence] = patients_saved("covid", {"train": learned})
    assert sentence.startswith("covid, the whole network trained: ImageNet saved patients. With 50 training patients ")
    assert f"random weights needed about {needs['50']['patients']} for that (95 % interval " in sentence


def test_with_one_number_of_patients_there_are_no_learning_curves(study, tmp_path, monkeypatch):
    monkeypatch.chdir(study)
    evaluate_dataset([ModelName("covid", "cnn", "train", "none", seed) for seed in SEEDS], IMAGES, SETTINGS, tmp_path)
    assert json.loads((tmp_path / "curves/covid.json").read_text()) == {}
    assert pd.read_csv(tmp_path / "plots/covid/learning_curves.csv").empty


def curves(needs: dict, fit: str = "ok", of_control: str = "ok") -> dict[str, dict]:
    """What `metrics/curves/D.json` says of ImageNet and random weights with 50 and 1,000 patients."""
    points, of_none = ({str(n): {"auc": 0.8, "fit": verdict} for n in (50, 1000)} for verdict in (fit, of_control))
    imagenet = {"points": points, "against": "train-none", "control_needs": {"50": needs}}
    return {"train": {"none": {"points": of_none}, "imagenet": imagenet}}


NEEDS = {"patients": 400, "patients_low": 120, "patients_high": "> 1000"}


@pytest.mark.parametrize(
    ("content", "verdict", "numbers"),
    [
        (curves(NEEDS), "ImageNet saved patients.", "about 400 for that (95 % interval about 120 to more than 1,000)."),
        (
            curves(dict.fromkeys(NEEDS, "> 1000")), "ImageNet saved patients.",
            "needed more than 1,000 for that.",
        ),
        (
            curves(NEEDS | {"patients_low": 50}), "that ImageNet saved patients cannot be claimed.",
            "(95 % interval 50 or fewer to more than 1,000).",
        ),
        (curves(NEEDS, fit="failed"), "cannot be claimed, because some of its fits failed.", "needed about 400"),
        (curves(NEEDS, of_control="failed"), "cannot be claimed, because some of the control's fits failed.", "0.800"),
        (
            curves(dict.fromkeys(NEEDS)), "fewer than 5 ill or healthy test patients do not tell whether ImageNet",
            "needed an unknown number for that.",
        ),
    ],
)  # fmt: skip
def test_what_is_said_of_saved_patients(content, verdict, numbers):
    [sentence] = patients_saved("covid", content)
    assert verdict in sentence
    assert numbers in sentence


def test_a_start_that_equals_the_control_saves_no_patient(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [
        ModelName("covid", "cnn", "train", start, seed, patients)
        for start in ("none", "imagenet")
        for patients in AREAS["none"]
        for seed in SEEDS
    ]
    for name in names:
        of_control = ModelName("covid", "cnn", "train", "none", name.seed, name.patients)
        shutil.copytree(study / of_control.predictions, name.predictions)
    evaluate_dataset(names, IMAGES, SETTINGS, tmp_path / "m")
    found = json.loads((tmp_path / "m/curves/covid.json").read_text())["train"]["imagenet"]["control_needs"]
    assert {number: needs["patients"] for number, needs in found.items()} == {"50": 50, "200": 200, "1000": 1000}
    assert all(needs["patients_low"] <= int(number) for number, needs in found.items())


@pytest.mark.parametrize(
    ("y", "expected"),
    [([0.2, 0.1, -0.1], 2.5), ([0.0, 1, 1], 1.0), ([0.3, 0.2, 0.1], np.inf), ([0.3, np.nan, -1], np.nan)],
)
def test_the_first_crossing_is_on_a_straight_line_between_the_points(y, expected):
    assert first_crossing(np.array([1.0, 2, 3]), np.array(y)) == pytest.approx(expected, nan_ok=True)


def test_a_power_law_is_found_again():
    patients = np.array([50, 200, 800])
    assert power_law_exponent(patients, 1 - 2 * patients**-0.5) == pytest.approx(0.5)


def test_the_mean_of_one_seed_is_its_score_and_perfect_seeds_have_an_interval():
    resampled, counts = np.linspace(0.7, 0.9, 100), PatientCounts(40, 60, 100)
    assert mean_over_seeds("f1", [0.8], [resampled], counts) == with_interval("f1", 0.8, resampled, counts)
    perfect = mean_over_seeds("auc", [1.0, 1.0], [np.ones(100), np.ones(100)], counts)
    assert perfect["auc"] == perfect["auc_high"] == 1
    assert 0.9 < perfect["auc_low"] < 1
    too_few = mean_over_seeds("auc", [0.8, 0.9], [resampled, resampled], PatientCounts(4, 60, 64))
    assert too_few == {"auc": 0.85, "auc_low": None, "auc_high": None}


def test_seeds_whose_fit_failed_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [ModelName("covid", "cnn", "train", "none", seed) for seed in SEEDS]
    for name in names:
        write_fit(name, 0.9)
    for name in names[1:]:
        table = pd.read_csv(name.predictions_of("val"))
        table[["logit:Normal", "logit:COVID"]] = [0.0, 1.0]
        table.to_csv(name.predictions_of("val"), index=False)
    evaluate_dataset(names, IMAGES, SETTINGS, tmp_path / "m")
    fit = json.loads((tmp_path / "m/detail/covid.json").read_text())["train"]["none"]["fit"]
    assert fit == "the predictions are constant (seed 2, 3)"
