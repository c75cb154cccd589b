"""pictures@D: what D's radiographs look like in the archive, and to a network in training; data/pictures/D."""

from pathlib import Path

from chest_transfer.data.arrays import open_arrays
from chest_transfer.data.catalog import dataset_named
from chest_transfer.data.descriptions import read_images
from chest_transfer.errors import run
from chest_transfer.evaluation.figures import sample_sheet, save
from chest_transfer.evaluation.sampling import augmented, samples
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import pin

IMAGES = 5


def main(name: str) -> None:
    settings, folder = read_settings(), Path(f"data/arrays/{name}")
    pin(settings.seed, settings.threads)
    of_classes = samples(dataset_named(name), Path(f"data/raw/{name}.zip"), read_images(folder), IMAGES)
    save(sample_sheet(of_classes), Path(f"data/pictures/{name}/samples.png"))
    changed = augmented(open_arrays(folder / "train.npz"), settings.train.augmentation, settings.seed, IMAGES)
    save(sample_sheet({"as training sees it": changed}), Path(f"data/pictures/{name}/augmented.png"))


if __name__ == "__main__":
    run(main)
