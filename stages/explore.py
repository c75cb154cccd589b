"""explore@D: what is in a dataset, as metrics at metrics/data/D.json and tables to draw at metrics/plots/D.

It is a stage of its own, because a metric in Git beside the large outputs of preprocess keeps DVC from pulling them.
"""

from pathlib import Path

from chest_transfer.analysis.exploration import exploration_plots, explore
from chest_transfer.data.descriptions import read_images
from chest_transfer.errors import run_stage
from chest_transfer.files import write_json, write_text
from chest_transfer.settings import read_settings


def main(dataset: str) -> None:
    settings, folder = read_settings().evaluate, Path(f"data/arrays/{dataset}")
    fingerprints, shortcuts = (Path(f"data/{kind}/{dataset}.npz") for kind in ("fingerprints", "shortcuts"))
    summary = explore(folder, fingerprints, shortcuts, settings.rounds, settings.seed)
    for name, table in exploration_plots(read_images(folder)).items():
        write_text(Path(f"metrics/plots/{dataset}/{name}.csv"), table.to_csv(index=False))
    write_json(Path(f"metrics/data/{dataset}.json"), summary)


if __name__ == "__main__":
    run_stage(main)
