"""chest-transfer verify: results equal to the byte, within what a processor changes, or different from a commit's."""

import json
import shutil

import pytest
from conftest import ROOT, change_settings, commit, run

from chest_transfer.errors import ChestTransferError
from chest_transfer.machine import machine
from chest_transfer.reporting.verify import DIFFERENT, EQUAL, WITHIN, verification_text, verify

LOCK = """schema: '2.0'
stages:
  train@pneumonia-cnn-none-1-all:
    cmd: python -m stages.train
    deps:
    - path: data/code/train
      md5: {}
"""
AVX2, AVX512 = (f"x86_64 with {name}; tensorflow 2.21.0, keras 3.15.1, numpy 2.4.6" for name in ("AVX2", "AVX-512"))


def write_results(folder, *, auc: float, machine: str, images: int = 500) -> None:
    """Write the metrics that are compared."""
    fit = {"auc": auc, "validation_auc": 0.9, "machine": machine}
    scores = {"train": {"none": {"auc": auc, "auc_low": 0.75, "auc_high": 0.9, "fits": {"seed1-all": fit}}}}
    files = {"detail": scores, "data": {"images": {"train": images}, "shortcuts": {"border": {"auc": 0.5123456}}}}
    for name, content in files.items():
        (folder / "metrics" / name).mkdir(parents=True, exist_ok=True)
        (folder / "metrics" / name / "pneumonia.json").write_text(json.dumps(content))


@pytest.fixture
def project(tmp_path, monkeypatch):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    change_settings(tmp_path / "params.yaml", datasets=["pneumonia"])
    write_results(tmp_path, auc=0.85, machine=AVX512)
    run(tmp_path, "git", "init", "-q", "-b", "main")
    commit(tmp_path, "Results")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_results_as_they_were_committed_are_equal_to_the_byte(project):
    assert verification_text(verify("HEAD"), "HEAD") == "The results here are equal to the byte those of HEAD."


@pytest.mark.parametrize(("auc", "verdict"), [(0.80, WITHIN), (0.90, WITHIN), (0.74, DIFFERENT), (0.91, DIFFERENT)])
def test_another_processor_may_move_an_auc_within_its_interval(project, auc, verdict):
    write_results(project, auc=auc, machine=AVX2)
    result = verify("HEAD")
    assert result.verdict == verdict
    assert result.scores["verdict"].tolist() == [verdict]
    assert f"made on {AVX2}; there on {AVX512}" in result.reasons
    text = verification_text(result, "HEAD")
    assert f"{auc:.3f}" in text
    assert "0.750 to 0.900" in text


def test_the_same_kind_of_machine_should_give_the_same_bytes(project):
    write_results(project, auc=0.851, machine=AVX512)
    result = verify("HEAD")
    assert result.verdict == DIFFERENT
    assert result.reasons == [
        f"both were made on {AVX512}, where they are equal to the byte, unless pretrained weights or features came "
        "from another machine"
    ]


def test_other_radiographs_are_another_experiment(project):
    write_results(project, auc=0.85, machine=AVX2, images=501)
    result = verify("HEAD")
    assert result.verdict == DIFFERENT
    assert "metrics/data/pneumonia.json differs, which depends on the radiographs alone" in result.reasons
    assert result.scores["verdict"].tolist() == [EQUAL]


def test_a_commit_without_metrics_is_refused(project):
    run(project, "git", "rm", "-q", "-r", "--cached", "metrics")
    run(project, "git", "commit", "-q", "-m", "No metrics")
    with pytest.raises(ChestTransferError, match="revision 'HEAD' has no params"):
        verify("HEAD")


def test_other_code_is_another_experiment(project, monkeypatch):
    monkeypatch.setattr("chest_transfer.reporting.verify.check_results", lambda settings: [])  # of a whole experiment
    (project / "dvc.lock").write_text(LOCK.format("a" * 32))
    commit(project, "Code")
    (project / "dvc.lock").write_text(LOCK.format("b" * 32))
    write_results(project, auc=0.86, machine=AVX2)
    result = verify("HEAD")
    assert result.verdict == DIFFERENT
    assert "the code differs" in result.reasons


def test_other_settings_are_named(project):
    change_settings(project / "params.yaml", train__epochs=7)
    result = verify("HEAD")
    assert (result.verdict, result.reasons) == (DIFFERENT, ["the settings differ: train.epochs is 7 (there: 20)"])


def test_the_kind_of_machine_names_instructions_and_libraries(monkeypatch):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    assert "oneDNN limited to AVX2; " in machine()
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert ", without oneDNN; " in machine()
    assert all(f"{name} " in machine() for name in ("tensorflow", "keras", "numpy"))
