"""One's own radiographs through the whole graph, and what runs again when they change."""

import json
import re
import shutil
import time

import numpy as np
import pandas as pd
import pytest
from conftest import TOY, all_recorded, change_settings, commit, grey, make_zip, refused, run, stage, toy_repository
from ward import write_ward

from chest_transfer.data.arrays import UNKNOWN, open_arrays
from chest_transfer.yaml_files import read_yaml

OWN = {
    "images": "../ward", "table": "../ward.csv", "image": "file", "label": "diagnosis", "patient": "mrn", "sex": "sex",
    "age": "age", "view": "view", "classes": {"Normal": [], "Pneumonia": ["pneumonia"]},
}  # fmt: skip
SETTINGS = TOY | {"datasets": ["ward"], "train__weights": [], "probe__epochs": 1, "transfer__target": "ward"}


def save(table: pd.DataFrame, path) -> None:
    path.write_bytes(table.to_csv(index=False, sep=";", lineterminator="\r\n").encode("cp1252"))


def ran(output: str) -> set[str]:
    return set(re.findall(r"Running stage '([\w-]+)", output))


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository whose experiment on a made-up ward has been run; the ward lies beside it."""
    folder = tmp_path_factory.mktemp("hospital")
    save(write_ward(folder / "ward", 40), folder / "ward.csv")
    repository = toy_repository(folder, **SETTINGS, own={"ward": OWN})
    all_recorded(repository)
    commit(repository, "Our ward")
    return repository


def test_it_is_a_dataset_like_any_other(repository):
    metrics = json.loads((repository / "metrics/detail/ward.json").read_text())
    assert metrics["probe"]["none"]["fit"]
    images = pd.read_csv(repository / "data/arrays/ward/images.csv")
    assert set(images["labels"]) == {"Normal", "Pneumonia"}
    assert images["patient"].nunique() == 40
    assert (repository / "data/pictures/ward/samples.png").exists()
    assert (repository / "models/best/ward.keras").exists()
    assert set(pd.read_csv(repository / "metrics/subgroups/ward.csv")["attribute"]) <= {"sex", "age", "view"}


def test_nothing_that_git_keeps_names_a_file_or_a_patient(repository):
    kept = run(repository, "git", "grep", "-I", "-l", "-e", "MRN", "-e", "2024-01-01", check=False).stdout.split()
    assert kept == []


def test_nothing_runs_again_where_nothing_changed(repository):
    for image in (repository.parent / "ward").rglob("*.png"):
        image.touch()
    assert ran(run(repository, "dvc", "repro").stdout) == {"sources"}


def test_a_moved_folder_changes_nothing_but_the_report(repository):
    shutil.copytree(repository.parent / "ward", repository.parent / "elsewhere")
    settings = (repository / "params.yaml").read_text()
    change_settings(repository / "params.yaml", own={"ward": OWN | {"images": "../elsewhere"}})
    output = run(repository, "dvc", "repro").stdout
    (repository / "params.yaml").write_text(settings)
    assert ran(output) == {"code", "sources", "report"}  # the report shows params.yaml


def test_another_dataset_judges_its_models_and_trains_nothing(repository):
    settings = (repository / "params.yaml").read_text()
    ran_stages = ran(run(repository, "dvc", "exp", "run", "-S", "external=[covid]").stdout)
    shown = json.loads(run(repository, "dvc", "metrics", "show", "--json").stdout)
    page = (repository / "report/index.html").read_text()
    (repository / "params.yaml").write_text(settings)
    external = {"external_download", "external_preprocess", "external", "external_evaluate"}
    assert ran_stages == {"code", "sources", "report"} | external
    record = json.loads((repository / "metrics/external/covid/ward-detail.json").read_text())["probe"]["none"]
    assert record["asked"] == ["diseased"]
    metric = shown[""]["data"]["metrics/external/covid/ward.json"]["data"]["covid"]["ward"]["probe"]["none"]
    assert (record["images"], record["auc"]) == (60, metric)
    assert "Radiographs from elsewhere" in page


def test_a_fresh_clone_pulls_the_results_of_a_ward_that_it_does_not_have(repository, tmp_path):
    run(repository, "dvc", "remote", "add", "--default", "--quiet", "storage", str(tmp_path / "storage"))
    run(repository, "dvc", "push", "--quiet")
    run(repository, "git", "commit", "-qam", "A remote")
    run(tmp_path, "git", "clone", "-q", str(repository), "clone")
    output = run(tmp_path / "clone", "dvc", "repro", "--pull").stdout
    assert "ward: '../ward' is not on this machine; its last content counts" in output
    assert not ran(output) & {"download", "preprocess", "embed", "probe"}
    assert (tmp_path / "clone/models/ward/cnn/probe-none-seed1-all.keras").exists()


def test_a_corrected_label_runs_what_it_must(repository):
    table = repository.parent / "ward.csv"
    before = open_arrays(repository / "data/arrays/ward/train.npz").labels
    content = table.read_text("cp1252")
    table.write_text(content.replace("Normal ;", "pneumonia;", 1), "cp1252")
    output = run(repository, "dvc", "repro", "evaluate").stdout
    table.write_text(content, "cp1252")
    assert {"sources", "download", "preprocess", "embed", "probe", "evaluate"} <= ran(output)
    assert not ran(output) & {"pretrained", "code"}
    assert open_arrays(repository / "data/arrays/ward/train.npz").labels.sum() != before.sum()


def test_unknown_findings_are_neither_present_nor_absent(tmp_path):
    table = write_ward(tmp_path / "ward", 60)
    rng = np.random.default_rng(1)
    table["Pneumonia"] = table["Diagnosis"].str.strip().eq("pneumonia").astype(int).astype(str)
    table["Device"] = rng.integers(0, 2, len(table)).astype(str)
    is_unknown = rng.random(len(table)) < 0.3
    table.loc[is_unknown, "Device"] = "?"
    save(table, tmp_path / "ward.csv")
    own = {key: value for key, value in OWN.items() if key != "classes"} | {"label": ["Pneumonia", "Device"]}
    repository = toy_repository(tmp_path, **SETTINGS | {"train__weights": ["none"]}, own={"ward": own})
    all_recorded(repository)
    summary = json.loads((repository / "data/arrays/ward/summary.json").read_text())
    labels = np.concatenate(
        [open_arrays(repository / f"data/arrays/ward/{split}.npz").labels for split in ("train", "val", "test")]
    )
    assert (labels[:, 1] == UNKNOWN).sum() == is_unknown.sum()
    assert (labels[:, 0] != UNKNOWN).all()
    shown = sum(of_split["Device"] for of_split in summary["classes"].values())
    assert shown == (labels[:, 1] == 1).sum()
    detail = json.loads((repository / "metrics/detail/ward.json").read_text())
    assert set(detail["train"]["none"]["findings"]) == {"Pneumonia", "Device"}


class TestSources:
    """`data/sources/D.json`: equal where the content is, whatever the files are called and how old they are."""

    @pytest.fixture
    def project(self, project):
        save(write_ward(project.parent / "ward", 4), project.parent / "ward.csv")
        change_settings(project / "params.yaml", datasets=["ward"], own={"ward": OWN})
        return project

    @staticmethod
    def record(project) -> dict:
        stage(project, "sources", CHEST_TRANSFER_CACHE=str(project / "cache"))
        return json.loads((project / "data/sources/ward.json").read_text())

    def test_a_changed_file_changes_it_even_within_the_same_tick_of_the_clock(self, project):
        first, image = self.record(project), next((project.parent / "ward").rglob("*.png"))
        content = bytearray(image.read_bytes())
        content[-1] ^= 1
        image.write_bytes(bytes(content))
        assert self.record(project)["content"] != first["content"]

    def test_files_that_did_not_change_are_not_read_again(self, project):
        self.record(project)
        for file in (project.parent / "ward").rglob("*.png"):
            file.touch()
        time.sleep(2.5)
        first = self.record(project)
        [remembered] = (project / "cache/fingerprints").glob("*.json")
        known = json.loads(remembered.read_text())
        remembered.write_text(json.dumps({file: [*state[:-1], "0" * 64] for file, state in known.items()}))
        assert self.record(project)["content"] != first["content"]  # what is remembered was believed

    def test_a_setting_of_the_table_changes_it(self, project):
        first = self.record(project)
        change_settings(project / "params.yaml", own={"ward": OWN | {"uncertain": "negative"}})
        assert self.record(project) != first

    def test_without_files_and_without_a_record_the_download_is_refused(self, project):
        shutil.rmtree(project.parent / "ward")
        assert self.record(project)["content"] == "missing"
        message = refused(stage(project, "download", "ward", check=False))
        assert message == "error: no radiographs at '../ward'; correct own.ward.images in params.yaml"

    def test_a_path_that_was_changed_since_the_last_commit_is_not_believed_to_be_what_it_was(self, project):
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "Ward"]):
            run(project, "git", *words)
        self.record(project)
        shutil.move(project.parent / "ward", project.parent / "gone")
        done = stage(project, "sources", CHEST_TRANSFER_CACHE=str(project / "cache"))
        assert "ward: '../ward' is not on this machine; its last content counts" in done.stdout
        change_settings(project / "params.yaml", own={"ward": OWN | {"images": "../wrad"}})
        assert self.record(project)["content"] == "missing"
        message = refused(stage(project, "download", "ward", check=False))
        assert "no radiographs at '../wrad'" in message

    def test_a_public_archive_that_settings_name_is_looked_at_as_well(self, project):
        make_zip(project.parent / "archive.zip", {"a.png": grey(1)})
        change_settings(project / "params.yaml", datasets=["pneumonia"], source=str(project.parent / "archive.zip"))
        records = []
        for number in (1, 2):
            make_zip(project.parent / "archive.zip", {"a.png": grey(number)})
            stage(project, "sources", CHEST_TRANSFER_CACHE=str(project / "cache"))
            records.append(json.loads((project / "data/sources/pneumonia.json").read_text()))
        assert records[0]["content"] != records[1]["content"]

    def test_records_of_other_datasets_are_removed(self, project):
        self.record(project)
        change_settings(project / "params.yaml", datasets=["pneumonia"])
        stage(project, "sources")
        assert [file.name for file in (project / "data/sources").iterdir()] == ["pneumonia.json"]
        record = json.loads((project / "data/sources/pneumonia.json").read_text())
        assert record == {"source": "phantom", "phantom": read_yaml(project / "params.yaml")["phantom"]}
