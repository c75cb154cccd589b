"""The cluster: stages on workers with clones of their own leave the bytes of `dvc repro`, though a worker is killed."""

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time

import psutil
import pytest
from conftest import ENVIRONMENT, ROOT, TOY, commit, refused, run, toy_repository
from test_remotes import free_port, s3_remote

from chest_transfer.cluster.graph import Stage
from chest_transfer.cluster.worker import Experiment, StageFailed, remove_clones, run_stage

pytest.importorskip("distributed")
TARGETS = "preprocess@pneumonia", "pretrained@cnn-none"
DOWNLOAD = Stage("download@pneumonia", (), (), ())
HERE = ENVIRONMENT | {"PYTHONPATH": str(ROOT / "src")}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """Toy settings, committed, with a remote; nothing was run."""
    folder = toy_repository(tmp_path_factory.mktemp("cluster"), **(TOY | {"datasets": ["pneumonia", "tuberculosis"]}))
    run(folder, "dvc", "remote", "add", "-d", "storage", str(folder.parent / "storage"))
    commit(folder, "A remote")
    return folder


def copied(repository, parent, name):
    """A copy with a remote of its own."""
    folder = shutil.copytree(repository, parent / name, symlinks=True)
    run(folder, "dvc", "remote", "modify", "storage", "url", str(parent / f"{name}-storage"))
    commit(folder, "A remote of its own")
    return folder


