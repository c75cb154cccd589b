"""Run experiments on several machines: each stage is a Dask task, and the DVC remote carries the outputs."""

import shlex
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chest_transfer.cluster.graph import Result, Stage, apply_results, stages, write_files
from chest_transfer.cluster.worker import Experiment, remove_clones, run_stage
from chest_transfer.errors import ChestTransferError
from chest_transfer.git import check_commit, git

GPU_STAGES = (
    "lungs",
    "preprocess",
    "external_preprocess",
    "pretrained",
    "embed",
    "train",
    "finetune",
    "transfer",
    "as_is",
    "adapted",
    "degraded",
    "external",
    "explain",
)
RETRIES = 2  # of a stage that fails; Dask itself moves the tasks of a worker that dies


def run_on_cluster(
    targets: list[str], changes: list[str], scheduler: str, workers: int, gpus: bool, folder: str, repository: str
) -> int:
    """Run the experiment in this folder, or variants of it, on Dask, and bring the outputs into this folder.

    Args:
        targets: List of strings, stages to run with all that they depend on. Empty for all stages.
        changes: List of strings, changes to params.yaml such as `"model=cnn seeds=[2]"`, one experiment each. Empty for
            one experiment with the settings as they are.
        scheduler: String, address of a running scheduler (`tcp://host:8786`). Empty for workers on this machine.
        workers: Integer, number of workers on this machine.
        gpus: Boolean, whether stages that use a network need a worker with the resource `GPU`.
        folder: String, folder for the clones of workers. Empty for the temporary folder.
        repository: String, Git address that workers clone. Empty for this folder.

    Returns:
        Integer, the number of stages that failed or could not be run.

    Raises:
        ChestTransferError: If there are uncommitted changes or no default remote, or a stage or setting is unknown.
    """
    from dask.distributed import Client

    changes = changes or [""]
    experiments = [_experiment(change, repository) for change in changes]
    graphs = [_stages_of(experiment, targets) for experiment in experiments]
    with _scheduler_address(scheduler, workers, folder) as address, Client(address) as client:
        plural = "s" if len(experiments) > 1 else ""
        print(f"{len(experiments)} experiment{plural}; dashboard: {client.dashboard_link}", flush=True)
        _report_missing_workers(client, address, gpus)
        tasks = [
            _submit(client, experiment, graph, gpus, folder)
            for experiment, graph in zip(experiments, graphs, strict=True)
        ]
        try:
            results = _wait_for_results(tasks)
        finally:
            client.run(remove_clones, folder)
    failed = 0
    for change, submitted, finished in zip(changes, tasks, results, strict=True):
        failed += len(submitted) - len(finished)
        in_order = [finished[stage] for stage in submitted if stage in finished]
        _restore(change, targets, in_order, is_complete=len(finished) == len(submitted))
    return failed


def _experiment(change: str, repository: str) -> Experiment:
    _check_repository()
    local_config = Path(".dvc/config.local")
    return Experiment(
        name=change or "default",
        repository=repository or str(Path.cwd()),
        commit=git("rev-parse", "HEAD"),
        settings=_changed_settings(change),
        credentials=local_config.read_bytes() if local_config.exists() else b"",
    )


def _check_repository() -> None:
    from dvc.repo import Repo

    check_commit("workers clone the last commit")
    if changed := git("status", "--porcelain", "--untracked-files=no"):
        raise ChestTransferError(
            f"workers clone the last commit, but '{changed.split()[-1]}' has uncommitted changes; run: git commit -a"
        )
    with Repo() as repo:
        if not repo.config["core"].get("remote"):
            raise ChestTransferError(
                "workers share outputs through a DVC remote, and there is no default one; "
                "run: dvc remote add -d NAME ADDRESS"
            )


def _changed_settings(change: str) -> bytes:
    """Return the content of params.yaml after a change such as `"model=cnn seeds=[2]"`."""
    from dvc.exceptions import InvalidArgumentError
    from dvc.utils.hydra import apply_overrides

    with tempfile.TemporaryDirectory() as name:
        settings = Path(name, "params.yaml")
        settings.write_bytes(Path("params.yaml").read_bytes())
        try:
            if change:
                apply_overrides(settings, shlex.split(change))
        except InvalidArgumentError:
            raise ChestTransferError(f"invalid change '{change}' (allowed: KEY=VALUE of params.yaml)") from None
        return settings.read_bytes()


