"""overlap: which datasets show the same radiographs, whatever their size and format; metrics/overlap.csv."""

from pathlib import Path

from chest_transfer.errors import run
from chest_transfer.evaluation.exploration import shared_pictures
from chest_transfer.settings import read_settings


def main() -> None:
    settings = read_settings()
    table = shared_pictures({name: Path(f"data/arrays/{name}") for name in settings.datasets})
    table.to_csv("metrics/overlap.csv", index=False)
    for row in table[table["also_in_other"] > 0].itertuples():
        print(f"{row.also_in_other} of {row.images} radiographs of {row.dataset} are in {row.other} too")


if __name__ == "__main__":
    run(main)
