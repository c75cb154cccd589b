"""preprocess@D: the archive's radiographs as arrays at data/arrays/D/{train,val,test}.npz, split by patient."""

from pathlib import Path

from chest_transfer.data.catalog import dataset_named
from chest_transfer.data.preprocess_summary import lines_about
from chest_transfer.data.preprocessing import preprocess
from chest_transfer.errors import run_stage
from chest_transfer.settings import read_settings


def main(dataset: str, which: str = "split") -> None:
    settings = read_settings()
    archive, target = Path(f"data/raw/{dataset}.zip"), Path(f"data/arrays/{dataset}")
    options = settings.preprocess, settings.image_size, settings.threads
    summary = preprocess(dataset_named(dataset), archive, target, *options, all_test=which == "all_test")
    for line in lines_about(summary):
        print(f"{dataset}: {line}")


if __name__ == "__main__":
    run_stage(main)
