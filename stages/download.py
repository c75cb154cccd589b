"""download@D: one archive at data/raw/D.zip, simulated, fetched, or taken from this machine."""

from pathlib import Path

from chest_transfer.data.catalog import dataset_named
from chest_transfer.data.downloads import fetch
from chest_transfer.errors import run_stage
from chest_transfer.phantom.archive import write_archive
from chest_transfer.settings import read_settings


def main(name: str) -> None:
    settings = read_settings()
    for named in (name, *settings.sources):
        dataset_named(named)
    dataset, target = dataset_named(name), Path(f"data/raw/{name}.zip")
    source = settings.sources.get(name, settings.source)
    if source == "phantom":
        write_archive(dataset, settings.phantom, target, settings.threads)
    else:
        fetch(dataset, source, target, checksums=Path("data/checksums.txt"))


if __name__ == "__main__":
    run_stage(main)
