"""shortcuts@D: how D's classes could be told apart without looking at disease, by simple models fitted to training."""

from pathlib import Path

from chest_transfer.analysis.shortcuts import SCORED_SPLITS, fit_shortcuts
from chest_transfer.data.arrays import open_arrays
from chest_transfer.data.covariates import write_covariates
from chest_transfer.data.descriptions import read_images
from chest_transfer.errors import run_stage


def main(dataset: str) -> None:
    folder = Path(f"data/arrays/{dataset}")
    train, *others = (open_arrays(folder / f"{split}.npz") for split in ("train", *SCORED_SPLITS))
    parts = dict(zip(SCORED_SPLITS, others, strict=True))
    covariates = fit_shortcuts(train, parts, read_images(folder))
    write_covariates(
        Path(f"data/shortcuts/{dataset}.npz"), {split: part.names for split, part in parts.items()}, covariates
    )


if __name__ == "__main__":
    run_stage(main)
