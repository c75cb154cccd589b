"""Writing the report: the page, the same in Markdown, and a card for each model."""

import json
from pathlib import Path

from chest_transfer.files import atomic_write
from chest_transfer.model_names import ModelName
from chest_transfer.networks.facts import ClassifierFacts
from chest_transfer.reporting.gathering import Dataset, gather
from chest_transfer.reporting.html_tables import decimal, with_interval
from chest_transfer.reporting.page import TEMPLATES, render_page
from chest_transfer.reporting.provenance import results_in_words
from chest_transfer.reporting.wording import intervals_hold_for
from chest_transfer.settings import Settings

FOLDER, FACTS = Path("report"), "facts.json"


def write_report(settings: Settings) -> list[Path]:
    """Write `report/index.html`, `report/report.md` and `report/cards/<dataset>-<backbone>-<model>.md`, all or none.

    Raises:
        ChestTransferError: an evaluation is missing.
    """
    datasets, cautions = gather(settings)
    source = results_in_words(settings.datasets)
    with atomic_write(FOLDER) as aside:
        (aside / "cards").mkdir(parents=True)
        (aside / "index.html").write_text(render_page(settings, datasets, cautions, source))
        content = {"settings": settings, "datasets": datasets, "cautions": cautions, "provenance": source}
        content |= {"intervals_hold_for": intervals_hold_for(settings)}
        markdown = TEMPLATES.get_template("report.md").render(**content, with_interval=with_interval, decimal=decimal)
        (aside / "report.md").write_text(markdown)
        for dataset in datasets:
            for model in dataset.models.values():
                if model.key in dataset.scores and (model.predictions / FACTS).exists():
                    card = aside / "cards" / f"{str(model).replace('/', '-')}.md"
                    card.write_text(_card(settings, dataset, model, source))
    return sorted(path for path in FOLDER.rglob("*") if path.is_file())


def _facts_of(model: ModelName) -> ClassifierFacts:
    """Return the facts of a model as its predictions have them, with the SHA-256 of its network beside them."""
    content = json.loads((model.predictions / FACTS).read_text())
    return ClassifierFacts(**{key: value for key, value in content.items() if key != "sha256"})


def _card(settings: Settings, dataset: Dataset, model: ModelName, source: str) -> str:
    return TEMPLATES.get_template("card.md").render(
        name=str(model),
        path=model.network,
        facts=_facts_of(model),
        scores=dataset.scores[model.key]["fits"][model.fit],
        dataset=dataset,
        provenance=source,
        size=settings.image_size,
        with_interval=with_interval,
        decimal=decimal,
    )
