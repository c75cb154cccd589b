"""Two cuts of a dataset into training and test: by sharpness, a stand-in for another hospital, and at random.

    dvc repro preprocess@pneumonia
    python -m bench.sharpness_cut pneumonia FOLDER

In the cut by sharpness the sharper half of the healthy and the blurrier half of the ill are there to learn from, and
the others are the test: whoever learns sharpness instead of disease is wrong there. In the random cut, with as many
patients of each class, sharpness means the same on both sides. FOLDER gets a table for each; what goes into
params.yaml is printed. The drop from one cut to the other is what sharpness costs.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from chest_transfer.analysis.acquisition import sharpness
from chest_transfer.data.arrays import open_arrays
from chest_transfer.data.descriptions import read_images
from chest_transfer.data.splits import SPLITS

VALIDATION_SHARE = 0.15  # of the patients to learn from
LAPLACIAN = 0  # the column of `sharpness`


def sharpness_of_radiographs(arrays: Path) -> pd.DataFrame:
    """Return columns image (the file in the archive), label, patient and sharpness of all radiographs of a dataset."""
    images, parts = read_images(arrays), [open_arrays(arrays / f"{split}.npz") for split in SPLITS]
    tables = [
        images.loc[part.names, ["member", "labels", "patient"]].assign(sharpness=sharpness(part.images)[:, LAPLACIAN])
        for part in parts
        if len(part.names)
    ]
    return pd.concat(tables).rename(columns={"member": "image", "labels": "label"}).reset_index(drop=True)


def cut(table: pd.DataFrame, healthy: str, by_sharpness: bool, seed: int) -> pd.DataFrame:
    """Return the table with a column `split`: half of the patients of each class are the test.

    Args:
        table: DataFrame of `sharpness_of_radiographs`.
        healthy: str, the label of the healthy.
        by_sharpness: bool; False for a random half.
        seed: int, of the random half, and of who of the others is there for validation.
    """
    rng, split = np.random.default_rng(seed), pd.Series("train", index=table.index)
    for label, rows in table.groupby("label"):
        patients = rows.groupby("patient")["sharpness"].mean().sample(frac=1, random_state=rng.integers(2**32))
        if by_sharpness:
            patients = patients.sort_values(ascending=label != healthy)
        learned_from = patients.index[: len(patients) // 2].to_numpy()
        validation = rng.permutation(learned_from)[: round(VALIDATION_SHARE * len(learned_from))]
        of_label = table["label"] == label
        split[of_label & ~table["patient"].isin(learned_from)] = "test"
        split[of_label & table["patient"].isin(validation)] = "val"
    return table.assign(split=split)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", help="of class folders, preprocessed")
    parser.add_argument("folder", type=Path, help="where the tables are written")
    parser.add_argument("--seed", type=int, default=1, help="of the random cut")
    arguments = parser.parse_args()
    arrays = Path("data/arrays", arguments.dataset)
    table, healthy = sharpness_of_radiographs(arrays), str(open_arrays(arrays / "train.npz").classes[0])
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name in ("sharpness", "random"):
        of_cut = cut(table, healthy, name == "sharpness", arguments.seed)
        path = (arguments.folder / f"{name}_cut.csv").resolve()
        of_cut.to_csv(path, index=False)
        print(f"# {name}: {of_cut.groupby(['split', 'label'])['sharpness'].agg(['size', 'median']).round(3).to_dict()}")
        print(
            f"own.{name}_cut: {{images: data/raw/{arguments.dataset}.zip, table: {path}, image: image, label: label, "
            "patient: patient, split: split}"
        )


if __name__ == "__main__":
    main()
