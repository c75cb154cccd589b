"""Experiments on several machines: each stage is a task of Dask, and DVC's remote carries what they make."""

import shlex
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chest_transfer.cluster.graph import Result, Stage, place_files, receive, stages
from chest_transfer.cluster.worker import Experiment, remove_clones, run_stage
from chest_transfer.errors import ChestTransferError

HEAVY = ("pretrained", "embed", "train", "finetune", "transfer", "as_is", "explain", "explain_finetuned")
RETRIES = 2  # of a stage that fails; one whose worker dies goes to another anyhow


def run_on_cluster(
    targets: list[str], changes: list[str], scheduler: str, workers: int, gpus: bool, folder: str, repository: str
) -> int:
    """Run the experiment of this folder, changed so or so, on Dask; how many stages failed or could not be run.

    Args:
        targets: stages, with all that they need; empty for the whole experiment.
        changes: of params.yaml, `model=cnn seed=2` for one experiment each; empty for the settings as they are.
        scheduler: the address of a running one (`tcp://host:8786`); empty for workers on this machine.
        workers: on this machine.
        gpus: whether stages that use a network ask for a worker with the resource GPU.
        folder: where workers keep their clones; empty for the temporary one.
        repository: the Git address that workers clone; empty for this folder's.

    Raises:
        ChestTransferError: uncommitted changes, no default remote, or no such stage.
    """
    from dask.distributed import Client

    experiments = [_experiment(change, repository) for change in changes or [""]]
    graphs = [_graph(experiment, targets) for experiment in experiments]
    with _workers(scheduler, workers, folder) as address, Client(address) as client:
        print(f"{len(experiments)} experiments; dashboard: {client.dashboard_link}", flush=True)
        _tell_what_lacks(client, address, gpus)
        plans = [
            _submitted(client, experiment, graph, gpus, folder)
            for experiment, graph in zip(experiments, graphs, strict=True)
        ]
        try:
            results = _collected(plans)
        finally:
            client.run(remove_clones, folder)
    failed = 0
    for change, plan, found in zip(changes or [""], plans, results, strict=True):
        failed += len(plan) - len(found)
        _restore(change, targets, [found[stage] for stage in plan if stage in found], len(found) == len(plan))
    return failed


def _experiment(change: str, repository: str) -> Experiment:
    if dirty := _git("status", "--porcelain", "--untracked-files=no"):
        raise ChestTransferError(f"workers see commits only, and '{dirty.split()[-1]}' is changed; run: git commit -a")
    from dvc.exceptions import InvalidArgumentError
    from dvc.repo import Repo
    from dvc.utils.hydra import apply_overrides

    with Repo() as repo:
        if not repo.config["core"].get("remote"):
            raise ChestTransferError("workers share results by a DVC remote; run: dvc remote add -d NAME ADDRESS")
    with tempfile.TemporaryDirectory() as name:
        settings = Path(name, "params.yaml")
        settings.write_bytes(Path("params.yaml").read_bytes())
        try:
            if change:
                apply_overrides(settings, shlex.split(change))
        except InvalidArgumentError:
            raise ChestTransferError(f"no setting can be '{change}' (allowed: KEY=VALUE of params.yaml)") from None
        content = settings.read_bytes()
    local = Path(".dvc/config.local")
    return Experiment(
        name="".join(letter if letter.isalnum() else "-" for letter in change) or "plain",
        repository=repository or str(Path.cwd()),
        commit=_git("rev-parse", "HEAD"),
        settings=content,
        secrets=local.read_bytes() if local.exists() else b"",
    )


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], capture_output=True, text=True, check=True).stdout.strip()


@contextmanager
def _workers(scheduler: str, workers: int, folder: str) -> Iterator[str]:
    """The address of a scheduler: the one given, or one of this machine with so many workers of one task each."""
    if scheduler:
        yield scheduler
        return
    from dask.distributed import LocalCluster

    with LocalCluster(
        n_workers=workers, threads_per_worker=1, local_directory=folder or None, dashboard_address="127.0.0.1:0",
        resources={"GPU": 1}, silence_logs="CRITICAL",
    ) as cluster:  # fmt: skip
        yield cluster.scheduler_address


def _tell_what_lacks(client, address: str, gpus: bool) -> None:
    """Stages wait for workers that may still come; say so, since nothing else is to be seen then."""
    held = client.scheduler_info(n_workers=-1)["workers"].values()
    lacking = "worker" if not held else "worker with a GPU" if gpus and not any(w["resources"] for w in held) else ""
    if lacking:
        resource = " --resources GPU=1" if gpus else ""
        print(f"no {lacking} yet; to start one: dask worker {address} --nthreads 1{resource}", flush=True)


def _graph(experiment: Experiment, targets: list[str]) -> list[Stage]:
    """`graph.stages` of an experiment's settings."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name, "copy")
        _git("clone", "--quiet", ".", str(copy))
        (copy / "params.yaml").write_bytes(experiment.settings)
        return stages(copy, targets)


def _submitted(client, experiment: Experiment, graph: list[Stage], gpus: bool, folder: str) -> dict:
    """Stage -> its task; each gets the results of all stages that it depends on, near or far."""
    before: dict[str, list[str]] = {}
    for stage in graph:
        before[stage.name] = list(dict.fromkeys(name for one in stage.waits for name in (*before[one], one)))
    waited_for = Counter(name for names in before.values() for name in names)
    tasks = {}
    for stage in graph:
        heavy = gpus and stage.name.split("@")[0] in HEAVY
        tasks[stage.name] = client.submit(
            run_stage, experiment, stage, folder, *(tasks[name] for name in before[stage.name]),
            key=f"{experiment.name}/{stage.name}", retries=RETRIES, resources={"GPU": 1} if heavy else None, pure=False,
            priority=waited_for[stage.name],  # first what most others wait for
        )  # fmt: skip
    return tasks


def _collected(plans: list[dict]) -> list[dict[str, Result]]:
    """What each plan's stages left, as they end; a line for each, with the log of one that failed."""
    from dask.distributed import as_completed

    names = {task.key: (number, stage) for number, plan in enumerate(plans) for stage, task in plan.items()}
    found: list[dict[str, Result]] = [{} for _ in plans]
    start = time.monotonic()
    for count, task in enumerate(as_completed([task for plan in plans for task in plan.values()]), 1):
        number, stage = names[task.key]
        if task.status == "finished":
            found[number][stage] = task.result()
            print(f"{count}/{len(names)} {task.key} after {time.monotonic() - start:.0f} s", flush=True)
        else:
            # Dask gives what waited for a failed stage that stage's exception.
            reason = str(task.exception())
            told = f"FAILED\n{reason}" if reason.startswith(f"{stage}:") else "not run"
            print(f"{count}/{len(names)} {task.key} {told}", flush=True)
    return found


def _restore(change: str, targets: list[str], results: list[Result], whole: bool) -> None:
    """Bring what the workers made into this folder; where all is there, DVC finds nothing to compute."""
    if change:
        place_files(Path(), results)
        subprocess.run(["dvc", "fetch", "--quiet", "--run-cache"], check=False)
        if whole:
            words = [word for part in shlex.split(change) for word in ("-S", part)]
            subprocess.run(["dvc", "exp", "run", "--pull", *words, *targets], check=True)
        return
    receive(Path(), results)
    words = ["dvc", "repro", "--pull", *targets] if whole else ["dvc", "pull", "--quiet", "--allow-missing"]
    subprocess.run(words, check=True)
