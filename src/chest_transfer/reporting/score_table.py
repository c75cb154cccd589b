"""The scores of the experiment in this folder as one table: python -m chest_transfer.reporting.score_table"""

from pathlib import Path

import pandas as pd

from chest_transfer.errors import run_command
from chest_transfer.reporting.current_results import check_results
from chest_transfer.reporting.gathering import read_json
from chest_transfer.settings import read_settings
from chest_transfer.training.fit_check import OK

NOT_SHOWN = ("fit", "sources", "thresholds", "coverage", "answered")  # beside the scores: words, or several numbers


def score_table(files: list[Path]) -> pd.DataFrame:
    """Return one row for each model, indexed by dataset, regime and starting weights; one column for each score."""
    rows = {}
    for file in files:
        for regime, starts in read_json(file).items():
            rows |= {(file.stem, regime, start): scores for start, scores in starts.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["dataset", "regime", "weights"])


def with_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the bounds of each score beside it: `0.812 (0.742-0.881)`."""
    combined = table.copy()
    for name in [column.removesuffix("_low") for column in table if column.endswith("_low")]:
        bounds = [f"{name}_low", f"{name}_high"]
        combined[name] = [
            f"{value:.3f} ({low:.3f}-{high:.3f})" if low == low else f"{value:.3f} (no interval)"
            for value, low, high in table[[name, *bounds]].to_numpy(float)
        ]
        combined = combined.drop(columns=bounds)
    return combined


def failed_fits(table: pd.DataFrame) -> list[str]:
    """Return a line for each model whose fit failed."""
    failed = table[table["fit"].fillna(OK) != OK]
    return [f"CAUTION: the fit of {' '.join(row.Index)} failed: {row.fit}" for row in failed.itertuples()]


def main() -> None:
    """Print the scores of the experiment in this folder."""
    settings = read_settings()
    for caution in check_results(settings):
        print(f"CAUTION: {caution.text}")
    scores = score_table([Path(f"metrics/{name}.json") for name in settings.datasets])
    numbers = scores.drop(columns=[name for name in NOT_SHOWN if name in scores]).astype(float)
    print(with_intervals(numbers).round(3).to_string())
    print("\n".join(failed_fits(scores)), end="")


if __name__ == "__main__":
    run_command(main)
