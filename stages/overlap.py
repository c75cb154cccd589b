"""overlap: which datasets show the same radiographs, whatever their size and format; metrics/overlap.csv."""

from pathlib import Path

from chest_transfer.analysis.overlap import shared_images
from chest_transfer.errors import run_stage
from chest_transfer.files import keep_only, write_text
from chest_transfer.settings import read_settings

FINGERPRINTS = Path("data/fingerprints")


def main() -> None:
    files = {dataset: FINGERPRINTS / f"{dataset}.npz" for dataset in read_settings().datasets}
    keep_only(FINGERPRINTS, files.values())
    table = shared_images(files)
    write_text(Path("metrics/overlap.csv"), table.to_csv(index=False))
    for row in table[table["also_in_other"] > 0].itertuples():
        print(f"{row.also_in_other} of {row.images} radiographs of {row.dataset} are in {row.other} too")


if __name__ == "__main__":
    run_stage(main)
