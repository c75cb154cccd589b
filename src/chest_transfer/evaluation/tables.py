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


def with_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """The same with each score's bounds beside it: `0.812 (0.742-0.881)`."""
    told = table.copy()
    for name in [column.removesuffix("_low") for column in table if column.endswith("_low")]:
        bounds = [f"{name}_low", f"{name}_high"]
        told[name] = ["{:.3f} ({:.3f}-{:.3f})".format(*row) for row in table[[name, *bounds]].to_numpy(float)]
        told = told.drop(columns=bounds)
    return told


if __name__ == "__main__":
    print(with_intervals(scores_table([Path(name) for name in sys.argv[1:]]).astype(float)).round(3).to_string())