@contextmanager
def _scheduler_address(scheduler: str, workers: int, folder: str) -> Iterator[str]:
    """Yield the address of the given scheduler, or of a new one with workers of one thread on this machine."""
    if scheduler:
        yield scheduler
        return
    from dask.distributed import LocalCluster

    with LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        local_directory=folder or None,
        dashboard_address="127.0.0.1:0",
        resources={"GPU": 1},
        silence_logs="CRITICAL",
    ) as cluster:
        yield cluster.scheduler_address


def _report_missing_workers(client, address: str, gpus: bool) -> None:
    """Print how to start a worker if none can take the stages, which would otherwise wait silently."""
    # -1 stands for all workers; some versions of Dask return only the first few by default.
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    if not workers:
        missing = "worker"
    elif gpus and not any("GPU" in worker["resources"] for worker in workers):
        missing = "worker with a GPU"
    else:
        return
    resource = " --resources GPU=1" if gpus else ""
    print(f"no {missing} yet; to start one: dask worker {address} --nthreads 1{resource}", flush=True)


def _stages_of(experiment: Experiment, targets: list[str]) -> list[Stage]:
    """Return the stages of an experiment; they depend on its settings."""
    with tempfile.TemporaryDirectory() as name:
        clone = Path(name, "clone")
        git("clone", "--quiet", ".", str(clone))
        (clone / "params.yaml").write_bytes(experiment.settings)
        return stages(clone, targets)


def _submit(client, experiment: Experiment, graph: list[Stage], gpus: bool, folder: str) -> dict:
    """Submit the stages of an experiment; each gets the results of all stages that it depends on.

    Returns:
        Dictionary of stage name to Dask future.
    """
    ancestors: dict[str, list[str]] = {}
    for stage in graph:
        names = [name for parent in stage.dependencies for name in (*ancestors[parent], parent)]
        ancestors[stage.name] = list(dict.fromkeys(names))
    # Stages that most others depend on are run first.
    descendants = Counter(name for names in ancestors.values() for name in names)
    tasks = {}
    for stage in graph:
        needs_gpu = gpus and stage.name.split("@")[0] in GPU_STAGES
        tasks[stage.name] = client.submit(
            run_stage,
            experiment,
            stage,
            folder,
            *(tasks[name] for name in ancestors[stage.name]),
            key=f"{experiment.name}/{stage.name}",
            retries=RETRIES,
            resources={"GPU": 1} if needs_gpu else None,
            pure=False,
            priority=descendants[stage.name],
        )
    return tasks


def _wait_for_results(tasks: list[dict]) -> list[dict[str, Result]]:
    """Wait for the tasks of each experiment, and print a line as each ends, with the log of one that failed.

    Returns:
        List of dictionaries of stage name to `Result`, of the stages that succeeded in each experiment.
    """
    from dask.distributed import as_completed

    sources = {
        task.key: (experiment, stage) for experiment, of_stage in enumerate(tasks) for stage, task in of_stage.items()
    }
    results: list[dict[str, Result]] = [{} for _ in tasks]
    start = time.monotonic()
    all_tasks = [task for of_stage in tasks for task in of_stage.values()]
    for count, task in enumerate(as_completed(all_tasks), 1):
        experiment, stage = sources[task.key]
        if task.status == "finished":
            results[experiment][stage] = task.result()
            outcome = f"after {time.monotonic() - start:.0f} s"
        else:
            # A task that was not run, since it depends on one that failed, has that one's exception.
            reason = str(task.exception())
            outcome = f"FAILED\n{reason}" if reason.startswith(f"{stage}:") else "not run"
        print(f"{count}/{len(sources)} {task.key} {outcome}", flush=True)
    return results


def _restore(change: str, targets: list[str], results: list[Result], is_complete: bool) -> None:
    """Bring the results of an experiment into this folder; if it is complete, DVC has nothing left to compute."""
    if change:
        write_files(Path(), results)
        subprocess.run(["dvc", "fetch", "--quiet", "--run-cache"], check=False)
        if is_complete:
            options = [option for override in shlex.split(change) for option in ("-S", override)]
            subprocess.run(["dvc", "exp", "run", "--pull", *options, *targets], check=True)
        return
    apply_results(Path(), results)
    command = ["dvc", "repro", "--pull", *targets] if is_complete else ["dvc", "pull", "--quiet", "--allow-missing"]
    subprocess.run(command, check=True)
