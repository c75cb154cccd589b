"""The experiments that a paper is about: that of this folder, or some that DVC and Git keep, with their metrics."""

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from chest_transfer.errors import ChestTransferError
from chest_transfer.git import committed_file, git, revision_named
from chest_transfer.reporting.cautions import Caution
from chest_transfer.reporting.gathering import Dataset, gather
from chest_transfer.reporting.provenance import provenance
from chest_transfer.settings import Settings, read_settings

KEPT_IN_GIT = ("metrics", "params.yaml", "dvc.yaml", "dvc.lock")


@dataclass(frozen=True)
class Experiment:
    """An experiment with its metrics.

    Args:
        name: str, how tables name it: its backbone, with its own name where another has the same backbone.
        settings: Settings.
        datasets: list of Dataset.
        cautions: list of Caution, serious ones first.
        provenance: str, a sentence that names the commit.
        is_here: bool, whether it is that of this folder, made with the packages that are installed.
    """

    name: str
    settings: Settings
    datasets: list[Dataset]
    cautions: list[Caution]
    provenance: str
    is_here: bool = False


def datasets_of(experiments: list[Experiment]) -> dict[str, Dataset]:
    """Return the datasets of experiments by name; of one that several have, that of the last."""
    return {dataset.name: dataset for experiment in experiments for dataset in experiment.datasets}


def read_experiments(names: list[str]) -> list[Experiment]:
    """Return experiments by the names of `dvc exp show`, or by any revision of Git; without names, this folder's.

    Raises:
        ChestTransferError: there is none of that name, or its metrics are missing or not of its settings.
    """
    if not names:
        settings = read_settings()
        return [Experiment(settings.model, settings, *gather(settings), provenance(), is_here=True)]
    read = [_of_revision(name) for name in dict.fromkeys(names)]
    backbones = Counter(settings.model for settings, *_ in read)
    return [
        Experiment(settings.model if backbones[settings.model] == 1 else f"{settings.model}, {name}", settings, *others)
        for name, (settings, *others) in zip(dict.fromkeys(names), read, strict=True)
    ]


def _of_revision(name: str) -> tuple[Settings, list[Dataset], list[Caution], str]:
    revision = revision_named(name)
    paths = git("ls-tree", "-r", "--name-only", revision, "--", *KEPT_IN_GIT).splitlines()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for path in paths:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(committed_file(path, revision) or b"")
        try:
            settings = read_settings(folder / "params.yaml")
            return settings, *gather(settings, folder), f"Made from commit {revision[:12]}."
        except ChestTransferError as error:
            reason = str(error).replace(f"{folder}/", "").split("; run: ")[0]
            raise ChestTransferError(
                f"experiment '{name}' cannot be read: {reason}; run it again, or use the code of its own commit"
            ) from None
