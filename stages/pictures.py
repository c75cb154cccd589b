"""pictures@D: what D's radiographs look like in the archive, and to a network in training; data/pictures/D."""

from pathlib import Path

from chest_transfer.analysis.samples import augmented_samples, class_samples, sample_figure
from chest_transfer.data.arrays import open_arrays
from chest_transfer.data.descriptions import read_images
from chest_transfer.errors import run_stage
from chest_transfer.evaluation.figures import save_figure
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import make_deterministic

COUNT = 5  # radiographs of a class
SEED = 1  # of the random augmentation


def main(dataset: str) -> None:
    settings, folder = read_settings(), Path(f"data/arrays/{dataset}")
    train = open_arrays(folder / "train.npz")
    samples = class_samples(train.classes, Path(f"data/raw/{dataset}.zip"), read_images(folder), COUNT)
    save_figure(sample_figure(samples), Path(f"data/pictures/{dataset}/samples.png"))
    make_deterministic(SEED, settings.threads)
    augmented = augmented_samples(train, settings.train.augmentation, SEED, COUNT)
    save_figure(sample_figure({"augmented": augmented}), Path(f"data/pictures/{dataset}/augmented.png"))


if __name__ == "__main__":
    run_stage(main)
