"""download@D: one archive at data/raw/D.zip, simulated, fetched, or taken from this machine."""

from pathlib import Path

from chest_transfer.data.catalog import dataset_named, source_of
from chest_transfer.data.downloads import fetch
from chest_transfer.data.own_archive import write_own_archive
from chest_transfer.errors import run_stage
from chest_transfer.phantom.archive import write_archive
from chest_transfer.settings import read_settings


def main(name: str) -> None:
    settings, target = read_settings(), Path(f"data/raw/{name}.zip")
    dataset, source = dataset_named(name), source_of(name, settings)
    if source == "own":
        reading = write_own_archive(name, settings.own[name], target)
        for problem in reading.problems:
            print(f"{name}: {problem}")
    elif source == "phantom":
        write_archive(dataset, settings.phantom, target, settings.threads)
    else:
        fetch(dataset, source, target, checksums=Path("data/checksums.txt"))


if __name__ == "__main__":
    run_stage(main)
