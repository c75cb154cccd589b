"""sources: what each dataset is made of, at data/sources/D.json, looked at whenever an experiment is run."""

import json
from pathlib import Path

from chest_transfer.data.sources import source_record
from chest_transfer.errors import run_stage
from chest_transfer.files import keep_only, write_json
from chest_transfer.settings import read_settings


def main() -> None:
    settings = read_settings()
    files = {name: Path(f"data/sources/{name}.json") for name in (*settings.datasets, *settings.external)}
    for name, file in files.items():
        previous = json.loads(file.read_text()) if file.exists() else {}
        record = source_record(name, settings, previous)
        if json.dumps(record) != json.dumps(previous):  # the order of classes, and of the members of a pool, counts
            write_json(file, record)
    keep_only(Path("data/sources"), files.values())


if __name__ == "__main__":
    run_stage(main)
