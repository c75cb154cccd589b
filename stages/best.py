"""best@D: D's model with the best area on validation, under a name that does not change."""

import json
import shutil
from pathlib import Path

from chest_transfer.errors import run
from chest_transfer.evaluation.choosing import best_on_validation
from chest_transfer.files import whole
from chest_transfer.settings import read_settings


def main(dataset: str) -> None:
    way = best_on_validation(json.loads(Path(f"metrics/detail/{dataset}.json").read_text()))
    settings = read_settings()
    model = Path(f"models/{dataset}/{settings.model}/{way}.keras")
    with whole(Path(f"models/best/{dataset}.keras")) as aside:
        shutil.copyfile(model, aside)
    print(f"{dataset}: {model}")


if __name__ == "__main__":
    run(main)
