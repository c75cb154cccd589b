"""Ensembles of seeds: one more row of the metrics, and one file that predict, the app and the exports read."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import change_settings, run, stages, toy_project
from scipy.special import expit, softmax

from chest_transfer.data.arrays import open_arrays
from chest_transfer.data.predictions import read_predictions
from chest_transfer.errors import ChestTransferError
from chest_transfer.evaluation.averaging import logits_of_mean
from chest_transfer.evaluation.best_model import best_on_validation, file_name
from chest_transfer.evaluation.operating_points import calibrated_probabilities
from chest_transfer.model_names import ModelName, ensembles
from chest_transfer.reporting.answers import gain_sentence
from chest_transfer.serving.collection import collect_models, describe_models
from chest_transfer.serving.models import fits_of_name, model_file
from chest_transfer.serving.predictor import Predictor

SEEDS = (1, 2)


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A toy experiment with two seeds of a probe, which is not good at anything, up to its best model."""
    folder = toy_project(tmp_path_factory.mktemp("ensemble"))
    change_settings(folder / "params.yaml", seeds=list(SEEDS), weights=["none"], train__weights=["none"])
    of_fits = [
        words for seed in SEEDS
        for words in (f"embed pneumonia cnn none {seed}", f"probe pneumonia cnn none {seed} all",
                      f"train pneumonia cnn none {seed} all")
    ]  # fmt: skip
    words = (
        "download pneumonia", "preprocess pneumonia", "profile pneumonia", "shortcuts pneumonia", "explore pneumonia",
        "overlap",
        "pretrained cnn none", *of_fits, "evaluate pneumonia", "best pneumonia",
    )  # fmt: skip
    stages(folder, *(command.split() for command in words))
    return folder


class TestMean:
    def test_it_is_that_of_the_probabilities(self):
        logits = np.random.default_rng(0).normal(scale=3, size=(3, 20, 4))
        assert softmax(logits_of_mean(logits, False), axis=1) == pytest.approx(softmax(logits, axis=2).mean(axis=0))
        assert expit(logits_of_mean(logits, True)) == pytest.approx(expit(logits).mean(axis=0))

    @pytest.mark.parametrize("multi_label", [True, False])
    def test_the_order_of_certain_predictions_is_kept_where_probabilities_round_to_1(self, multi_label):
        certain = np.linspace(60, 80, 5)[:, np.newaxis] * [-1, 1]
        assert len(np.unique(expit(certain[:, 1]))) == 1
        logits = logits_of_mean(np.stack([certain, certain]), multi_label)
        assert (np.diff(logits[:, 1] - logits[:, 0]) > 0).all()

    def test_of_equal_models_it_is_theirs(self):
        logits = np.array([[0.2, -1.0, 3.0]])
        assert logits_of_mean(np.stack([logits] * 3), True) == pytest.approx(logits)


def test_the_ensemble_is_a_row_of_the_metrics_with_its_gain_over_the_mean_of_its_members(study):
    detail, gain = (
        json.loads((study / "metrics" / path / "pneumonia.json").read_text())["train"] for path in ("detail", "gain")
    )
    assert set(detail) == {"none", "none-ensemble"}
    assert list(detail["none-ensemble"]["fits"]) == ["ensemble-all"]
    assert detail["none-ensemble"]["temperature"] > 0  # calibrated as a whole; a mean over seeds has no temperature
    assert "temperature" not in detail["none"]
    assert gain["none-ensemble"]["against"] == "train-none"
    assert gain["none-ensemble"]["auc"] == pytest.approx(
        detail["none-ensemble"]["auc"] - detail["none"]["auc"], abs=2e-6
    )


@pytest.mark.parametrize(
    ("bounds", "fit", "verdict"),
    [
        ((0.01, 0.03), "ok", "ImageNet: averaging the networks of all seeds helped. Test AUC 0.920 against 0.900 of a "
         "single one on average (+0.020, 95 % interval +0.010 to +0.030, over patients)."),
        ((-0.01, 0.03), "ok", "no gain from averaging the networks of all seeds can be claimed."),
        ((0.01, 0.03), "constant", "can be claimed, because a fit failed (whole network, ImageNet)."),
    ],
)  # fmt: skip
def test_what_is_said_of_its_gain(bounds, fit, verdict):
    scores = {"train-imagenet-ensemble": {"auc": 0.92, "fit": fit}, "train-imagenet": {"auc": 0.9, "fit": fit}}
    gain = {"auc": 0.02, "auc_low": bounds[0], "auc_high": bounds[1], "against": "train-imagenet"}
    assert verdict in gain_sentence("covid", scores, "train", "imagenet-ensemble", gain)


def test_one_seed_has_no_ensemble():
    names = [ModelName("covid", "cnn", "train", "none", 1, patients) for patients in (50, None)]
    assert ensembles(names) == {}
    of_two = [*names, ModelName("covid", "cnn", "train", "none", 2)]
    [(name, members)] = ensembles(of_two).items()
    assert (str(name), [member.seed for member in members]) == ("covid/cnn/train-none-ensemble-all", [1, 2])
    assert ModelName.parse(str(name)) == name


