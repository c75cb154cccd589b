"""The experiment's stages as DVC sees them: what each waits for, and what of it lies in dvc.lock and beside it."""

from dataclasses import dataclass
from pathlib import Path

from chest_transfer.errors import ChestTransferError
from chest_transfer.lockfile import read_lock, write_lock


@dataclass(frozen=True)
class Result:
    """What a stage leaves beside the objects in the remote.

    Args:
        stage: its name.
        entry: its part of dvc.lock.
        files: outputs that DVC does not cache (metrics that Git keeps): path -> bytes.
    """

    stage: str
    entry: dict
    files: dict[str, bytes]


def stages(folder: Path, targets: list[str]) -> dict[str, list[str]]:
    """Stage -> the stages that it waits for, each after those; of the targets and all before them, or of all.

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
        return {
            stage.name: [other.name for other in graph.successors(stage)]
            for stage in networkx.dfs_postorder_nodes(graph)
            if stage in wanted
        }


def result_of(folder: Path, stage: str) -> Result:
    """What a stage that has been run in this folder left."""
    entry = read_lock(folder)["stages"][stage]
    from dvc.repo import Repo

    with Repo(str(folder)) as repo:
        outs = [out for found in repo.stage.collect(stage) for out in found.outs if not out.use_cache]
        files = {out.def_path: (folder / out.def_path).read_bytes() for out in outs}
    return Result(stage, entry, files)


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
