"""embed@D-model-W: the features of D that the frozen backbone with weights W computes; embed_random@: for one seed."""

from chest_transfer.data.arrays import open_arrays
from chest_transfer.data.splits import SPLITS
from chest_transfer.errors import run_stage
from chest_transfer.files import write_json
from chest_transfer.model_names import pretrained_features, random_features, starting_network
from chest_transfer.networks.facts import StartingFacts
from chest_transfer.networks.saving import read_facts
from chest_transfer.networks.starting_points import load_starting_point
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import make_deterministic

SEED_OF_VIEWS = 1  # the same augmented views for every start and every training seed


def main(dataset: str, model: str, weights: str, seed: str | None = None) -> None:
    settings = read_settings()
    folder = pretrained_features(dataset, model, weights)
    if seed is not None:
        folder = random_features(dataset, model, weights, int(seed))
    if read_facts(starting_network(model, weights), StartingFacts).is_random != (seed is not None):
        note = f"{weights} is computed by {'embed' if seed else 'embed_random, for each seed'}"
        write_json(folder / "elsewhere.json", {"features": note})
        return
    make_deterministic(int(seed or 0), settings.threads)
    from chest_transfer.training.features import embed, feature_extractor

    backbone, _ = load_starting_point(model, weights, int(seed or 0))
    network = feature_extractor(backbone, settings.fused_batch_norm)  # traced once for all splits
    for split in SPLITS:
        arrays = open_arrays(f"data/arrays/{dataset}/{split}.npz")
        views = settings.embed.views if split == "train" else 0
        embed(network, arrays, folder / f"{split}.npz", settings.embed, views, SEED_OF_VIEWS)


if __name__ == "__main__":
    run_stage(main)
