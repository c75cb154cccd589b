"""preprocess@D: the archive's radiographs as arrays at data/arrays/D/{train,val,test}.npz, cut by patient."""

from pathlib import Path

from chest_transfer.data.catalog import dataset_named
from chest_transfer.data.preprocessing import preprocess
from chest_transfer.errors import run
from chest_transfer.settings import read_settings


def main(name: str) -> None:
    settings = read_settings()
    summary = preprocess(
        dataset_named(name),
        Path(f"data/raw/{name}.zip"),
        Path(f"data/arrays/{name}"),
        settings.preprocess,
        settings.image_size,
        settings.threads,
    )
    print(f"{name}: {summary['images']} radiographs, {summary['skipped']['total']} skipped")


if __name__ == "__main__":
    run(main)
