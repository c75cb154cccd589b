"""Mending: DVC's own files are repaired after a kill, and every result then comes from the cache."""

import os
import re

import pytest
from conftest import ROOT, TOY, commit, run, stages, toy_repository

from chest_transfer.lockfile import read_lock
from chest_transfer.mending import mend

# Stages by their names in DVC, and what runs each.
FEATURES = {
    "lungs@whole": "lungs whole",
    "code": "code", "sources": "sources", "download@pneumonia": "download pneumonia",
    "preprocess@pneumonia": "preprocess pneumonia", "pretrained@cnn-none": "pretrained cnn none",
    "embed@pneumonia-cnn-none": "embed pneumonia cnn none",
    "embed_random@pneumonia-cnn-none-1": "embed pneumonia cnn none 1",
}  # fmt: skip
SCORES = {
    "probe@pneumonia-cnn-none-1-all": "probe pneumonia cnn none 1 all",
    "evaluate@pneumonia": "evaluate pneumonia",
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository whose last commit has features, and whose workspace has scores too, as `dvc repro` leaves them."""
    folder = toy_repository(tmp_path_factory.mktemp("mending"), **(TOY | {"train__weights": []}))
    stages(folder, *(command.split() for command in (FEATURES | SCORES).values()))
    run(folder, "dvc", "commit", "--force", "--quiet", *FEATURES)
    commit(folder, "Features")
    run(folder, "dvc", "commit", "--force", "--quiet", *SCORES)
    return folder


def mend_command(repository, *arguments: str) -> str:
    command = ["python", "-m", "chest_transfer.cli", "mend", *arguments]
    return run(repository, *command, PYTHONPATH=str(ROOT / "src")).stdout


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.62, 0.95])
def test_a_truncated_lock_file_is_restored_from_git_and_outputs_from_the_cache(repository, fraction):
    lock = repository / "dvc.lock"
    intact = lock.read_bytes()
    within_a_hash = intact.index(b"md5: ", int(fraction * len(intact))) + 9 if fraction else 0
    lock.write_bytes(intact[:within_a_hash])
    assert "dvc.lock could not be read: restored from the last commit" in mend_command(repository)
    output = run(repository, "dvc", "repro", "evaluate").stdout
    # The outputs of `evaluate` are in Git instead of DVC's run cache, so it may run again; `sources` always does.
    assert set(re.findall("> python -m stages.(\\w+)", output)) <= {"evaluate", "sources"}
    assert lock.read_bytes() == intact


@pytest.mark.parametrize("path", ["data/arrays/pneumonia/train.npz", "models/pretrained/cnn/none.keras"])
def test_a_byte_flipped_by_the_disk_is_found_reported_and_restored(repository, path):
    damaged = repository / path
    intact, before = damaged.read_bytes(), damaged.stat()
    damaged.chmod(0o644)
    with damaged.open("r+b") as file:  # in place: it is a link to the file in DVC's cache
        middle = len(intact) // 2
        file.seek(middle)
        file.write(bytes([intact[middle] ^ 0xFF]))
    damaged.chmod(before.st_mode)
    os.utime(damaged, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "changed" not in run(repository, "dvc", "status", "embed_random").stdout  # DVC does not notice
    assert f"{path} is not what dvc.lock records: removed" in mend_command(repository, "--bytes")
    run(repository, "dvc", "repro", "evaluate")
    assert damaged.read_bytes() == intact
    assert "nothing is broken" in mend_command(repository, "--bytes")


ENTRY = """  {stage}:
    cmd: python -m stages.{stage}
    outs:
    - path: data/{stage}
      md5: {md5}
"""


def lock_of(**md5_of: str) -> str:
    entries = "".join(ENTRY.format(stage=stage, md5=md5 * 32) for stage, md5 in md5_of.items())
    return f"schema: '2.0'\nstages:\n{entries}"


@pytest.mark.parametrize("style", ["merge", "diff3"])
@pytest.mark.parametrize(
    ("base", "ours", "theirs", "joined", "named"),
    [
        ({"a": "a"}, {"a": "a", "b": "d"}, {"a": "a", "c": "e"}, {"a": "a", "b": "d", "c": "e"}, None),
        ({"a": "a"}, {"a": "d"}, {"a": "e"}, {"a": "d"}, "differ in a: HEAD's were kept, and `dvc repro` checks them"),
        ({"a": "a", "b": "a"}, {"a": "d", "b": "d"}, {"a": "e", "b": "e", "c": "e"}, {"a": "d", "b": "d", "c": "e"},
         "differ in a, b: HEAD's were kept, and `dvc repro` checks them"),
    ],
)  # fmt: skip
def test_a_merge_conflict_is_joined_stage_by_stage(tmp_path, monkeypatch, style, base, ours, theirs, joined, named):
    monkeypatch.chdir(tmp_path)
    lock = tmp_path / "dvc.lock"
    run(tmp_path, "git", "init", "-q", "-b", "main")
    for branch, content in (("main", base), ("theirs", theirs), ("ours", ours)):
        if branch != "main":
            run(tmp_path, "git", "checkout", "-q", "-b", branch, "main")
        lock.write_text(lock_of(**content))
        commit(tmp_path, branch)
    run(tmp_path, "git", "-c", f"merge.conflictStyle={style}", "merge", "theirs", check=False)
    assert "<<<<<<< " in lock.read_text()
    [repair] = mend()
    assert repair.startswith("dvc.lock had a merge conflict: the stages of both sides were joined")
    assert named is None or named in repair
    outs = {stage: entry["outs"][0]["md5"][0] for stage, entry in read_lock(tmp_path)["stages"].items()}
    assert outs == joined
    assert mend() == []


def test_an_entry_is_never_put_together_from_both_sides(tmp_path, monkeypatch):
    """Git joins lines that only one side changed: the settings would be of both, the outputs of one."""
    monkeypatch.chdir(tmp_path)
    entry = (
        "schema: '2.0'\nstages:\n  train:\n    params:\n      a: {a}\n{middle}      b: {b}\n"
        "    outs:\n    - path: m\n      md5: {md5}\n"
    )
    middle = "".join(f"      filler{number}: 0\n" for number in range(9))
    run(tmp_path, "git", "init", "-q", "-b", "main")
    for branch, a, b, md5 in (("main", 0, 0, "a"), ("theirs", 0, 5, "d"), ("ours", 64, 0, "e")):
        if branch != "main":
            run(tmp_path, "git", "checkout", "-q", "-b", branch, "main")
        (tmp_path / "dvc.lock").write_text(entry.format(a=a, b=b, md5=md5 * 32, middle=middle))
        commit(tmp_path, branch)
    run(tmp_path, "git", "merge", "theirs", check=False)
    conflict = (tmp_path / "dvc.lock").read_text()
    assert "a: 64" in conflict
    assert "b: 5" in conflict
    mend()
    entry = read_lock(tmp_path)["stages"]["train"]
    assert (entry["params"]["a"], entry["params"]["b"], entry["outs"][0]["md5"][0]) == (64, 0, "e")
    (tmp_path / "dvc.lock").write_text(conflict)
    commit(tmp_path, "The conflict, committed")
    assert "they differ in train: which are left out" in mend()[0]
    assert read_lock(tmp_path)["stages"] == {}


def test_intact_files_stay_and_truncated_ones_that_git_does_not_have_are_removed(repository, tmp_path, monkeypatch):
    monkeypatch.chdir(repository)
    before = (repository / "dvc.lock").read_bytes()
    assert mend() == []
    assert (repository / "dvc.lock").read_bytes() == before
    (repository / ".dvc/tmp/rwlock").write_text('{"data/raw": {"wri')
    assert mend() == [".dvc/tmp/rwlock was cut short: removed"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\nstages:\n  a:\n    cm")
    assert mend() == ["dvc.lock could not be read: removed"]
    assert not (tmp_path / "dvc.lock").exists()
