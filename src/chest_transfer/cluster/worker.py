"""On a worker: one stage in a clone of its own, its inputs pulled from the remote, its outputs pushed to it."""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from chest_transfer.cluster.graph import Result, Stage, receive, result_of

CLONE = "chest-transfer-clone"


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
    clone = _clone(experiment, Path(folder or tempfile.gettempdir()))
    (clone / "params.yaml").write_bytes(experiment.settings)
    receive(clone, list(results))
    if missing := [path for path in stage.inputs if not (clone / path).exists()]:
        _run(clone, stage.name, "dvc", "pull", "--quiet", *missing)
    # With --pull, what another worker has already made is taken from the remote's run cache: a stage is not run twice.
    _run(clone, stage.name, "dvc", "repro", "--single-item", "--pull", stage.name)
    _run(clone, stage.name, "dvc", "push", "--quiet", "--run-cache", stage.name)
    return result_of(clone, stage)


def remove_clones(folder: str) -> None:
    """Remove this process's clones."""
    for clone in Path(folder or tempfile.gettempdir()).glob(f"{CLONE}-{os.getpid()}-*"):
        shutil.rmtree(clone, ignore_errors=True)


def _clone(experiment: Experiment, folder: Path) -> Path:
    """This process's clone of an experiment's commit, made when it is first needed."""
    clone = folder / f"{CLONE}-{os.getpid()}-{experiment.name}-{experiment.commit[:12]}"
    if not (clone / "dvc.yaml").exists():
        _run(folder, "the clone", "git", "clone", "--quiet", experiment.repository, str(clone))
        _run(clone, "the clone", "git", "checkout", "--quiet", experiment.commit)
        if experiment.secrets:
            (clone / ".dvc/config.local").write_bytes(experiment.secrets)
    return clone


def _run(folder: Path, stage: str, *words: str) -> None:
    # `dvc` and `python` of this worker's environment, the package of the clone's commit.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": "src"}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise StageFailed(f"{stage}: {' '.join(words[:3])} exited with {done.returncode}\n{last}")