@pytest.fixture(scope="module")
def predictor(study) -> Predictor:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(study)
        patch.setenv("XDG_CACHE_HOME", str(study / "cache"))
        (study / "dvc.lock").write_text(lock_of(study))
        return Predictor(model_file("pneumonia/train-none-ensemble"))


def lock_of(folder: Path) -> str:
    """A dvc.lock that lists the networks of a folder, as `fits_of_name` reads it."""
    outs = [
        {"path": path.relative_to(folder).as_posix(), "md5": "0" * 32}
        for path in sorted(folder.glob("models/*/*/*.keras"))
    ]
    return json.dumps({"schema": "2.0", "stages": {"train": {"cmd": "python", "outs": outs}}})


def test_its_file_gives_the_probabilities_that_were_evaluated(study, predictor):
    test = open_arrays(study / "data/arrays/pneumonia/test.npz")
    names = [ModelName("pneumonia", "cnn", "train", "none", seed) for seed in SEEDS]
    members = [read_predictions(study / name.predictions_of("test")) for name in names]
    expected = logits_of_mean(np.stack([of.logits for of in members]), False)
    assert predictor.facts.ensemble_seeds == list(SEEDS)
    assert predictor.logits(test) == pytest.approx(expected, abs=1e-4)
    calibrated = calibrated_probabilities(expected, predictor.facts.temperature, False)
    found = [probabilities for probabilities, *_ in predictor.predict_images(test.images[:8])]
    assert np.array(found) == pytest.approx(calibrated[:8], abs=1e-5)
    mean = softmax([of.logits for of in members], axis=2).mean(axis=0)[:8]
    assert predictor.network.predict(test.images[:8, ..., None], verbose=0) == pytest.approx(mean, abs=1e-5)


@pytest.mark.parametrize("form", ["tflite", "onnx"])
def test_it_is_exported_as_one_network(study, predictor, tmp_path, form):
    words = "export", str(predictor.path), "--to", form, "--out", str(tmp_path / "ensemble")
    assert "differ from the model's by" in run(study, "chest-transfer", *words).stdout


def test_predict_and_its_heat_maps_read_it(study, predictor, tmp_path):
    words = "predict", str(predictor.path), "data/raw/pneumonia.zip", "--csv", "--heatmap", str(tmp_path / "maps")
    table = run(study, "chest-transfer", *words).stdout.splitlines()
    assert len(table) > 20
    assert len(list((tmp_path / "maps").rglob("*.png"))) == len(table) - 1


def test_the_app_says_that_it_takes_as_many_times_as_long_and_knows_its_scores(study, predictor, monkeypatch):
    monkeypatch.chdir(study)
    (study / "dvc.lock").unlink(missing_ok=True)
    [description] = describe_models(collect_models([str(predictor.path)]))
    assert description["training"].endswith("the mean of 2 networks, which takes as many times as long")
    detail = json.loads((study / "metrics/detail/pneumonia.json").read_text())["train"]["none-ensemble"]
    assert description["auc"][0] == detail["auc"]


def test_it_may_be_the_best_on_validation():
    fits = {"seed1-all": {"validation_auc": 0.8}, "seed2-all": {"validation_auc": 0.7}}
    detail = {"train": {"none": {"fits": fits}, "none-ensemble": {"fits": {"ensemble-all": {"validation_auc": 0.9}}}}}
    assert best_on_validation(detail) == ("train", "none-ensemble", "ensemble-all")
    assert file_name(*best_on_validation(detail)) == "train-none-ensemble-all"


KNOWN = [f"train-none-seed{seed}-{patients}" for seed in (1, 2, 3) for patients in (50, "all")]


@pytest.mark.parametrize(
    ("settings", "name", "fits"),
    [
        ("seeds: [2, 1]\npatients: [50, all]", "covid/train-none-ensemble", ["seed2-all", "seed1-all"]),
        ("seeds: [2, 1]\npatients: [50, all]", "covid/cnn/train-none-ensemble-50", ["seed2-50", "seed1-50"]),
        ("seeds: [1, 2]\npatients: [50]", "covid/train-none-ensemble", ["seed1-50", "seed2-50"]),  # all: an older one
        ("seeds: [1, 2]\npatients: [50]", "covid/train-none-ensemble-all", "unknown ensemble .*train-none-ensemble"),
        ("seeds: [1, 4]\npatients: [all]", "covid/train-none-ensemble", "lacks its network of seed 4; run: dvc repro"),
        (
            "seeds: [1]\npatients: [all]",
            "covid/train-none-ensemble",
            "the settings name 1; run: dvc exp run -S",
        ),
        ("seeds: [1, 2]\npatients: [all]", "covid/probe-none-ensemble", "did you mean 'covid/cnn/train-none-ensemble'"),
    ],
)
def test_its_name_means_the_fits_of_all_seeds_in_the_settings(tmp_path, monkeypatch, settings, name, fits):
    (tmp_path / "params.yaml").write_text(f"model: cnn\n{settings}\n")
    monkeypatch.chdir(tmp_path)
    outputs = {f"models/covid/cnn/{fit}.keras": "0" * 32 for fit in KNOWN}
    if isinstance(fits, str):
        with pytest.raises(ChestTransferError, match=fits):
            fits_of_name(name, outputs, None)
    else:
        assert [fit.fit for fit in fits_of_name(name, outputs, None)[1]] == fits
