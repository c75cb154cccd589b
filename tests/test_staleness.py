"""Metrics belong to their settings, as dvc.lock has it: whatever is changed without `dvc repro` makes them stale."""

import copy
import hashlib
import json
import re

import pytest
from conftest import ROOT

from chest_transfer.lockfile import folder_md5, output_md5, read_lock
from chest_transfer.reporting.staleness import why_stale
from chest_transfer.yaml_files import read_yaml

LOCK, PARAMS = read_lock(ROOT), read_yaml(ROOT / "params.yaml")


def stale(lock: dict, params: dict, dataset: str, metrics: bytes | None) -> str:
    md5 = None if metrics is None else hashlib.md5(metrics, usedforsecurity=False).hexdigest()
    return why_stale(lock, params, f"evaluate@{dataset}", {f"metrics/{dataset}.json": md5})


METRICS = (ROOT / "metrics/pneumonia.json").read_bytes()


@pytest.mark.parametrize("dataset", PARAMS["datasets"])
def test_the_metrics_of_the_project_belong_to_its_settings(dataset):
    assert stale(LOCK, PARAMS, dataset, (ROOT / f"metrics/{dataset}.json").read_bytes()) == ""


@pytest.mark.parametrize("stage", ["evaluate@pneumonia", "explain@pneumonia-cnn", "explore@tuberculosis", "overlap"])
def test_whatever_a_report_shows_belongs_to_the_settings(stage):
    tracked = {out["path"]: ROOT / out["path"] for out in LOCK["stages"][stage]["outs"]}
    files = {path: output_md5(file) for path, file in tracked.items() if file.exists()}
    assert why_stale(LOCK, PARAMS, stage, files) == ""
    for path in files:
        assert why_stale(LOCK, PARAMS, stage, files | {path: "0" * 32}) == f"{path} is not what {stage} wrote"


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
        ("model", "resnet99", "evaluate@pneumonia ran with another value of model"),
        ("weights", ["none", "phantom", "imagenet"], "evaluate@pneumonia ran with another value of weights"),
        ("train.weights", ["none"], "evaluate@pneumonia ran with another value of train.weights"),
        ("train.epochs", 21, "train@pneumonia-cnn-(none|phantom)-1-all ran with another value of train.epochs"),
        ("train.augmentation.rotation", 11, "ran with another value of train.augmentation.rotation"),
        ("probe.head", "linear", "probe@pneumonia-cnn-(none|phantom)-1-all ran with another value of probe.head"),
        ("image_size", 64, "ran with another value of image_size"),
        ("preprocess.fit", "pad", "preprocess@pneumonia ran with another value of preprocess.fit"),
        ("phantom.patients", 400, "ran with another value of phantom.patients"),
        ("source", "kaggle", "sources ran with another value of source"),
        ("evaluate.rounds", 999, "evaluate@pneumonia ran with another value of evaluate.rounds"),
        ("pretrain.epochs", 1, "pretrained@cnn-(none|phantom) ran with another value of pretrain.epochs"),
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

    def wrote_other_predictions(entry):
        out = next(out for out in entry["outs"] if out["path"].startswith("data/predictions"))
        out |= {"md5": "0" * 32 + ".dir", "size": out["size"] + 10}

    read = "read another version of"
    for stage, change, reason in (
        ("preprocess@pneumonia", read_another_archive, f"preprocess@pneumonia {read} data/raw/pneumonia.zip"),
        ("pretrained@cnn-phantom", wrote_another_file, f"{read} models/pretrained/cnn/phantom.keras"),
        (
            "train@pneumonia-cnn-none-1-all",
            wrote_other_predictions,
            f"evaluate@pneumonia {read} data/predictions/pneumonia/cnn",
        ),
    ):
        assert reason in stale(locked(stage, change), PARAMS, "pneumonia", METRICS)


