"""Shared helpers: image files of every kind, small archives, and a project folder to run stages in."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chest_transfer.yaml_files import dump_yaml, read_yaml

ROOT = Path(__file__).resolve().parents[1]
# Commands of this environment first, so that `python` and `dvc` in dvc.yaml are the ones under test.
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "GIT_AUTHOR_NAME": "Test",
    "GIT_AUTHOR_EMAIL": "test@example.org",
    "GIT_COMMITTER_NAME": "Test",
    "GIT_COMMITTER_EMAIL": "test@example.org",
}


SLOWEST = (
    "test_pipeline.py", "test_readme.py", "test_training.py", "test_cluster.py", "test_networks.py", "test_phantom.py",
    "test_finetune.py", "test_predict.py", "test_presets.py",
)  # fmt: skip


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    """Chromium of this machine, headless; ended with the file, because its event loop lets no test run another one."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium; run: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield started
        started.close()


# What `pytest -m "not slow"` leaves out: files and fixtures that run stages, DVC or a server, or build every backbone.
SLOW_FILES = (
    "test_ensembles.py", "test_representations.py", "test_lungs.py", "test_own_pipeline.py",
    *SLOWEST, "test_app.py", "test_devices.py", "test_downloads.py", "test_explain.py", "test_export.py",
    "test_honesty.py", "test_mending.py", "test_probe.py", "test_remotes.py", "test_report.py", "test_storage.py",
    "test_transfer.py",
)  # fmt: skip
SLOW_FIXTURES = {"project", "evaluated", "browser"}
FAST_CLASSES = {"TestLungWindow", "TestLoss", "TestWarmup", "TestFitCheck", "TestBatches"}  # of those files


def pytest_collection_modifyitems(items):
    """Run the slowest files first, so that no process waits for another at the end, and mark slow tests."""
    items.sort(key=lambda item: SLOWEST.index(item.path.name) if item.path.name in SLOWEST else len(SLOWEST))
    for item in items:
        in_slow_file = item.path.name in SLOW_FILES and (item.cls is None or item.cls.__name__ not in FAST_CLASSES)
        if in_slow_file or SLOW_FIXTURES & set(item.fixturenames):
            item.add_marker("slow")


def encoded(pixels: np.ndarray | Image.Image, form: str = "PNG", **options) -> bytes:
    """An image file as bytes."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


PATIENT_NAME = "Somebody^Secret"


def dicom(pixels: np.ndarray, **changes) -> bytes:
    """A DICOM file of these pixels; `changes` sets attributes, None removes one."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, "1.2.840.10008.5.1.4.1.1.1"
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["test"])
    file = FileDataset("file.dcm", {}, file_meta=meta, preamble=b"\0" * 128)
    values = {
        "PatientName": PATIENT_NAME, "Modality": "CR", "BodyPartExamined": "CHEST", "ViewPosition": "PA",
        "PhotometricInterpretation": "MONOCHROME2", "SamplesPerPixel": 1, "Rows": pixels.shape[-2],
        "Columns": pixels.shape[-1], "BitsAllocated": 8 * pixels.itemsize, "BitsStored": 8 * pixels.itemsize,
        "HighBit": 8 * pixels.itemsize - 1, "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "PixelData": pixels.tobytes(),
    }  # fmt: skip
    for key, value in (values | changes).items():
        if value is not None:
            setattr(file, key, value)
    content = io.BytesIO()
    file.save_as(content, enforce_file_format=True)
    return content.getvalue()


def grey(value: int = 128, size: int = 24) -> bytes:
    """A PNG of noise around a grey level; another value, another file."""
    noise = np.random.default_rng(value).integers(-10, 10, (size, size))
    return encoded(np.clip(value % 200 + 20 + noise, 0, 255).astype(np.uint8))