def cluster(folder, *words: str, **environment: str) -> subprocess.Popen:
    command = ["python", "-m", "chest_transfer.cli", "cluster", "--folder", str(folder.parent), *words]
    return subprocess.Popen(
        command, cwd=folder, env=HERE | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def running(process: subprocess.Popen, stage: str) -> psutil.Process | None:
    """The worker that runs a stage just now."""
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if f"stages.{stage}" in child.cmdline() and child.cmdline()[0].endswith("python"):
                return child.parents()[1] if "dvc" not in " ".join(child.parents()[1].cmdline()) else child.parents()[2]
        except psutil.NoSuchProcess:
            continue
    return None


def test_a_killed_worker_costs_no_byte(repository, tmp_path):
    plain, spread = copied(repository, tmp_path, "plain"), copied(repository, tmp_path, "spread")
    process = cluster(spread, *TARGETS, "--workers", "2")
    end, worker = time.monotonic() + 240, None
    while worker is None and process.poll() is None and time.monotonic() < end:
        worker = running(process, "pretrained")
        time.sleep(0.05)
    assert worker is not None, process.communicate()[0]
    worker.send_signal(signal.SIGKILL)
    told = process.communicate(timeout=400)[0]
    assert process.returncode == 0, told
    assert re.findall(r"(\d)/3 plain/", told) == list("123"), told
    assert "> python" not in told  # restored, nothing computed again
    run(plain, "dvc", "repro", *TARGETS)
    for path in ("data/arrays/pneumonia/train.npz", "models/pretrained/cnn/none.keras"):
        assert (plain / path).read_bytes() == (spread / path).read_bytes()
    assert not run(spread, "dvc", "status", *TARGETS).stdout.count("changed")


@contextlib.contextmanager
def ready(log, told: str, *words: str, **environment: str):
    """A process until the block ends, once it has said that it is ready."""
    with log.open("w") as out:
        process = subprocess.Popen(words, env=HERE | environment, stdout=out, stderr=out)
    try:
        end = time.monotonic() + 60
        while told not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.mark.skipif(importlib.util.find_spec("dvc_s3") is None, reason="needs dvc-s3")
def test_workers_on_other_machines_need_git_and_the_remote_and_no_shared_folder(repository, tmp_path):
    """Scheduler, worker, Git and S3 are processes that share addresses; where Linux allows, the worker sees no more."""
    folder = copied(repository, tmp_path / "home", "mine")
    hub, machine = tmp_path / "hub.git", tmp_path / "machine"
    machine.mkdir()
    git, port = str(free_port()), str(free_port())
    dask = f"tcp://127.0.0.1:{port}"
    worker = ["dask", "worker", dask, "--nthreads=1", "--resources=GPU=1", "--no-nanny", "--no-dashboard"]
    blind = ["unshare", "-rm", "sh", "-c", f'mount -t tmpfs none {tmp_path / "home"} && exec "$@"', "sh"]
    if subprocess.run([*blind, "true"], check=False, capture_output=True).returncode == 0:
        worker = blind + worker
    daemon = ["git", "daemon", "--export-all", "--verbose", "--listen=127.0.0.1"]
    daemon += [f"--port={git}", f"--base-path={tmp_path}"]
    scheduler = ["dask", "scheduler", "--host=127.0.0.1", "--port", port, "--no-dashboard"]
    with contextlib.ExitStack() as stack:
        url, options, environment = stack.enter_context(s3_remote(tmp_path))
        run(folder, "dvc", "remote", "modify", "storage", "url", url)
        for key, value in options.items():
            run(folder, "dvc", "remote", "modify", "storage", key, value)
        commit(folder, "A remote for all")
        run(tmp_path, "git", "clone", "-q", "--bare", str(folder), str(hub))
        stack.enter_context(ready(tmp_path / "git.log", "Ready to rumble", *daemon))
        stack.enter_context(ready(tmp_path / "dask.log", "Scheduler at", *scheduler))
        where = [
            "--scheduler",
            dask,
            "--gpus",
            "--folder",
            str(machine),
            "--repository",
            f"git://127.0.0.1:{git}/hub.git",
        ]
        process = cluster(folder, *TARGETS, *where, **environment)
        told = process.stdout.readline() + process.stdout.readline()
        assert "no worker yet; to start one: dask worker" in told
        stack.enter_context(ready(tmp_path / "worker.log", "Registered to", *worker, **environment))
        told += process.communicate(timeout=400)[0]
        assert process.returncode == 0, told
        assert "> python" not in told  # all of it was made by the worker
        assert not run(folder, "dvc", "status", *TARGETS, **environment).stdout.count("changed")
        assert not list(machine.iterdir())  # clones go with their experiment


def test_a_stage_that_fails_is_told_with_its_log_and_the_rest_goes_on(repository, tmp_path):
    folder = copied(repository, tmp_path, "failing")
    process = cluster(folder, "explore", "--set", "+sources.tuberculosis=/nowhere", "--workers", "2")
    told = process.communicate(timeout=400)[0]
    assert process.returncode == 2, told
    assert re.search(r"download@tuberculosis FAILED\n.*no archive of 'tuberculosis' at '/nowhere'", told, re.DOTALL), (
        told
    )
    assert "explore@tuberculosis not run" in told
    assert re.search(r"/6 .*explore@pneumonia after", told), told
    assert (folder / "metrics/data/pneumonia.json").exists()
    assert not list(folder.parent.glob("chest-transfer-clone-*"))


@pytest.mark.parametrize("place", ["the temporary folder", "a given folder"])
def test_clones_lie_in_private_folders_and_one_that_was_planted_is_not_used(repository, tmp_path, monkeypatch, place):
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o777)
    monkeypatch.setattr(tempfile, "tempdir", str(shared))
    folder = str(shared) if place == "a given folder" else ""
    head = run(repository, "git", "rev-parse", "HEAD").stdout.strip()
    experiment = Experiment("plain", str(repository), head, (repository / "params.yaml").read_bytes(), b"")
    planted = shared / f"chest-transfer-clone-{os.getpid()}-plain-{head[:12]}"
    shutil.copytree(repository, planted, symlinks=True)
    marker = tmp_path / "planted-code-was-run"
    (planted / "stages/download.py").write_text(f"open({str(marker)!r}, 'w')\n")
    for _ in range(2):  # the second time in the clone of the first
        run_stage(experiment, DOWNLOAD, folder)
    assert not marker.exists()
    [clone] = [path.parent for path in shared.glob("**/dvc.yaml") if path.parent != planted]
    assert stat.S_IMODE(clone.parent.stat().st_mode) == 0o700
    assert clone.parent != shared
    remove_clones(folder)
    assert not clone.parent.exists()
    assert list(shared.iterdir()) == [planted]  # another user's: not this process's to remove


def test_a_clone_that_failed_is_not_used_later(repository, tmp_path):
    experiment = Experiment("plain", str(repository), "0" * 40, (repository / "params.yaml").read_bytes(), b"")
    for _ in range(2):
        with pytest.raises(StageFailed, match="git checkout"):
            run_stage(experiment, DOWNLOAD, str(tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "words", "said"),
    [
        (lambda folder: (folder / "params.yaml").write_text("changed"), [], "workers see commits only"),
        (lambda folder: None, ["nothing"], "no stage among nothing"),
    ],
)
def test_what_cannot_be_run_is_told_before_any_worker_starts(repository, tmp_path, change, words, said):
    folder = copied(repository, tmp_path, "odd")
    change(folder)
    command = ["python", "-m", "chest_transfer.cli", "cluster", *words]
    assert said in refused(run(folder, *command, check=False, PYTHONPATH=HERE["PYTHONPATH"]))


def test_without_a_remote_it_is_refused(repository, tmp_path):
    folder = copied(repository, tmp_path, "alone")
    run(folder, "dvc", "remote", "remove", "storage")
    commit(folder, "No remote")
    command = ["python", "-m", "chest_transfer.cli", "cluster"]
    told = refused(run(folder, *command, check=False, PYTHONPATH=os.fspath(ROOT / "src")))
    assert "share results by a DVC remote" in told