def test_a_file_in_a_folder_is_compared_where_the_cache_has_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    [folder] = LOCK["stages"]["preprocess@pneumonia"]["outs"]
    train = next(
        dep for dep in LOCK["stages"]["train@pneumonia-cnn-none-1-all"]["deps"] if dep["path"].endswith("/train.npz")
    )
    others = [dep for stage in LOCK["stages"].values() for dep in stage.get("deps", [])
              if dep["path"].startswith(folder["path"] + "/")]  # fmt: skip
    listing = [{"md5": dep["md5"], "relpath": dep["path"].removeprefix(folder["path"] + "/")} for dep in others]
    cached = tmp_path / ".dvc/cache/files/md5" / folder["md5"][:2] / folder["md5"][2:]
    cached.parent.mkdir(parents=True)
    cached.write_text(json.dumps(listing))
    assert stale(LOCK, PARAMS, "pneumonia", METRICS) == ""
    cached.write_text(json.dumps(listing).replace(train["md5"], "0" * 32))
    assert "read another version of data/arrays/pneumonia/train.npz" in stale(LOCK, PARAMS, "pneumonia", METRICS)


def test_metrics_that_were_edited_or_never_computed_are_stale():
    assert "is not what evaluate@pneumonia wrote" in stale(LOCK, PARAMS, "pneumonia", METRICS + b" ")
    assert stale(LOCK, PARAMS, "pneumonia", None) == "evaluate@pneumonia has not been run"
    assert stale(LOCK, PARAMS, "covid", b"{}") == "evaluate@covid has not been run"
    assert stale({"schema": "2.0", "stages": {}}, PARAMS, "pneumonia", METRICS).endswith("has not been run")


def test_leftovers_of_other_experiments_do_not_make_results_stale():
    """dvc.lock keeps the stages of every experiment: other datasets, other models, stages of an older name."""
    fewer = changed(PARAMS, "datasets", ["pneumonia"])
    entry = copy.deepcopy(LOCK["stages"]["overlap"])
    [fingerprints] = [dep for dep in entry["deps"] if dep["path"] == "data/fingerprints"]
    profile = next(out for out in LOCK["stages"]["profile@pneumonia"]["outs"] if "fingerprints" in out["path"])
    fingerprints |= {"md5": folder_md5({"pneumonia.npz": profile["md5"]}), "size": profile["size"], "nfiles": 1}
    entry["params"]["params.yaml"]["datasets"] = ["pneumonia"]
    lock = {"stages": LOCK["stages"] | {"overlap": entry}}
    assert why_stale(lock, fewer, "overlap", {}) == ""
    covid = {"outs": [{"path": "data/fingerprints/covid.npz", "md5": "0" * 32, "size": 9}]}
    assert why_stale({"stages": LOCK["stages"] | {"profile@covid": covid}}, PARAMS, "overlap", {}) == ""
    renamed = copy.deepcopy(LOCK["stages"]["train@pneumonia-cnn-none-1-all"])
    for out in renamed["outs"]:
        out |= {"md5": "0" * 32, "size": 1}
    stages = LOCK["stages"] | {"train_whole@pneumonia-cnn-none": renamed}
    assert stale({"stages": stages}, PARAMS, "pneumonia", METRICS) == ""


def test_a_hash_of_the_same_size_is_noticed():
    lock = locked("profile@pneumonia", lambda entry: entry["outs"][0].update(md5="0" * 32))
    assert why_stale(lock, PARAMS, "overlap", {}) == "overlap read another version of data/fingerprints"


def test_a_model_that_was_applied_as_it_is_has_no_network():
    params = changed(PARAMS, "transfer.sources", ["tuberculosis"])
    lock = locked(
        "explain@pneumonia-cnn",
        lambda entry: entry["params"]["params.yaml"].update({"transfer.sources": ["tuberculosis"]}),
    )
    assert (
        why_stale(lock, params, "explain@pneumonia-cnn", {}) == "there is no as_is-tuberculosis-seed1-all in dvc.lock"
    )
    as_is = {
        "outs": [{"path": "data/predictions/pneumonia/cnn/as_is-tuberculosis-seed1-all", "md5": "0" * 32 + ".dir"}]
    }
    lock["stages"]["as_is@pneumonia-cnn-tuberculosis-1"] = as_is
    adapted = {
        "outs": [
            {"path": f"{folder}/pneumonia/cnn/adapted-tuberculosis-seed1-all{ending}", "md5": "0" * 32}
            for folder, ending in (("data/predictions", ""), ("models", ".keras"))
        ]
    }
    lock["stages"]["adapted@pneumonia-cnn-tuberculosis-1"] = adapted
    assert (
        why_stale(lock, params, "explain@pneumonia-cnn", {})
        == "there is no transfer-tuberculosis-seed1-all in dvc.lock"
    )


