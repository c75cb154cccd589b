"""The cluster: stages on workers leave the same bytes as `dvc repro`, even if a worker is killed."""

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
CODE = Stage("code", (), (), ())
HERE = ENVIRONMENT | {"PYTHONPATH": str(ROOT / "src")}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository with toy settings and a DVC remote, in which no stage has been run."""
    folder = toy_repository(tmp_path_factory.mktemp("cluster"), **(TOY | {"datasets": ["pneumonia", "tuberculosis"]}))
    run(folder, "dvc", "remote", "add", "-d", "storage", str(folder.parent / "storage"))
    commit(folder, "A remote")
    return folder


def copy_repository(repository, parent, name):
    """Copy a repository, and give the copy a DVC remote of its own."""
    folder = shutil.copytree(repository, parent / name, symlinks=True)
    run(folder, "dvc", "remote", "modify", "storage", "url", str(parent / f"{name}-storage"))
    commit(folder, "A remote of its own")
    return folder


def start_cluster(folder, *arguments: str, **environment: str) -> subprocess.Popen:
    command = ["python", "-m", "chest_transfer.cli", "cluster", "--folder", str(folder.parent), *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=HERE | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def worker_running(process: subprocess.Popen, stage: str) -> psutil.Process | None:
    """Find the worker that is running a stage."""
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            command = child.cmdline()
            if f"stages.{stage}" in command and command[0].endswith("python"):
                parent, grandparent = child.parents()[1:3]
                return grandparent if "dvc" in " ".join(parent.cmdline()) else parent
        except psutil.NoSuchProcess:
            continue
    return None


def test_a_killed_worker_changes_no_byte(repository, tmp_path):
    local, remote = copy_repository(repository, tmp_path, "local"), copy_repository(repository, tmp_path, "cluster")
    process = start_cluster(remote, *TARGETS, "--workers", "2")
    deadline, worker = time.monotonic() + 240, None
    while worker is None and process.poll() is None and time.monotonic() < deadline:
        worker = worker_running(process, "pretrained")
        time.sleep(0.05)
    assert worker is not None, process.communicate()[0]
    worker.send_signal(signal.SIGKILL)
    output = process.communicate(timeout=400)[0]
    assert process.returncode == 0, output
    assert re.findall(r"(\d)/6 default/", output) == list("123456"), output
    # Outputs were restored, and no stage was run again but the one that looks at files each time.
    assert re.findall(r"> python -m stages\.(\w+)", output) == ["sources"]
    run(local, "dvc", "repro", *TARGETS)
    for path in ("data/arrays/pneumonia/train.npz", "models/pretrained/cnn/none.keras"):
        assert (local / path).read_bytes() == (remote / path).read_bytes()
    assert not run(remote, "dvc", "status", *TARGETS).stdout.count("changed")


@contextlib.contextmanager
def background_process(log, ready_message: str, *command: str, **environment: str):
    """Run a command until the block ends, which begins when the command has written `ready_message`."""
    with log.open("w") as output:
        process = subprocess.Popen(command, env=HERE | environment, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 60
        while ready_message not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.mark.skipif(importlib.util.find_spec("dvc_s3") is None, reason="needs dvc-s3")
def test_workers_on_other_machines_need_git_and_the_remote_and_no_shared_folder(repository, tmp_path):
    """Scheduler, worker, Git server and S3 server share nothing but addresses.

    Where Linux allows it, the worker cannot even see the folder of the experiment.
    """
    folder = copy_repository(repository, tmp_path / "home", "mine")
    hub, machine = tmp_path / "hub.git", tmp_path / "machine"
    machine.mkdir()
    git_port, dask_port = str(free_port()), str(free_port())
    dask_address = f"tcp://127.0.0.1:{dask_port}"
    worker = ["dask", "worker", dask_address, "--nthreads=1", "--resources=GPU=1", "--no-nanny", "--no-dashboard"]
    isolated = ["unshare", "-rm", "sh", "-c", f'mount -t tmpfs none {tmp_path / "home"} && exec "$@"', "sh"]
    if subprocess.run([*isolated, "true"], check=False, capture_output=True).returncode == 0:
        worker = isolated + worker
    daemon = ["git", "daemon", "--export-all", "--verbose", "--listen=127.0.0.1"]
    daemon += [f"--port={git_port}", f"--base-path={tmp_path}"]
    scheduler = ["dask", "scheduler", "--host=127.0.0.1", "--port", dask_port, "--no-dashboard"]
    with contextlib.ExitStack() as stack:
        url, remote_options, environment = stack.enter_context(s3_remote(tmp_path))
        run(folder, "dvc", "remote", "modify", "storage", "url", url)
        for key, value in remote_options.items():
            run(folder, "dvc", "remote", "modify", "storage", key, value)
        commit(folder, "A remote for all")
        run(tmp_path, "git", "clone", "-q", "--bare", str(folder), str(hub))
        stack.enter_context(background_process(tmp_path / "git.log", "Ready to rumble", *daemon))
        stack.enter_context(background_process(tmp_path / "dask.log", "Scheduler at", *scheduler))
        address = f"git://127.0.0.1:{git_port}/hub.git"
        arguments = ["--scheduler", dask_address, "--gpus", "--folder", str(machine), "--repository", address]
        process = start_cluster(folder, *TARGETS, *arguments, **environment)
        output = process.stdout.readline() + process.stdout.readline()
        assert "no worker yet; to start one: dask worker" in output
        stack.enter_context(background_process(tmp_path / "worker.log", "Registered to", *worker, **environment))
        output += process.communicate(timeout=400)[0]
        assert process.returncode == 0, output
        # Every stage was run by the worker; one looks at files each time.
        assert re.findall(r"> python -m stages\.(\w+)", output) == ["sources"]
        assert not run(folder, "dvc", "status", *TARGETS, **environment).stdout.count("changed")
        assert not list(machine.iterdir())  # clones are removed with their experiment


def test_the_log_of_a_failed_stage_is_shown_and_the_others_are_run(repository, tmp_path):
    folder = copy_repository(repository, tmp_path, "failing")
    process = start_cluster(folder, "preprocess", "--set", "+sources.tuberculosis=/nowhere", "--workers", "2")
    output = process.communicate(timeout=400)[0]
    assert process.returncode == 2, output
    log = r"download@tuberculosis FAILED\n.*no archive of 'tuberculosis' at '/nowhere'"
    assert re.search(log, output, re.DOTALL), output
    assert "preprocess@tuberculosis not run" in output
    assert re.search(r"/7 .*preprocess@pneumonia after", output), output
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
    (planted / "stages/code.py").write_text(f"open({str(marker)!r}, 'w')\n")
    for _ in range(2):  # the second time in the clone of the first
        run_stage(experiment, CODE, folder)
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
            run_stage(experiment, CODE, str(tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "targets", "reason"),
    [
        (lambda folder: (folder / "params.yaml").write_text("changed"), [], "workers clone the last commit"),
        (lambda folder: None, ["nothing"], "no stage among nothing"),
    ],
)
def test_errors_are_reported_before_any_worker_starts(repository, tmp_path, change, targets, reason):
    folder = copy_repository(repository, tmp_path, "wrong")
    change(folder)
    command = ["python", "-m", "chest_transfer.cli", "cluster", *targets]
    assert reason in refused(run(folder, *command, check=False, PYTHONPATH=HERE["PYTHONPATH"]))


def test_an_experiment_without_a_remote_is_an_error(repository, tmp_path):
    folder = copy_repository(repository, tmp_path, "alone")
    run(folder, "dvc", "remote", "remove", "storage")
    commit(folder, "No remote")
    command = ["python", "-m", "chest_transfer.cli", "cluster"]
    error = refused(run(folder, *command, check=False, PYTHONPATH=os.fspath(ROOT / "src")))
    assert "share outputs through a DVC remote" in error


def test_a_folder_without_git_is_an_error_that_says_what_to_do(project):
    refusal = refused(run(project, "chest-transfer", "cluster", check=False))
    assert "this folder is in no Git repository" in refusal
    assert refusal.endswith("run: git init && git add -A && git commit -m 'First commit'")
