"""The scores of the experiment in this folder as one table: python -m chest_transfer.reporting.score_table"""

from pathlib import Path

import pandas as pd

from chest_transfer.errors import run_command
from chest_transfer.reporting.current_results import check_results
from chest_transfer.reporting.gathering import read_json
from chest_transfer.settings import read_settings
from chest_transfer.training.fit_check import OK

SHOWN = (
    "auc",
    "auc_low",
    "auc_high",
    "accuracy",
    "balanced_accuracy",
    "sensitivity",
    "specificity",
    "f1",
    "loss",
    "ece",
)


def score_table(files: list[Path]) -> pd.DataFrame:
    """Return one row for each model, indexed by dataset, regime and starting weights: the scores of `SHOWN`, and `fit`.

    Args:
        files: list of Path, `metrics/detail/D.json` of each dataset.
    """
    rows = {}
    for file in files:
        for regime, starts in read_json(file).items():
            rows |= {
                (file.stem, regime, start): {key: scores[key] for key in (*SHOWN, "fit") if key in scores}
                for start, scores in starts.items()
            }
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
    scores = score_table([Path(f"metrics/detail/{name}.json") for name in settings.datasets])
    print(with_intervals(scores[list(SHOWN)].astype(float)).round(3).to_string())
    print("\n".join(failed_fits(scores)), end="")


if __name__ == "__main__":
    run_command(main)