def make_zip(path: Path, members: dict[str, bytes | str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def change_settings(path: Path, **changes) -> None:
    """Set keys of a params.yaml; `train__epochs=1` sets `train.epochs`."""
    content = read_yaml(path)
    for key, value in changes.items():
        *parents, last = key.split("__")
        section = content
        for parent in parents:
            section = section[parent]
        section[last] = value
    path.write_text(dump_yaml(content))


TOY = {
    "datasets": ["pneumonia"],
    "weights": ["none"],
    "image_size": 32,
    "threads": 1,  # two tests run at once
    "phantom__patients": 60,
    "phantom__image_size": 48,
    "pretrain__patients": 100,
    "pretrain__epochs": 1,
    "probe__epochs": 2,
    "finetune__weights": [],
    "finetune__epochs": 2,
    "train__weights": ["none"],
    "train__epochs": 2,
    "evaluate__rounds": 100,
}


@pytest.fixture
def project(tmp_path) -> Path:
    return toy_project(tmp_path)


def toy_project(parent: Path) -> Path:
    """A folder with the project's settings at toy size, to run single stages in."""
    folder = parent / "project"
    folder.mkdir()
    shutil.copy(ROOT / "params.yaml", folder)
    change_settings(folder / "params.yaml", **TOY)
    return folder


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory) -> Path:
    """A project whose toy experiment has been run to its evaluation."""
    folder = toy_project(tmp_path_factory.mktemp("evaluated"))
    words = (
        "download pneumonia", "preprocess pneumonia", "profile pneumonia", "shortcuts pneumonia", "explore pneumonia",
        "overlap",
        "pictures pneumonia", "pretrained cnn none", "embed pneumonia cnn none 1", "probe pneumonia cnn none 1 all",
        "train pneumonia cnn none 1 all", "explain pneumonia cnn", "evaluate pneumonia", "best pneumonia",
        "degraded pneumonia cnn", "stress pneumonia",
    )  # fmt: skip
    stages(folder, *(command.split() for command in words))
    return folder


def run(folder: Path, *words: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess:
    """Run a command in a folder; fail with its output where it fails."""
    done = subprocess.run(
        words, cwd=folder, env={**ENVIRONMENT, **environment}, capture_output=True, text=True, timeout=600, check=False
    )
    if check and done.returncode:
        raise AssertionError(
            f"{' '.join(words)} exited with {done.returncode}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        )
    return done


def stage(folder: Path, *words: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess:
    """Run one stage script of this checkout in a folder."""
    return run(
        folder, sys.executable, "-m", f"stages.{words[0]}", *words[1:], check=check, PYTHONPATH=str(ROOT), **environment
    )


# Modules run as programs in some folders, one after the other in one process, because TensorFlow takes seconds to
# import. With TRACED_SETTINGS the settings that each stage reads are written to that file.
TOGETHER = """
import json, os, runpy, shlex, sys
import networkx
from dvc.repo import Repo
import settings_trace
traced = os.environ.get("TRACED_SETTINGS")
for folder, commands in json.loads(sys.argv[1]):
    os.chdir(folder)
    if not commands:
        with Repo(".") as repo:
            commands = [shlex.split(stage.cmd)[2:] for stage in networkx.dfs_postorder_nodes(repo.index.graph)]
    for words in commands:
        print("running", *words, "in", folder, flush=True)
        sys.argv = words
        with settings_trace.record(words[0], traced):
            runpy.run_module(words[0], run_name="__main__")
"""


def stages(folder: Path, *commands: tuple[str, ...], **environment: str) -> str:
    """Run some stages of this checkout in a folder, and return what they printed."""
    words = [[f"stages.{name}", *arguments] for name, *arguments in commands]
    return run_together([(folder, words)], **environment)


def all_stages(*folders: Path, **environment: str) -> str:
    """Run every stage that DVC finds in each folder's dvc.yaml under its settings, and return what they printed."""
    return run_together([(folder, []) for folder in folders], **environment)


def commands(folder: Path, *arguments_of: tuple[str, ...], **environment: str) -> list[str]:
    """Run `chest-transfer` with some lists of arguments in a folder, and return what it printed for each."""
    words = [["chest_transfer.cli", *arguments] for arguments in arguments_of]
    output = run_together([(folder, words)], **environment)
    return re.split(r"^running chest_transfer\.cli .*\n", output, flags=re.MULTILINE)[1:]


def run_together(commands_of: list[tuple[Path, list[list[str]]]], **environment: str) -> str:
    """Run commands in their folders, all stages of the folder where there are none, and return what they printed."""
    words = json.dumps([(str(folder), commands) for folder, commands in commands_of])
    path = os.pathsep.join(str(ROOT / name) for name in ("", "src", "tests"))
    return run(commands_of[0][0], sys.executable, "-c", TOGETHER, words, PYTHONPATH=path, **environment).stdout


def all_recorded(folder: Path) -> str:
    """Do what `dvc repro` does, in a third of the time: `dvc commit` records what `all_stages` wrote and returns."""
    output = all_stages(folder)
    run(folder, "dvc", "commit", "--force", "--quiet")
    return output


# What TensorFlow's C++ writes while it is imported, before it reads its log level (tensorflow#100442).
TENSORFLOW_NOTES = ("WARNING: All log messages before absl::InitializeLog()", "I0000 ", "E0000 ", "W0000 ")


def refused(done: subprocess.CompletedProcess) -> str:
    """The one line with which a command refused; fails where it did anything else."""
    lines = [line for line in done.stderr.strip().splitlines() if not line.startswith(TENSORFLOW_NOTES)]
    assert done.returncode == 1, done.stdout + done.stderr
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


def toy_repository(parent: Path, **settings) -> Path:
    """This checkout's files, without results, as a Git repository of its own with these settings."""
    folder = parent / "repository"
    for name in run(ROOT, "git", "ls-files", "--cached", "--others", "--exclude-standard").stdout.splitlines():
        if not name.startswith(("tests/", "metrics/")) and name != "dvc.lock" and (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    change_settings(folder / "params.yaml", **settings)
    run(folder, "git", "init", "-q", "-b", "main")
    commit(folder, "Toy settings")
    return folder


def commit(folder: Path, message: str) -> None:
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-q", "-m", message)
