"""Writing the report: the page, the same in Markdown, and a card for each model."""

import subprocess
from pathlib import Path

from chest_transfer.files import whole
from chest_transfer.networks.saving import read_facts
from chest_transfer.reporting.gathering import Dataset, gathered
from chest_transfer.reporting.page import TEMPLATES, page
from chest_transfer.reporting.tables import number, ranged
from chest_transfer.settings import Settings

FOLDER = Path("report")
MADE_BY = ("src", "stages", "params.yaml", "dvc.yaml")


def write_report(settings: Settings) -> list[Path]:
    """Write `report/index.html`, `report/report.md` and `report/cards/<dataset>-<model>-<name>.md`, all or nothing.

    Raises:
        ChestTransferError: an evaluation is missing.
    """
    datasets, cautions = gathered(settings)
    commit = made_from()
    with whole(FOLDER) as aside:
        (aside / "cards").mkdir(parents=True)
        (aside / "index.html").write_text(page(settings, datasets, cautions, commit))
        told = {"settings": settings, "datasets": datasets, "cautions": cautions, "commit": commit}
        markdown = TEMPLATES.get_template("report.md").render(**told, ranged=ranged, number=number)
        (aside / "report.md").write_text(markdown)
        for dataset in datasets:
            for name in dataset.scores:
                path = Path(f"models/{dataset.name}/{settings.model}/{name}.keras")
                if path.exists():
                    card = aside / "cards" / f"{dataset.name}-{settings.model}-{name}.md"
                    card.write_text(_card(settings, dataset, name, path, commit))
    return sorted(path for path in FOLDER.rglob("*") if path.is_file())


def _card(settings: Settings, dataset: Dataset, name: str, path: Path, commit: str) -> str:
    return TEMPLATES.get_template("card.md").render(
        name=f"{dataset.name}/{settings.model}/{name}",
        path=path,
        facts=read_facts(path),
        found=dataset.scores[name],
        dataset=dataset,
        commit=commit,
        size=settings.image_size,
        ranged=ranged,
        number=number,
    )


def made_from() -> str:
    """The commit, and whether files were changed since; of a folder that is no Git repository, that."""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        changed = _git(
            "status", "--porcelain", "--untracked-files=no", "--", "src", "stages", "params.yaml", "dvc.yaml"
        )
    except (OSError, subprocess.CalledProcessError):
        return "Made outside of a Git repository: the commit is not known."
    files = ", ".join(line[3:] for line in changed.splitlines())
    return f"Made from commit {commit}" + (f", with changes to {files}." if files else ".")


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], capture_output=True, text=True, check=True).stdout.rstrip()
