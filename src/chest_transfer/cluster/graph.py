"""The experiment's stages as DVC sees them: what each waits for, and what of it lies in dvc.lock and beside it."""

from dataclasses import dataclass
from pathlib import Path

from chest_transfer.errors import ChestTransferError
from chest_transfer.lockfile import read_lock, write_lock


@dataclass(frozen=True)
class Stage:
    """What must be known of a stage to run it elsewhere.

    Args:
        name: as DVC calls it.
        waits: the stages that it waits for itself.
        inputs: cached outputs of others that it reads, or of which it reads something.
        kept: its outputs that Git keeps and DVC does not cache (metrics).
    """

    name: str
    waits: tuple[str, ...]
    inputs: tuple[str, ...]
    kept: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """What a stage leaves beside the objects in the remote.

    Args:
        stage: its name.
        entry: its part of dvc.lock.
        files: its outputs that DVC does not cache: path -> bytes.
    """

    stage: str
    entry: dict
    files: dict[str, bytes]


def stages(folder: Path, targets: list[str]) -> list[Stage]:
    """The targets and all that they need, or all stages; each after those that it waits for.

    Raises:
        ChestTransferError: no such stage.
    """
    import networkx
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    with Repo(str(folder)) as repo:
        graph, names = repo.index.graph, [stage.name for stage in repo.index.stages]
        try:
            # A name without its part behind @ stands for all of its kind.
            asked = [stage for target in targets for stage in repo.stage.collect(f"{folder}/dvc.yaml:{target}")]
        except DvcException:
            raise ChestTransferError(f"no stage among {', '.join(targets)} (allowed: {', '.join(names)})") from None
        wanted = {other for stage in asked for other in (stage, *networkx.descendants(graph, stage))} or set(graph)
        cached = {_place(repo, out) for stage in graph for out in stage.outs if out.use_cache}
        found = []
        for stage in networkx.dfs_postorder_nodes(graph):
            if stage in wanted:
                waits = tuple(other.name for other in graph.successors(stage))
                read = [_place(repo, dep) for dep in stage.deps]
                # Outputs in a folder that is read, and whole folders of which something is read.
                inputs = {out for out in cached for dep in read if out.is_relative_to(dep) or dep.is_relative_to(out)}
                kept = tuple(str(_place(repo, out)) for out in stage.outs if not out.use_cache)
                found.append(Stage(stage.name, waits, tuple(sorted(map(str, inputs))), kept))
        return found


def _place(repo, file) -> Path:
    return Path(file.fs_path).relative_to(repo.root_dir)


def result_of(folder: Path, stage: Stage) -> Result:
    """What a stage that has been run in this folder left."""
    files = {path: (folder / path).read_bytes() for path in stage.kept}
    return Result(stage.name, read_lock(folder)["stages"][stage.name], files)


def receive(folder: Path, results: list[Result]) -> None:
    """Put what stages left elsewhere into this folder's dvc.lock, and their uncached outputs in place."""
    content = read_lock(folder)
    content["stages"] |= {result.stage: result.entry for result in results}
    place_files(folder, results)
    write_lock(content, folder)


def place_files(folder: Path, results: list[Result]) -> None:
    """Put only the uncached outputs of stages in place."""
    for result in results:
        for path, held in result.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(held)
