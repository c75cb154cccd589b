"""What `weights: phantom` gains on real radiographs: test AUC against `none`, with few and with all training images.

    python -m bench.transfer ARCHIVES [--models cnn mobilenetv2] [--datasets pneumonia tuberculosis] [--results FILE]

ARCHIVES is a folder of public archives, under the names that Kaggle gives them. All settings are those of params.yaml,
except for the epochs: small sets need more. Each run is appended to the results, so that an interrupted study is
continued; at the end the mean and the range over three seeds are printed. A seed also chooses the training images. On
two cores it takes two hours.
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
from chest_transfer.data.splits import SPLITS
from chest_transfer.model_names import starting_network
from chest_transfer.networks.classifier import build_classifier, logits_network
from chest_transfer.networks.facts import StartingFacts
from chest_transfer.networks.saving import load_model
from chest_transfer.networks.weights import load_starting_weights
from chest_transfer.settings import Settings, read_settings
from chest_transfer.training.determinism import make_deterministic

SEEDS = (1, 2, 3)
EPOCHS = {100: 40, 300: 20, "all": 8}  # by number of training images
FEWEST_VALIDATION_IMAGES = 25
KEY = ["model", "dataset", "images", "weights", "seed"]


def random_subset(arrays: Arrays, count: int, seed: int) -> Arrays:
    """Return some of the radiographs, chosen at random by the seed."""
    rows = np.sort(np.random.default_rng(seed).permutation(len(arrays.labels))[:count])
    return Arrays(
        *(column[rows] for column in (arrays.images, arrays.labels, arrays.patients, arrays.names)), arrays.classes
    )


def open_splits(name: str, archives: str, folder: Path, settings: Settings) -> dict[str, Arrays]:
    """Return the splits of a dataset of the catalog.

    Args:
        name: str, of the dataset.
        archives: str, the folder of archives, or the path of one archive.
        folder: Path of an existing folder for the arrays.
        settings: Settings.
    """
    archive, arrays = folder / f"{name}.zip", folder / name
    fetch(CATALOG[name], archives, archive, checksums=folder / "checksums.txt")
    preprocess(CATALOG[name], archive, arrays, settings.preprocess, settings.image_size, settings.threads)
    return {split: open_arrays(arrays / f"{split}.npz") for split in SPLITS}


def train_classifier(settings: Settings, model: str, weights: str, train: Arrays, val: Arrays, epochs: int, seed: int):
    """Return a whole network trained on exclusive classes, without early stopping.

    Args:
        settings: Settings.
        model: str, the backbone.
        weights: str, `none`, or the name of a pretrained backbone of the project in the current folder.
        train: Arrays to train on.
        val: Arrays to choose the best epoch on.
        epochs: int.
        seed: int.
    """
    import keras

    from chest_transfer.training.checkpoints import Checkpoints
    from chest_transfer.training.fitting import fit

    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    architecture = settings.architectures[model]
    if weights == "none":
        backbone, _ = load_starting_weights(model, weights, settings.image_size, architecture, {})
    else:
        backbone, _ = load_model(starting_network(model, weights), StartingFacts)
    classifier = build_classifier(backbone, architecture.head, len(train.classes), multi_label=False)
    fit_settings = settings.train.model_copy(update={"epochs": epochs, "patience": epochs})
    learning_rate = fit_settings.learning_rate * architecture.learning_rate_factor
    with tempfile.TemporaryDirectory() as folder:
        fit(
            logits_network(classifier), train, val, fit_settings, Checkpoints(Path(folder) / "run", {}, []),
            section="train", learning_rate=learning_rate, multi_label=False, seed=seed,
            fused_batch_norm=settings.fused_batch_norm,
        )  # fmt: skip
    return classifier


def area_on(classifier, test: Arrays) -> float:
    """Return the area under the ROC curve of the second of two classes."""
    from chest_transfer.training.batches import Batches

    return float(roc_auc_score(test.labels, classifier.predict(Batches(test, 64), verbose=0)[:, 1]))


def train_and_score(
    settings: Settings, splits: dict[str, Arrays], model: str, images: int | str, weights: str, seed: int
) -> float:
    """Train one network, and return its area on the whole test split.

    Args:
        settings: Settings.
        splits: dict of Arrays.
        model: str, the backbone.
        images: int, or `all`: a key of `EPOCHS`.
        weights: str, as in `train_classifier`.
        seed: int.
    """
    train, val = splits["train"], splits["val"]
    if images != "all":
        train = random_subset(train, images, seed)
        val = random_subset(val, max(FEWEST_VALIDATION_IMAGES, images // 4), seed)
    return area_on(train_classifier(settings, model, weights, train, val, EPOCHS[images], seed), splits["test"])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("archives")
    parser.add_argument("--models", nargs="+", default=["cnn", "mobilenetv2"])
    parser.add_argument("--datasets", nargs="+", default=["pneumonia", "tuberculosis"])
    parser.add_argument("--results", type=Path, default=Path("transfer.csv"))
    options = parser.parse_args()
    settings = read_settings()
    make_deterministic(settings.seeds[0], settings.threads)
    done = (
        pd.read_csv(options.results, dtype={"images": str})
        if options.results.exists()
        else pd.DataFrame(columns=[*KEY, "auc"])
    )
    with tempfile.TemporaryDirectory() as folder:
        splits = {name: open_splits(name, options.archives, Path(folder), settings) for name in options.datasets}
        for run in (
            (model, name, images, weights, seed)
            for images in EPOCHS for model in options.models for name in options.datasets
            for seed in SEEDS for weights in ("none", "phantom")
        ):  # fmt: skip
            model, name, images, weights, seed = run
            if (done[KEY].astype(str) == [str(part) for part in run]).all(axis=1).any():
                continue
            area = train_and_score(settings, splits[name], model, images, weights, seed)
            row = pd.DataFrame([[*run, area]], columns=done.columns)
            done = pd.concat([done, row.astype({"images": str})], ignore_index=True)
            done.to_csv(options.results, index=False)
    table = done.groupby([*KEY[:3], "weights"], sort=False)["auc"].agg(["mean", "min", "max", "count"])
    print(table.round(3).to_string())


if __name__ == "__main__":
    main()
