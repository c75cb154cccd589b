"""download@D: one archive at data/raw/D.zip, simulated, fetched, or taken from this machine."""

import tempfile
from pathlib import Path

from chest_transfer.data.catalog import dataset_named, source_of
from chest_transfer.data.downloads import fetch
from chest_transfer.data.own_archive import write_own_archive, write_public_archive
from chest_transfer.data.public_sets import public_sets
from chest_transfer.errors import run_stage
from chest_transfer.phantom.archive import write_archive
from chest_transfer.phantom.public_layouts import write_public_layout
from chest_transfer.settings import read_settings


def main(name: str) -> None:
    settings, target = read_settings(), Path(f"data/raw/{name}.zip")
    source, problems = source_of(name, settings), ()
    if source == "own":
        problems = write_own_archive(name, settings.own[name], target).problems
    elif name in public_sets():
        with tempfile.TemporaryDirectory() as folder:
            if source == "phantom":
                source = str(Path(folder, "simulated.zip"))
                write_public_layout(name, settings.phantom, Path(source))
            problems = write_public_archive(name, public_sets()[name], source, target).problems
    elif source == "phantom":
        write_archive(dataset_named(name), settings.phantom, target, settings.threads)
    else:
        fetch(dataset_named(name), source, target, checksums=Path("data/checksums.txt"))
    for problem in problems:
        print(f"{name}: {problem}")


if __name__ == "__main__":
    run_stage(main)
