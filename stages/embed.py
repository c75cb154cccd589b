"""embed@D-model-W: what the frozen backbone with weights W sees in D's radiographs, in data/features/D/model/W."""

from pathlib import Path

from chest_transfer.data.arrays import open_arrays
from chest_transfer.errors import run
from chest_transfer.networks.saving import load_model
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import pin


def main(dataset: str, model: str, weights: str) -> None:
    settings = read_settings()
    pin(settings.seed, settings.threads)
    from chest_transfer.training.features import embed, embedder

    asked, target = settings.embed, Path(f"data/features/{dataset}/{model}/{weights}")
    target.mkdir(parents=True, exist_ok=True)
    backbone, _ = load_model(Path(f"models/pretrained/{model}/{weights}.keras"))
    network = embedder(backbone)  # made and traced once
    for split in ("train", "val", "test"):
        arrays, views = open_arrays(f"data/arrays/{dataset}/{split}.npz"), asked.views if split == "train" else 0
        embed(network, arrays, target / f"{split}.npz", asked.batch_size, views, asked.augmentation, settings.seed)


if __name__ == "__main__":
    run(main)
