"""The metrics of several datasets as one table: python -m chest_transfer.evaluation.tables metrics/*.json"""

import json
import sys
from pathlib import Path

import pandas as pd


def scores_table(files: list[Path]) -> pd.DataFrame:
    """One row a model, indexed by dataset, regime and starting point; one column a score."""
    rows = {}
    for file in files:
        for regime, starts in json.loads(file.read_text()).items():
            rows |= {(file.stem, regime, weights): scores for weights, scores in starts.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["dataset", "regime", "weights"])


if __name__ == "__main__":
    print(scores_table([Path(name) for name in sys.argv[1:]]).round(3).to_string())
