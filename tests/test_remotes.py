"""Remotes: models pushed to a folder, SSH, S3 and back over HTTP; a fresh clone pulls them and trains nothing."""

import contextlib
import functools
import getpass
import http.server
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest
from conftest import TOY, commit, run, toy_repository

from chest_transfer.networks.facts import StartingFacts
from chest_transfer.networks.saving import read_facts

SSHD = shutil.which("sshd") or shutil.which("/usr/sbin/sshd")
TRAINED = ("probe", "pretrained", "embed", "train", "download", "preprocess", "pictures", "explain")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def listening(words: list, port: int, **environment: str):
    """A server of its own process, until the block ends."""
    process = subprocess.Popen(words, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None, process.stdout.read().decode()
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.communicate(timeout=30)


@contextlib.contextmanager
def folder_remote(folder):
    yield str(folder / "storage"), {}, {}


@contextlib.contextmanager
def s3_remote(folder):
    import boto3

    port = free_port()
    environment = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    with listening([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port):
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", **keys).create_bucket(Bucket="models")
        yield "s3://models/chest", {"endpointurl": f"http://127.0.0.1:{port}"}, environment


@contextlib.contextmanager
def ssh_remote(folder):
    port = free_port()
    for name in ("host", "user"):
        run(folder, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {folder}/user.pub\nPasswordAuthentication no\nSubsystem sftp internal-sftp\n"
    )
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", exist_ok=True)  # noqa: PTH103 - sshd asks for it when root starts it
    options = {"port": str(port), "user": getpass.getuser(), "keyfile": str(folder / "user"), "allow_agent": "false"}
    with listening([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], port):
        yield f"ssh://127.0.0.1{folder}/storage", options, {}


def missing(module: str) -> bool:
    return importlib.util.find_spec(module) is None


REMOTES = {"folder": folder_remote, "s3": s3_remote, "ssh": ssh_remote}
LACKING = {
    "folder": "",
    "s3": "needs dvc-s3 and moto" if missing("dvc_s3") or missing("moto") else "",
    "ssh": "needs dvc-ssh and OpenSSH's server" if missing("dvc_ssh") or not SSHD else "",
}


@pytest.fixture(scope="module")
def remotes(tmp_path_factory):
    """The remotes that can be had here: name -> environment; beside them the repository that pushed to each.

    It holds two backbones, pushed one after the other; the second is in the workspace.
    """
    parent = tmp_path_factory.mktemp("remotes")
    folder = toy_repository(parent, **(TOY | {"train__weights": []}))
    with contextlib.ExitStack() as stack:
        environments = {}
        for name in (name for name, reason in LACKING.items() if not reason):
            (parent / name).mkdir()
            url, options, environments[name] = stack.enter_context(REMOTES[name](parent / name))
            run(folder, "dvc", "remote", "add", name, url)
            for key, value in options.items():
                run(folder, "dvc", "remote", "modify", name, key, value)
        for model in ("cnn", "cnn_strided"):
            run(folder, "dvc", "exp", "run", "-S", f"model={model}", "pretrained")
            for name, environment in environments.items():
                run(folder, "dvc", "push", "-r", name, **environment)
        commit(folder, "Two backbones")
        yield folder, environments


@pytest.fixture
def repository(remotes, tmp_path):
    """A copy of it, to change."""
    return shutil.copytree(remotes[0], tmp_path / "repository", symlinks=True)


def cloned(folder, parent):
    run(parent, "git", "clone", "-q", str(folder), "clone")
    return parent / "clone"


@pytest.mark.parametrize("name", REMOTES)
def test_what_is_pushed_is_pulled_and_not_trained_again(remotes, tmp_path, name):
    if LACKING[name]:
        pytest.skip(LACKING[name])
    folder, environments = remotes
    clone = cloned(folder, tmp_path)
    run(clone, "dvc", "config", "core.remote", name)
    pulled = run(clone, "dvc", "exp", "run", "--pull", "-S", "model=cnn", "pretrained", **environments[name])
    assert not re.search(f"Running stage '({'|'.join(TRAINED)})", pulled.stdout), pulled.stdout
    assert read_facts(clone / "models/pretrained/cnn/none.keras", StartingFacts).backbone == "cnn"


def test_a_folder_served_over_http_is_a_remote_to_read_from(remotes, repository, tmp_path):
    folder = remotes[0].parent / "folder/storage"
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        run(repository, "dvc", "remote", "add", "-d", "public", f"http://127.0.0.1:{server.server_port}")
        commit(repository, "A remote for everybody")
        pulled = run(cloned(repository, tmp_path), "dvc", "repro", "--pull", "pretrained")
        server.shutdown()
    assert not re.search(f"Running stage '({'|'.join(TRAINED)})", pulled.stdout), pulled.stdout
    assert (tmp_path / "clone/models/pretrained/cnn_strided/none.keras").exists()
