"""Metrics belong to their settings, as dvc.lock has it: whatever is changed without `dvc repro` makes them stale."""

import copy
import json
import re

import pytest
from conftest import ROOT

from chest_transfer.lockfile import read_lock
from chest_transfer.reporting.staleness import why_stale
from chest_transfer.yaml_files import read_yaml

LOCK, PARAMS = read_lock(ROOT), read_yaml(ROOT / "params.yaml")


def stale(lock: dict, params: dict, dataset: str, metrics: bytes | None) -> str:
    return why_stale(lock, params, f"evaluate@{dataset}", {f"metrics/{dataset}.json": metrics})


METRICS = (ROOT / "metrics/pneumonia.json").read_bytes()


@pytest.mark.parametrize("dataset", PARAMS["datasets"])
def test_the_metrics_of_the_project_belong_to_its_settings(dataset):
    assert stale(LOCK, PARAMS, dataset, (ROOT / f"metrics/{dataset}.json").read_bytes()) == ""


@pytest.mark.parametrize("stage", ["evaluate@pneumonia", "explain@pneumonia-cnn", "explore@tuberculosis", "overlap"])
def test_whatever_a_report_shows_belongs_to_the_settings(stage):
    tracked = {out["path"]: ROOT / out["path"] for out in LOCK["stages"][stage]["outs"]}
    files = {path: file.read_bytes() for path, file in tracked.items() if file.is_file()}
    assert why_stale(LOCK, PARAMS, stage, files) == ""
    for path in files:
        assert why_stale(LOCK, PARAMS, stage, files | {path: b"{}"}) == f"{path} is not what {stage} wrote"


def changed(content: dict, key: str, value) -> dict:
    result = copy.deepcopy(content)
    *parents, last = key.split(".")
    section = result
    for parent in parents:
        section = section[parent]
    section[last] = value
    return result


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("model", "resnet99", "evaluate@pneumonia ran with a different model"),
        ("weights", ["none", "phantom", "imagenet"], "probe-imagenet has not been run"),
        ("train.weights", ["none"], "evaluate@pneumonia ran with a different train.weights"),
        ("train.epochs", 21, "train@pneumonia-cnn-(none|phantom) ran with a different train.epochs"),
        ("train.augmentation.rotation", 11, "ran with a different train.augmentation.rotation"),
        ("probe.head", "linear", "probe@pneumonia-cnn-(none|phantom) ran with a different probe.head"),
        ("image_size", 64, "ran with a different image_size"),
        ("preprocess.fit", "pad", "preprocess@pneumonia ran with a different preprocess.fit"),
        ("phantom.patients", 400, "ran with a different phantom.patients"),
        ("source", "kaggle", "download@pneumonia ran with a different source"),
        ("evaluate.rounds", 999, "evaluate@pneumonia ran with a different evaluate.rounds"),
        ("pretrain.epochs", 1, "pretrained@cnn-(none|phantom) ran with a different pretrain.epochs"),
    ],
)
def test_another_setting_makes_them_stale(key, value, reason):
    assert re.search(reason, stale(LOCK, changed(PARAMS, key, value), "pneumonia", METRICS))


@pytest.mark.parametrize(
    ("key", "value"),
    [("finetune.epochs", 99), ("explain.images", 9), ("transfer.epochs", 3), ("datasets", ["pneumonia"])],
)
def test_a_setting_of_a_stage_that_is_not_behind_them_does_not(key, value):
    assert stale(LOCK, changed(PARAMS, key, value), "pneumonia", METRICS) == ""


def locked(stage: str, change) -> dict:
    result = copy.deepcopy(LOCK)
    change(result["stages"][stage])
    return result


def test_a_stage_that_ran_alone_makes_those_after_it_stale():
    def read_another_archive(entry):
        next(dep for dep in entry["deps"] if dep["path"].startswith("data/raw"))["md5"] = "0" * 32

    def wrote_another_file(entry):
        entry["outs"][0]["md5"] = "0" * 32

    def wrote_more_predictions(entry):
        next(out for out in entry["outs"] if out["path"].startswith("data/predictions"))["size"] += 10

    for stage, change, reason in (
        ("preprocess@pneumonia", read_another_archive, "data/raw/pneumonia.zip changed after preprocess@pneumonia"),
        ("pretrained@cnn-phantom", wrote_another_file, "models/pretrained/cnn/phantom.keras changed after"),
        ("train@pneumonia-cnn-none", wrote_more_predictions, "data/predictions/pneumonia/cnn changed after evaluate"),
    ):
        assert reason in stale(locked(stage, change), PARAMS, "pneumonia", METRICS)


def test_a_file_in_a_folder_is_compared_where_the_cache_has_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    [folder] = LOCK["stages"]["preprocess@pneumonia"]["outs"]
    train = next(
        dep for dep in LOCK["stages"]["train@pneumonia-cnn-none"]["deps"] if dep["path"].endswith("/train.npz")
    )
    others = [dep for stage in LOCK["stages"].values() for dep in stage.get("deps", [])
              if dep["path"].startswith(folder["path"] + "/")]  # fmt: skip
    listing = [{"md5": dep["md5"], "relpath": dep["path"].removeprefix(folder["path"] + "/")} for dep in others]
    cached = tmp_path / ".dvc/cache/files/md5" / folder["md5"][:2] / folder["md5"][2:]
    cached.parent.mkdir(parents=True)
    cached.write_text(json.dumps(listing))
    assert stale(LOCK, PARAMS, "pneumonia", METRICS) == ""
    cached.write_text(json.dumps(listing).replace(train["md5"], "0" * 32))
    assert "data/arrays/pneumonia/train.npz changed after" in stale(LOCK, PARAMS, "pneumonia", METRICS)


def test_metrics_that_were_edited_or_never_computed_are_stale():
    assert "is not what evaluate@pneumonia wrote" in stale(LOCK, PARAMS, "pneumonia", METRICS + b" ")
    assert stale(LOCK, PARAMS, "pneumonia", None) == "evaluate@pneumonia has not been run"
    assert stale(LOCK, PARAMS, "covid", b"{}") == "evaluate@covid has not been run"
    assert stale({"schema": "2.0", "stages": {}}, PARAMS, "pneumonia", METRICS).endswith("has not been run")