@pytest.mark.parametrize("at_the_start", [True, False])
def test_a_stage_that_was_renamed_and_wrote_the_same_bytes_is_no_problem(at_the_start):
    old = copy.deepcopy(LOCK["stages"]["train@pneumonia-cnn-none-1-all"])
    old["params"]["params.yaml"]["train.epochs"] = 7
    leftover, stages = {"fit@pneumonia-cnn-none": old}, LOCK["stages"]
    lock = {"stages": leftover | stages if at_the_start else stages | leftover}
    assert stale(lock, PARAMS, "pneumonia", METRICS) == ""


def test_a_model_of_an_earlier_experiment_does_not_make_the_best_stale():
    folder = "data/predictions/pneumonia/cnn/finetune-phantom-seed1-all"
    finetune = {"outs": [{"path": folder, "md5": "0" * 32 + ".dir", "size": 9, "nfiles": 4}]}
    lock = {"stages": LOCK["stages"] | {"finetune@pneumonia-cnn-phantom-1-all": finetune}}
    assert why_stale(lock, PARAMS, "best@pneumonia", {}) == ""


def test_a_stage_that_was_never_run_is_noticed():
    stages = {name: entry for name, entry in LOCK["stages"].items() if not name.startswith("download@")}
    reason = stale({"stages": stages}, PARAMS, "pneumonia", METRICS)
    assert reason == "the stage that writes data/raw/pneumonia.zip has not been run"


def test_a_stage_that_reads_all_starting_networks_is_current():
    # As representations@D-M does: of a folder into which each stage `pretrained@M-W` writes a file.
    lock, folder = copy.deepcopy(LOCK), f"models/pretrained/{PARAMS['model']}"
    outs = [out for stage in LOCK["stages"].values() for out in stage.get("outs", []) if out["path"].startswith(folder)]
    parts = [{"md5": out["md5"], "relpath": out["path"].rsplit("/", 1)[-1]} for out in outs]
    lines = json.dumps(sorted(parts, key=lambda part: part["relpath"]), sort_keys=True).encode()
    md5 = hashlib.md5(lines, usedforsecurity=False).hexdigest() + ".dir"
    blocks = {"path": "metrics/representations/pneumonia/blocks.csv", "md5": "1" * 32}
    deps = [{"path": folder, "md5": md5, "size": sum(out["size"] for out in outs), "nfiles": len(outs)}]
    lock["stages"]["representations@pneumonia-cnn"] = {"cmd": "python", "deps": deps, "outs": [blocks]}
    assert why_stale(lock, PARAMS, "representations@pneumonia-cnn", {blocks["path"]: blocks["md5"]}) == ""
    params = PARAMS | {"weights": ["none", "imagenet"]}
    reason = why_stale(lock, params, "representations@pneumonia-cnn", {blocks["path"]: blocks["md5"]})
    assert reason == "there is no imagenet in dvc.lock"


def test_keys_that_are_numbers_are_those_of_json():
    def with_folders(entry):
        entry["params"]["params.yaml"]["preprocess"]["folders"] = {0: "NORMAL"}

    lock = locked("preprocess@pneumonia", with_folders)
    with_folders(lock["stages"]["sources"])
    with_text = changed(PARAMS, "preprocess.folders", {"0": "NORMAL"})
    assert stale(lock, with_text, "pneumonia", METRICS) == ""
    assert "another value of preprocess.folders" in stale(lock, PARAMS, "pneumonia", METRICS)


def test_a_key_that_is_empty_is_a_difference():
    def with_alpha(entry):
        entry["params"]["params.yaml"]["architectures.cnn"]["alpha"] = None

    lock = locked("pretrained@cnn-none", with_alpha)
    assert "ran with another value of architectures.cnn" in stale(lock, PARAMS, "pneumonia", METRICS)


def test_the_hash_of_a_folder_is_that_of_dvc(tmp_path):
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.meta import Meta
    from dvc_data.hashfile.tree import Tree

    (tmp_path / "b/c").mkdir(parents=True)
    (tmp_path / "b/c/1.txt").write_text("one")
    (tmp_path / "a.txt").write_text("two")
    tree = Tree()
    for name in ("b/c/1.txt", "a.txt"):
        tree.add(tuple(name.split("/")), Meta(), HashInfo("md5", output_md5(tmp_path / name)))
    tree.digest()
    assert output_md5(tmp_path) == tree.hash_info.value
    assert output_md5(tmp_path / "nothing") is None
