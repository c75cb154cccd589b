"""Mending: files of DVC's own that a kill cut short; every result is then taken from the cache."""

import os
import re

import pytest
from conftest import ROOT, TOY, commit, run, toy_repository

from chest_transfer.mending import mend


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = toy_repository(tmp_path_factory.mktemp("mending"), **(TOY | {"train__weights": []}))
    run(folder, "dvc", "repro", "embed")
    commit(folder, "Features")
    run(folder, "dvc", "repro", "evaluate")
    return folder


@pytest.mark.parametrize("share", [0.0, 0.3, 0.62, 0.95])
def test_a_lock_file_cut_short_is_gits_and_the_rest_comes_from_the_cache(repository, share):
    lock = repository / "dvc.lock"
    whole = lock.read_bytes()
    within_a_hash = whole.index(b"md5: ", int(share * len(whole))) + 9 if share else 0
    lock.write_bytes(whole[:within_a_hash])
    said = run(repository, "python", "-m", "chest_transfer.cli", "mend", PYTHONPATH=str(ROOT / "src")).stdout
    assert "dvc.lock was cut short: the last commit has it whole" in said
    done = run(repository, "dvc", "repro", "evaluate").stdout
    # Its outputs are in Git, so DVC's run cache has none of them; it takes a second.
    assert set(re.findall("> python -m stages.(\\w+)", done)) <= {"evaluate"}
    assert lock.read_bytes() == whole


@pytest.mark.parametrize("path", ["data/arrays/pneumonia/train.npz", "models/pretrained/cnn/none.keras"])
def test_a_byte_that_a_disk_flipped_is_found_named_and_mended(repository, path):
    damaged = repository / path
    whole, before = damaged.read_bytes(), damaged.stat()
    damaged.chmod(0o644)
    with damaged.open("r+b") as file:  # in place: DVC's cache holds the same file by another name
        file.seek(len(whole) // 2)
        file.write(bytes([whole[len(whole) // 2] ^ 0xFF]))
    damaged.chmod(before.st_mode)
    os.utime(damaged, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "changed" not in run(repository, "dvc", "status", "embed").stdout  # DVC sees nothing
    said = run(repository, "python", "-m", "chest_transfer.cli", "mend", "--bytes", PYTHONPATH=str(ROOT / "src")).stdout
    assert f"{path} was damaged: removed" in said
    run(repository, "dvc", "repro", "evaluate")
    assert damaged.read_bytes() == whole
    assert "nothing is broken" in run(
        repository, "python", "-m", "chest_transfer.cli", "mend", "--bytes", PYTHONPATH=str(ROOT / "src")
    ).stdout  # fmt: skip


def test_what_is_whole_stays_and_what_git_has_not_is_removed(repository, tmp_path, monkeypatch):
    monkeypatch.chdir(repository)
    before = (repository / "dvc.lock").read_bytes()
    assert mend() == []
    assert (repository / "dvc.lock").read_bytes() == before
    (repository / ".dvc/tmp/rwlock").write_text('{"data/raw": {"wri')
    assert mend() == [".dvc/tmp/rwlock was cut short: removed"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\nstages:\n  a:\n    cm")
    assert mend() == ["dvc.lock was cut short: removed"]
    assert not (tmp_path / "dvc.lock").exists()
