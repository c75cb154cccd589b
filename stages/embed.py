"""embed@D-model-W: the features that the frozen backbone with weights W computes from D, in data/features/D/model/W."""

from pathlib import Path

from chest_transfer.data.arrays import open_arrays
from chest_transfer.data.splits import SPLITS
from chest_transfer.errors import run_stage
from chest_transfer.model_names import starting_network
from chest_transfer.networks.facts import StartingFacts
from chest_transfer.networks.saving import load_model
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import make_deterministic


def main(dataset: str, model: str, weights: str) -> None:
    settings = read_settings()
    make_deterministic(settings.seed, settings.threads)
    from chest_transfer.training.features import embed, feature_extractor

    backbone, _ = load_model(starting_network(model, weights), StartingFacts)
    network = feature_extractor(backbone, settings.fused_batch_norm)  # traced once for all splits
    for split in SPLITS:
        arrays = open_arrays(f"data/arrays/{dataset}/{split}.npz")
        views = settings.embed.views if split == "train" else 0
        target = Path(f"data/features/{dataset}/{model}/{weights}/{split}.npz")
        embed(network, arrays, target, settings.embed, views, settings.seed)


if __name__ == "__main__":
    run_stage(main)
