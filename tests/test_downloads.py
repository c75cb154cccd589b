"""Downloads from a real server on loopback with the routes of the Kaggle client, and archives of this machine."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ENVIRONMENT, ROOT, change_settings, grey, make_zip, refused, run, stage, toy_repository

from chest_transfer.data.catalog import CATALOG, Web
from chest_transfer.data.downloads import fetch
from chest_transfer.errors import ChestTransferError
from chest_transfer.phantom.archive import write_archive
from chest_transfer.settings import Phantom

MEBIBYTE = 1 << 20  # the client writes in pieces of this size; a smaller one is lost when the connection breaks
CREDENTIALS = {"KAGGLE_USERNAME": "somebody", "KAGGLE_KEY": "secret"}


@pytest.fixture
def archive(tmp_path) -> Path:
    return make_zip(
        tmp_path / "published.zip",
        {f"chest_xray/{split}/NORMAL/IM-{n:04d}-0001.jpeg": os.urandom(150_000)
         for split in ("train", "test") for n in range(20)},
    )  # fmt: skip


@contextlib.contextmanager
def serving(archive: Path, behavior: str, tmp_path: Path):
    """Run the server in a process of its own; yields a function that returns the requests so far."""
    log = tmp_path / "requests.txt"
    with log.open("w") as out:
        server = subprocess.Popen(
            [sys.executable, ROOT / "tests/kaggle_server.py", archive, behavior], stdout=out, stderr=out
        )
    try:
        for _ in range(100):
            if "ready" in log.read_text():
                break
            time.sleep(0.1)
        yield lambda: log.read_text().splitlines()
    finally:
        server.kill()
        server.wait()


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    """A home without credentials, an empty cache, and the address of the server for the client."""
    for folder in ("home", "cache"):
        (tmp_path / folder).mkdir(exist_ok=True)
    return {
        "HOME": str(tmp_path / "home"),
        "CHEST_TRANSFER_CACHE": str(tmp_path / "cache"),
        "KAGGLE_API_ENVIRONMENT": "TEST",
        "PYTHONPATH": str(ROOT),
        **more,
    }


def download(project: Path, tmp_path: Path, **more: str):
    change_settings(project / "params.yaml", source="kaggle")
    return run(
        project, sys.executable, "-m", "stages.download", "pneumonia", check=False, **environment(tmp_path, **more)
    )


def leftovers(project: Path) -> list[str]:
    raw = project / "data/raw"
    return sorted(path.name for path in raw.iterdir()) if raw.exists() else []


def test_an_archive_is_complete_and_its_checksum_is_recorded(project, archive, tmp_path):
    with serving(archive, "ok", tmp_path) as requests:
        done = download(project, tmp_path, **CREDENTIALS)
    assert done.returncode == 0, done.stderr
    assert (project / "data/raw/pneumonia.zip").read_bytes() == archive.read_bytes()
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert (project / "data/checksums.txt").read_text() == f"{digest}  pneumonia\n"
    assert '"ownerSlug": "paultimothymooney", "datasetSlug": "chest-xray-pneumonia"' in requests()[1]
    assert leftovers(project) == ["pneumonia.zip"]


def test_a_second_download_needs_no_network(project, archive, tmp_path):
    with serving(archive, "ok", tmp_path):
        download(project, tmp_path, **CREDENTIALS)
    shutil.rmtree(project / "data/raw")
    assert download(project, tmp_path).returncode == 0
    assert (project / "data/raw/pneumonia.zip").read_bytes() == archive.read_bytes()


def test_a_cached_download_that_was_damaged_is_refused(project, archive, tmp_path):
    with serving(archive, "ok", tmp_path):
        download(project, tmp_path, **CREDENTIALS)
    cached = next((tmp_path / "cache").glob("*.zip"))
    cached.write_bytes(cached.read_bytes()[:-1] + b"x")
    assert "was damaged after its download" in refused(download(project, tmp_path))
    cached.unlink()
    with serving(archive, "ok", tmp_path):
        assert download(project, tmp_path, **CREDENTIALS).returncode == 0
    assert (project / "data/raw/pneumonia.zip").read_bytes() == archive.read_bytes()


def test_three_datasets_of_one_archive_are_downloaded_once_and_take_the_disk_space_of_one(tmp_path):
    archive = tmp_path / "published.zip"
    write_archive(CATALOG["nih"], Phantom(seed=1, patients=20, image_size=48), archive)
    folder = toy_repository(tmp_path, datasets=["nih", "nih_top15", "nih_balanced"], source="kaggle")
    with serving(archive, "ok", tmp_path) as requests:
        run(folder, "dvc", "repro", "download", **environment(tmp_path, **CREDENTIALS))
    assert sum(request.startswith("GET /file") for request in requests()) == 1
    copies = list((tmp_path / "cache").glob("*.zip")) + list((folder / "data/raw").glob("*.zip"))
    copies += [path for path in (folder / ".dvc/cache").rglob("*") if path.is_file() and zipfile.is_zipfile(path)]
    assert len(copies) == 5
    assert {path.read_bytes() for path in copies} == {archive.read_bytes()}
    assert len({path.stat().st_ino for path in copies}) == 1


def test_a_connection_that_breaks_is_resumed(project, archive, tmp_path):
    with serving(archive, "cut", tmp_path) as requests:
        done = download(project, tmp_path, **CREDENTIALS)
    assert done.returncode == 0, done.stderr
    assert (project / "data/raw/pneumonia.zip").read_bytes() == archive.read_bytes()
    received = archive.stat().st_size // 2 // MEBIBYTE * MEBIBYTE
    assert requests()[-1] == f"GET /file bytes={received}-"


def test_a_killed_download_is_resumed_by_the_next_run(project, archive, tmp_path):
    change_settings(project / "params.yaml", source="kaggle")
    partial = tmp_path / "cache/paultimothymooney_chest-xray-pneumonia.zip"
    half = archive.stat().st_size // 2
    with serving(archive, "hang", tmp_path) as requests:
        process = subprocess.Popen(
            [sys.executable, "-m", "stages.download", "pneumonia"], cwd=project,
            env={**ENVIRONMENT, **environment(tmp_path, **CREDENTIALS)}, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for _ in range(300):
            if "GET /file None" in requests():
                break
            time.sleep(0.1)
        time.sleep(2)
        process.kill()
        process.wait()
        received = partial.stat().st_size
        assert 0 < received <= half
        assert leftovers(project) == []
        done = download(project, tmp_path, **CREDENTIALS)
        assert done.returncode == 0, done.stderr
        assert f"GET /file bytes={received}-" in requests()
    assert (project / "data/raw/pneumonia.zip").read_bytes() == archive.read_bytes()


@pytest.mark.parametrize(
    ("behavior", "message"),
    [
        ("401", "answered 401; the credentials are wrong or expired; create a new token at"),
        ("403", "answered 403; open https://www.kaggle.com/datasets/paultimothymooney/chest-xray-pneumonia in a"),
        ("404", "answered 404; the dataset has moved; look it up and give its archive under `sources`"),
        ("html", "is not a complete zip archive; run it again"),
        ("huge", "the disk is full: "),
    ],
)
def test_a_failed_download_is_an_error_of_one_line_and_leaves_nothing(project, archive, tmp_path, behavior, message):
    with serving(archive, behavior, tmp_path):
        done = download(project, tmp_path, **CREDENTIALS)
    assert message in refused_by_download(done)
    assert leftovers(project) == []


def refused_by_download(done) -> str:
    """The error in one line, as `refused`, but stderr also has the progress bar of the client."""
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 1
    assert len(errors) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return errors[0]


def test_missing_credentials_are_an_error(project, tmp_path):
    assert "no Kaggle credentials; create a token at" in refused(download(project, tmp_path))


def test_no_network_is_an_error(project, tmp_path):
    error = refused(download(project, tmp_path, **CREDENTIALS))
    assert "no connection to https://www.kaggle.com/datasets/paultimothymooney/chest-xray-pneumonia" in error


def test_an_archive_other_than_at_the_first_download_is_refused(project, archive, tmp_path):
    (project / "data").mkdir()
    (project / "data/checksums.txt").write_text(f"{'0' * 64}  pneumonia\n")
    with serving(archive, "ok", tmp_path):
        done = download(project, tmp_path, **CREDENTIALS)
    assert "it is damaged or another version" in refused_by_download(done)
    assert leftovers(project) == []


@pytest.mark.parametrize("behavior", ["ok", "cut", "404"])
def test_mendeley_is_downloaded_over_http_without_an_account(archive, tmp_path, monkeypatch, behavior):
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    mendeley = replace(CATALOG["mendeley"], origin=Web("http://localhost:7777/ChestXRay2017.zip", "ChestXRay2017.zip"))
    target, checksums = tmp_path / "raw/mendeley.zip", tmp_path / "checksums.txt"
    with serving(archive, behavior, tmp_path) as requests:
        if behavior == "404":
            with pytest.raises(
                ChestTransferError, match=r"ChestXRay2017.zip answered 404; fetch it with a browser and"
            ):
                fetch(mendeley, "kaggle", target, checksums)
            assert not target.exists()
            return
        fetch(mendeley, "kaggle", target, checksums)
    assert target.read_bytes() == archive.read_bytes()
    assert checksums.read_text().endswith("  mendeley\n")
    assert (" bytes=" in requests()[-1]) == (behavior == "cut")


@pytest.mark.parametrize("kind", ["zip", "folder", "folder of archives", "sources"])
def test_an_archive_of_this_machine_is_packed(project, archive, tmp_path, kind):
    if kind == "sources":
        change_settings(project / "params.yaml", sources={"pneumonia": str(archive)})
    elif kind == "zip":
        change_settings(project / "params.yaml", source=str(archive))
    elif kind == "folder":
        with zipfile.ZipFile(archive) as members:
            members.extractall(tmp_path / "unpacked")
        change_settings(project / "params.yaml", source=str(tmp_path / "unpacked"))
    else:
        (tmp_path / "archives").mkdir()
        shutil.copy(archive, tmp_path / "archives/chest-xray-pneumonia.zip")
        change_settings(project / "params.yaml", source=str(tmp_path / "archives"))
    stage(project, "download", "pneumonia")
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(project / "data/raw/pneumonia.zip") as packed:
        assert sorted(packed.namelist()) == sorted(source.namelist())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"sources": {"pneumonia": "/nowhere.zip"}},
            "no archive of 'pneumonia' at '/nowhere.zip' (allowed: phantom, kag",
        ),
        ({"source": "kagle"}, "no archive of 'pneumonia' at 'kagle' (allowed: phantom, kaggle, or a path that exists)"),
        ({"sources": {"pneumonai": "x.zip"}}, "unknown dataset 'pneumonai'; did you mean 'pneumonia'?"),
    ],
)
def test_a_wrong_source_is_an_error_of_one_line(project, changes, message):
    change_settings(project / "params.yaml", **changes)
    assert message in refused(stage(project, "download", "pneumonia", check=False))
    assert leftovers(project) == []


def test_a_truncated_archive_is_refused(project, archive):
    archive.write_bytes(archive.read_bytes()[:-100])
    change_settings(project / "params.yaml", source=str(archive))
    assert "is not a zip archive, tar archive or folder" in refused(
        stage(project, "download", "pneumonia", check=False)
    )
    assert leftovers(project) == []


CAN_MOUNT = subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not CAN_MOUNT, reason="needs a mount namespace to make a full disk")
@pytest.mark.parametrize("words", [("download", "pneumonia"), ("preprocess", "pneumonia")])
def test_a_full_disk_is_an_error_of_one_line(project, words, tmp_path):
    members = {f"chest_xray/{split}/{name}/IM-{n:04d}-0001.jpeg": grey(n, 128)
               for split in ("train", "test") for name in ("NORMAL", "PNEUMONIA") for n in range(40)}  # fmt: skip
    source = make_zip(tmp_path / "a.zip", members)
    change_settings(project / "params.yaml", source=str(source), image_size=256)
    if words[0] == "preprocess":
        stage(project, "download", "pneumonia")
    small = project / ("data/raw" if words[0] == "download" else "data/arrays")
    small.mkdir(parents=True)
    command = f"mount -t tmpfs -o size=200k none {small} && {sys.executable} -m stages.{' '.join(words)}; code=$?; "
    command += f"ls {small}; exit $code"
    done = run(project, "unshare", "-rm", "sh", "-c", command, check=False, PYTHONPATH=str(ROOT))
    assert "the disk is full" in refused_by_download(done)
    assert done.stdout.strip() == ""
