"""pretrained@model-W: the backbone with the weights it starts from, at models/pretrained/model/W.keras."""

from pathlib import Path

from chest_transfer.errors import run
from chest_transfer.networks.saving import save_model
from chest_transfer.networks.weights import starting_point
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import pin


def main(model: str, weights: str) -> None:
    settings = read_settings()
    pin(settings.seed, settings.threads)
    backbone, facts = starting_point(
        model, weights, settings.image_size, settings.architectures[model], settings.weights_files
    )
    save_model(backbone, Path(f"models/pretrained/{model}/{weights}.keras"), facts)


if __name__ == "__main__":
    run(main)
