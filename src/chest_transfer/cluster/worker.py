"""What a Dask worker does: it runs one stage in a clone of its own, and shares the outputs by the DVC remote."""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from chest_transfer.cluster.graph import Result, Stage, apply_results, collect_result

CLONE_PREFIX = "chest-transfer-clone-"
LOG_LINES = 15  # of a failed command, in its error message
_clones: dict[tuple[str, ...], Path] = {}  # made by this process: (folder, repository, commit, experiment) -> clone


@dataclass(frozen=True)
class Experiment:
    """What a worker needs to know to run the stages of an experiment.

    Args:
        name: String, the experiment's name.
        repository: String, Git address that workers can reach.
        commit: String, hash of the commit to check out.
        settings: Bytes, content of params.yaml.
        credentials: Bytes, content of .dvc/config.local, where DVC keeps the credentials of remotes. May be empty.
    """

    name: str
    repository: str
    commit: str
    settings: bytes
    credentials: bytes


class StageFailed(Exception):
    """A command of a stage failed; the message ends with the last lines of its output."""


def run_stage(experiment: Experiment, stage: Stage, folder: str, *results: Result) -> Result:
    """Run one stage, and push its outputs to the DVC remote.

    Args:
        experiment: `Experiment` that the stage belongs to.
        stage: `Stage` to run.
        folder: String, folder for clones on this machine. Empty for the temporary folder.
        *results: `Result` of each stage that it depends on, directly or indirectly.

    Returns:
        The `Result` of the stage.

    Raises:
        StageFailed: If a command of Git, of DVC or of the stage itself fails.
    """
    clone = _clone(experiment, folder)
    (clone / "params.yaml").write_bytes(experiment.settings)
    apply_results(clone, list(results))
    if missing := [path for path in stage.inputs if not (clone / path).exists()]:
        _run(clone, stage.name, "dvc", "pull", "--quiet", *missing)
    # --pull takes the outputs from the remote's run cache if another worker has run the stage already.
    _run(clone, stage.name, "dvc", "repro", "--single-item", "--pull", stage.name)
    _run(clone, stage.name, "dvc", "push", "--quiet", "--run-cache", stage.name)
    return collect_result(clone, stage)


def remove_clones(folder: str) -> None:
    """Remove the clones that this process has made in `folder`; empty for the temporary folder."""
    for key in [key for key in _clones if key[0] == folder]:
        shutil.rmtree(_clones.pop(key).parent, ignore_errors=True)


def _clone(experiment: Experiment, folder: str) -> Path:
    """Return this process's clone of an experiment's commit, and make it when it is first needed.

    It lies in a new folder that only this user can enter. One that exists already is never used: in the shared
    temporary folder, another user of the machine could have put code into it.
    """
    key = folder, experiment.repository, experiment.commit, experiment.name
    if key not in _clones:
        private = Path(tempfile.mkdtemp(prefix=CLONE_PREFIX, dir=folder or None))  # with mode 0700
        try:
            clone = private / "repository"
            _run(private, "the clone", "git", "clone", "--quiet", experiment.repository, str(clone))
            _run(clone, "the clone", "git", "checkout", "--quiet", experiment.commit)
            if experiment.credentials:
                (clone / ".dvc/config.local").write_bytes(experiment.credentials)
        except BaseException:
            shutil.rmtree(private, ignore_errors=True)
            raise
        _clones[key] = clone
    return _clones[key]


def _run(folder: Path, stage_name: str, *command: str) -> None:
    # The `dvc` and `python` of this worker's environment, and the package as of the clone's commit.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": "src"}
    completed = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if completed.returncode:
        output = (completed.stdout + completed.stderr).strip().splitlines()
        log = "\n".join(output[-LOG_LINES:])
        raise StageFailed(f"{stage_name}: {' '.join(command[:3])} exited with {completed.returncode}\n{log}")
