"""The stages of an experiment as DVC sees them, and what a stage leaves behind outside DVC's cache."""

from dataclasses import dataclass
from pathlib import Path

from chest_transfer.errors import ChestTransferError
from chest_transfer.files import atomic_write
from chest_transfer.lockfile import read_lock, write_lock


@dataclass(frozen=True)
class Stage:
    """What a worker needs to know to run a stage.

    Args:
        name: String, the stage's name in DVC.
        dependencies: Tuple of strings, names of the stages that it depends on directly.
        inputs: Tuple of strings, paths of the cached outputs of other stages that it reads, in whole or in part.
        uncached_outputs: Tuple of strings, paths of its outputs that are tracked by Git instead of DVC (metrics).
    """

    name: str
    dependencies: tuple[str, ...]
    inputs: tuple[str, ...]
    uncached_outputs: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """What a stage that has been run leaves behind, besides the outputs in the DVC remote.

    Args:
        stage: String, the stage's name in DVC.
        lock_entry: Dictionary, its entry in dvc.lock.
        files: Dictionary of path to content, its uncached outputs.
    """

    stage: str
    lock_entry: dict
    files: dict[str, bytes]


def stages(folder: Path, targets: list[str]) -> list[Stage]:
    """Return the target stages and all that they depend on, each after its dependencies.

    Args:
        folder: Path, root of a DVC repository.
        targets: List of strings, names of stages. A name without the part after `@` stands for all of its stages. Empty
            for all stages.

    Raises:
        ChestTransferError: If a target is not a stage.
    """
    import networkx
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    with Repo(str(folder)) as repo:
        graph = repo.index.graph
        try:
            selected = [stage for target in targets for stage in repo.stage.collect(f"{folder}/dvc.yaml:{target}")]
        except DvcException:
            names = ", ".join(stage.name for stage in repo.index.stages)
            raise ChestTransferError(f"no stage among {', '.join(targets)} (allowed: {names})") from None
        needed = set()
        for stage in selected:
            needed |= {stage, *networkx.descendants(graph, stage)}
        if not targets:
            needed = set(graph)
        cached_outputs = {_relative_path(repo, out) for stage in graph for out in stage.outs if out.use_cache}
        return [
            _stage(repo, graph, stage, cached_outputs)
            for stage in networkx.dfs_postorder_nodes(graph)
            if stage in needed
        ]


def _stage(repo, graph, dvc_stage, cached_outputs: set[Path]) -> Stage:
    dependencies = tuple(other.name for other in graph.successors(dvc_stage))
    paths = [_relative_path(repo, dependency) for dependency in dvc_stage.deps]
    # A stage may read a folder that holds several outputs, or a part of an output that is a folder.
    inputs = {
        output
        for output in cached_outputs
        for path in paths
        if output.is_relative_to(path) or path.is_relative_to(output)
    }
    uncached = tuple(str(_relative_path(repo, output)) for output in dvc_stage.outs if not output.use_cache)
    return Stage(dvc_stage.name, dependencies, tuple(sorted(map(str, inputs))), uncached)


def _relative_path(repo, file) -> Path:
    return Path(file.fs_path).relative_to(repo.root_dir)


def collect_result(folder: Path, stage: Stage) -> Result:
    """Read what a stage that has been run in `folder` left behind."""
    outputs = [folder / path for path in stage.uncached_outputs]
    paths = [path for output in outputs for path in (sorted(output.rglob("*")) if output.is_dir() else [output])]
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths if path.is_file()}
    return Result(stage.name, read_lock(folder)["stages"][stage.name], files)


def apply_results(folder: Path, results: list[Result]) -> None:
    """Add results from elsewhere to the dvc.lock of `folder`, and write their uncached outputs."""
    content = read_lock(folder)
    content["stages"] |= {result.stage: result.lock_entry for result in results}
    write_files(folder, results)
    write_lock(content, folder)


def write_files(folder: Path, results: list[Result]) -> None:
    """Write the uncached outputs of results, and leave dvc.lock as it is."""
    for result in results:
        for path, content in result.files.items():
            with atomic_write(folder / path) as aside:
                aside.write_bytes(content)
