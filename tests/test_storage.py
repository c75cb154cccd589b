"""What DVC stores for all commits: models of other settings are listed, pushed and kept, unlike by DVC itself."""

import shutil
from pathlib import Path

import pytest
from conftest import commit, refused, run

GRAPH = """
stages:
  train:
    matrix: {model: ["${model}"]}
    cmd: mkdir -p models/a && echo ${item.model} > models/a/${item.model}.keras
    params: [model]
    outs: ["models/a/${item.model}.keras"]
  arrays:
    cmd: mkdir -p data/arrays && echo 1 > data/arrays/x && echo ${size} > data/arrays/y
    params: [size]
    outs: [data/arrays]
"""


def cached(repository) -> int:
    return sum(path.is_file() for path in (repository / ".dvc/cache/files").rglob("*"))


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Three commits: two backbones, then another size of the arrays; and a run that was never committed."""
    folder = tmp_path_factory.mktemp("storage") / "repository"
    folder.mkdir()
    run(folder, "git", "init", "-q", "-b", "main")
    run(folder, "dvc", "init", "-q")
    run(folder, "dvc", "remote", "add", "-q", "-d", "storage", "../remote")
    (folder / "dvc.yaml").write_text(GRAPH)
    for number, (model, size) in enumerate((("cnn", 1), ("vgg", 1), ("vgg", 22))):
        (folder / "params.yaml").write_text(f"model: {model}\nsize: {size}\n")
        run(folder, "dvc", "repro", "-q")
        commit(folder, f"Commit {number}")
    (folder / "params.yaml").write_text("model: abandoned\nsize: 22\n")
    run(folder, "dvc", "repro", "-q")
    run(folder, "git", "checkout", "-q", ".")
    run(folder, "dvc", "checkout", "-q")
    return folder


@pytest.fixture
def repository(template, tmp_path):
    """A copy of it, for one test."""
    return Path(shutil.copytree(template, tmp_path / "repository", symlinks=True))


def storage(repository, *words: str) -> str:
    return run(repository, "chest-transfer", "storage", *words).stdout


def test_all_versions_are_listed(repository):
    lines = storage(repository, "list").splitlines()
    assert sorted(line.split()[-1] for line in lines) == [
        "data/arrays", "data/arrays", "models/a/cnn.keras", "models/a/vgg.keras"
    ]  # fmt: skip
    assert all(" here " in line for line in lines)


def test_collect_keeps_what_any_commit_lists_and_is_a_dry_run_first(repository):
    before = cached(repository)
    counted = storage(repository, "collect").splitlines()[-1]
    assert counted == "1 files in the cache that no dvc.lock lists; to do it, add --execute"
    assert cached(repository) == before
    assert storage(repository, "collect", "--execute").endswith(": removed\n")
    assert cached(repository) == before - 1
    assert all(" here " in line for line in storage(repository, "list").splitlines())
    assert storage(repository, "collect").startswith("0 files")
    # DVC's own command deletes what the settings of the last commit do not name, though its dvc.lock lists it.
    run(repository, "dvc", "gc", "--workspace", "--force", "-q")
    assert any("not here" in line for line in storage(repository, "list").splitlines())


def test_collect_keeps_what_only_the_reflog_knows(repository):
    """As an amended commit, an older stash, or an experiment in DVC's queue."""
    storage(repository, "collect", "--execute")
    (repository / "params.yaml").write_text("model: amended\nsize: 22\n")
    run(repository, "dvc", "repro", "-q")
    run(repository, "git", "commit", "-qam", "To be amended")
    (repository / "params.yaml").write_text("model: amends\nsize: 22\n")
    (repository / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    run(repository, "git", "commit", "-qa", "--amend", "-m", "Amended")
    assert "models/a/amended.keras" in storage(repository, "list")
    assert storage(repository, "collect").splitlines()[-1].startswith("0 files")


def test_collect_refuses_where_it_cannot_know_what_is_listed(repository, tmp_path):
    def refusal(folder) -> str:
        return refused(run(folder, "chest-transfer", "storage", "collect", check=False))

    (repository / "sub").mkdir()
    assert "run from the project's folder" in refusal(repository / "sub")
    run(tmp_path, "git", "clone", "-q", "--depth", "1", f"file://{repository}", "shallow")
    assert "this clone is shallow" in refusal(tmp_path / "shallow")
    run(repository, "dvc", "cache", "dir", "-q", "--local", str(tmp_path / "shared"))
    assert "may be shared" in refusal(repository)
    run(repository, "dvc", "cache", "dir", "-q", "--local", "--unset")
    listing = next((repository / ".dvc/cache/files/md5").glob("*/*.dir"))
    listing.unlink()
    assert "the listing of the folder 'data/arrays'" in refusal(repository)


def test_push_brings_every_commit_to_the_remote(repository, tmp_path):
    def remote_files() -> int:
        return sum(path.is_file() for path in (tmp_path / "remote").rglob("*"))

    run(repository, "dvc", "push", "-q", "--all-commits")
    by_dvc = remote_files()
    lacking = int(storage(repository, "push").split()[0])
    assert remote_files() == by_dvc
    assert storage(repository, "push", "--execute").endswith(": pushed\n")
    assert remote_files() == by_dvc + lacking
    assert storage(repository, "push").startswith("0 files")
    run(tmp_path, "git", "clone", "-q", str(repository), "clone")
    run(tmp_path / "clone", "git", "checkout", "-q", "main~2")
    run(tmp_path / "clone", "dvc", "pull", "-q")
    assert (tmp_path / "clone/models/a/cnn.keras").read_text() == "cnn\n"
    assert "not here" in storage(tmp_path / "clone", "list")
    assert "2 outputs are listed, but are not in this cache" in storage(tmp_path / "clone", "push")


def test_outside_of_a_repository_it_is_an_error(tmp_path):
    for action in ("list", "push", "collect"):
        done = run(tmp_path, "chest-transfer", "storage", action, check=False)
        assert "run from the project's folder" in refused(done)
