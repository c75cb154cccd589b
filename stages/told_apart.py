"""told_apart: whether the out-of-distribution score of each dataset notices another's radiographs; no TensorFlow."""

from pathlib import Path

from chest_transfer.analysis.told_apart import told_apart
from chest_transfer.errors import run_stage
from chest_transfer.files import keep_only, write_text
from chest_transfer.settings import read_settings

FOLDERS = (Path("data/out_of_distribution"), Path("data/thumbnails"))


def main() -> None:
    of_folders = [{name: folder / f"{name}.npz" for name in read_settings().datasets} for folder in FOLDERS]
    for folder, files in zip(FOLDERS, of_folders, strict=True):
        keep_only(folder, files.values())
    table = told_apart(*of_folders)
    write_text(Path("metrics/told_apart.csv"), table.to_csv(index=False))
    for row in table.itertuples():
        print(f"the score of {row.dataset} calls {row.flagged:.0%} of the radiographs of {row.other} unlike its own")


if __name__ == "__main__":
    run_stage(main)
