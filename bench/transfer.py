"""What `weights: phantom` buys on real radiographs: test AUC against `none`, with few and with all training images.

    python -m bench.transfer ARCHIVES [--models cnn mobilenetv2] [--datasets pneumonia tuberculosis] [--results FILE]

ARCHIVES is a folder of public archives, under the names that Kaggle gives them. Everything is as in params.yaml but for
the epochs, of which small sets need more. Each run is appended to the results, so that a broken study goes on; at the
end come the mean and the range over three seeds. A seed also chooses the training images. Two cores: two hours.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from chest_transfer.data.arrays import Arrays, open_arrays
from chest_transfer.data.catalog import CATALOG
from chest_transfer.data.downloads import fetch
from chest_transfer.data.preprocessing import preprocess
from chest_transfer.networks.classifier import build_classifier
from chest_transfer.networks.saving import load_model
from chest_transfer.networks.weights import starting_point
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import pin

SEEDS = (1, 2, 3)
EPOCHS = {100: 40, 300: 20, "all": 8}
KEY = ["model", "dataset", "images", "weights", "seed"]


def first(arrays: Arrays, count: int, seed: int) -> Arrays:
    """So many radiographs, drawn by the seed."""
    rows = np.sort(np.random.default_rng(seed).permutation(len(arrays.labels))[:count])
    return Arrays(
        *(column[rows] for column in (arrays.images, arrays.labels, arrays.patients, arrays.names)), arrays.classes
    )


def splits_of(name: str, archives: str, folder: Path, settings) -> dict[str, Arrays]:
    """A dataset's splits, out of the archive of that name among the archives; their files are kept in the folder."""
    archive, arrays = folder / f"{name}.zip", folder / name
    fetch(CATALOG[name], archives, archive, checksums=folder / "checksums.txt")
    preprocess(CATALOG[name], archive, arrays, settings.preprocess, settings.image_size, settings.threads)
    return {split: open_arrays(arrays / f"{split}.npz") for split in ("train", "val", "test")}


def trained(settings, model: str, weights: str, train: Arrays, val: Arrays, epochs: int, seed: int):
    """A whole network for single labels, from `none` or from a pretrained backbone in this folder; no early stop."""
    import keras

    from chest_transfer.training.checkpoints import Checkpoints
    from chest_transfer.training.fitting import fit

    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    architecture = settings.architectures[model]
    if weights == "none":
        backbone, _ = starting_point(model, weights, settings.image_size, architecture, {})
    else:
        backbone, _ = load_model(Path(f"models/pretrained/{model}/{weights}.keras"))
    classifier = build_classifier(backbone, architecture.head, len(train.classes), multi_label=False)
    asked = settings.train.model_copy(update={"epochs": epochs, "patience": epochs})
    rate = asked.learning_rate * architecture.learning_rate_factor
    with tempfile.TemporaryDirectory() as folder:
        fit(classifier, train, val, asked, rate, False, seed, Checkpoints(Path(folder) / "run", {}, []))
    return classifier


def auc_on(classifier, test: Arrays) -> float:
    """The AUC of the second of two classes."""
    from chest_transfer.training.batches import Batches

    return float(roc_auc_score(test.labels, classifier.predict(Batches(test, 64), verbose=0)[:, 1]))


def auc_of(settings, splits: dict[str, Arrays], model: str, images: int | str, weights: str, seed: int) -> float:
    """Train one network and judge it on the whole test split."""
    train, val = splits["train"], splits["val"]
    if images != "all":
        train, val = first(train, images, seed), first(val, max(25, images // 4), seed)
    return auc_on(trained(settings, model, weights, train, val, EPOCHS[images], seed), splits["test"])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("archives")
    parser.add_argument("--models", nargs="+", default=["cnn", "mobilenetv2"])
    parser.add_argument("--datasets", nargs="+", default=["pneumonia", "tuberculosis"])
    parser.add_argument("--results", type=Path, default=Path("transfer.csv"))
    asked = parser.parse_args()
    settings = read_settings()
    pin(settings.seed, settings.threads)
    done = (
        pd.read_csv(asked.results, dtype={"images": str})
        if asked.results.exists()
        else pd.DataFrame(columns=[*KEY, "auc"])
    )
    with tempfile.TemporaryDirectory() as folder:
        splits = {name: splits_of(name, asked.archives, Path(folder), settings) for name in asked.datasets}
        for run in (
            (model, name, images, weights, seed)
            for images in EPOCHS for model in asked.models for name in asked.datasets
            for seed in SEEDS for weights in ("none", "phantom")
        ):  # fmt: skip
            model, name, images, weights, seed = run
            if (done[KEY].astype(str) == [str(part) for part in run]).all(axis=1).any():
                continue
            row = pd.DataFrame(
                [[*run, auc_of(settings, splits[name], model, images, weights, seed)]], columns=done.columns
            )
            done = pd.concat([done, row.astype({"images": str})], ignore_index=True)
            done.to_csv(asked.results, index=False)
    table = done.groupby([*KEY[:3], "weights"], sort=False)["auc"].agg(["mean", "min", "max", "count"])
    print(table.round(3).to_string())


if __name__ == "__main__":
    main()
