"""explore@D: what is in a dataset, as metrics at metrics/data/D.json and tables to draw at metrics/plots/D.

A stage of its own, since a metric in Git beside preprocess' large outputs would keep DVC from pulling them.
"""

import json
from pathlib import Path

from chest_transfer.data.catalog import dataset_named
from chest_transfer.data.descriptions import read_images
from chest_transfer.errors import run
from chest_transfer.evaluation.exploration import explored, plots
from chest_transfer.settings import read_settings


def main(name: str) -> None:
    settings, folder = read_settings(), Path(f"data/arrays/{name}")
    asked = settings.evaluate
    summary = explored(folder, dataset_named(name).multi_label, asked.rounds, asked.seed)
    target, tables = Path(f"metrics/data/{name}.json"), Path(f"metrics/plots/{name}")
    for made in (target.parent, tables):
        made.mkdir(parents=True, exist_ok=True)
    for plot, table in plots(read_images(folder)).items():
        table.to_csv(tables / f"{plot}.csv", index=False)
    target.write_text(json.dumps(summary, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
