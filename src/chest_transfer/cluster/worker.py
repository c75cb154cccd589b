"""On a worker: one stage in a clone of its own, its inputs pulled from the remote, its outputs pushed to it."""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from chest_transfer.cluster.graph import Result, Stage, receive, result_of

PREFIX = "chest-transfer-clone-"
_clones: dict[tuple[str, ...], Path] = {}  # made by this process: (folder, repository, commit, experiment) -> clone


@dataclass(frozen=True)
class Experiment:
    """What every worker must know to run a stage of an experiment.

    Args:
        name: of the experiment.
        repository: a Git address that workers reach.
        commit: to check out.
        settings: the content of params.yaml.
        secrets: the content of .dvc/config.local, where remotes keep their credentials; often empty.
    """

    name: str
    repository: str
    commit: str
    settings: bytes
    secrets: bytes


class StageFailed(Exception):
    """A stage that did not come to its end; the message holds the last lines of what it printed."""


def run_stage(experiment: Experiment, stage: Stage, folder: str, *results: Result) -> Result:
    """Run one stage; what it left.

    Args:
        experiment: whose stage it is.
        stage: to run.
        folder: where clones are kept on this machine; a temporary one if empty.
        results: of the stages that it depends on, and of all before those.
    """
    clone = _clone(experiment, folder)
    (clone / "params.yaml").write_bytes(experiment.settings)
    receive(clone, list(results))
    if missing := [path for path in stage.inputs if not (clone / path).exists()]:
        _run(clone, stage.name, "dvc", "pull", "--quiet", *missing)
    # With --pull, what another worker has already made is taken from the remote's run cache: a stage is not run twice.
    _run(clone, stage.name, "dvc", "repro", "--single-item", "--pull", stage.name)
    _run(clone, stage.name, "dvc", "push", "--quiet", "--run-cache", stage.name)
    return result_of(clone, stage)


def remove_clones(folder: str) -> None:
    """Remove the clones that this process has made in a folder; empty for the temporary one."""
    for key in [key for key in _clones if key[0] == folder]:
        shutil.rmtree(_clones.pop(key).parent, ignore_errors=True)


def _clone(experiment: Experiment, folder: str) -> Path:
    """This process's clone of an experiment's commit, made when it is first needed.

    It lies in a new folder that only this user can enter. One that exists already is never used: in the shared
    temporary folder, another user of the machine could have put code into it.
    """
    key = folder, experiment.repository, experiment.commit, experiment.name
    if key not in _clones:
        private = Path(tempfile.mkdtemp(prefix=PREFIX, dir=folder or None))  # with mode 0700
        try:
            clone = private / "repository"
            _run(private, "the clone", "git", "clone", "--quiet", experiment.repository, str(clone))
            _run(clone, "the clone", "git", "checkout", "--quiet", experiment.commit)
            if experiment.secrets:
                (clone / ".dvc/config.local").write_bytes(experiment.secrets)
        except BaseException:
            shutil.rmtree(private, ignore_errors=True)
            raise
        _clones[key] = clone
    return _clones[key]


def _run(folder: Path, stage: str, *words: str) -> None:
    # `dvc` and `python` of this worker's environment, the package of the clone's commit.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": "src"}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise StageFailed(f"{stage}: {' '.join(words[:3])} exited with {done.returncode}\n{last}")
