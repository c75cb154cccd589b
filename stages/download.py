"""download@D: one archive at data/raw/D.zip, simulated, fetched, taken from this machine, or a pool of others."""

from pathlib import Path

from chest_transfer.errors import run_stage
from chest_transfer.obtaining import obtain
from chest_transfer.settings import read_settings


def main(name: str) -> None:
    for line in obtain(name, read_settings(), Path(f"data/raw/{name}.zip")):
        print(line)


if __name__ == "__main__":
    run_stage(main)
