"""explore@D: what is in a dataset's arrays, as tracked metrics at metrics/data/D.json.

A stage of its own, since a metric in Git beside preprocess' large outputs would keep DVC from pulling them.
"""

import shutil
from pathlib import Path

from chest_transfer.errors import run


def main(name: str) -> None:
    target = Path(f"metrics/data/{name}.json")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(f"data/arrays/{name}/summary.json", target)


if __name__ == "__main__":
    run(main)
