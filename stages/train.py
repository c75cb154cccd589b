"""train@D-model-W-seed-N: the whole network trained on N patients of D from the starting weights W."""

from chest_transfer.errors import run_stage
from chest_transfer.model_names import ModelName, starting_network
from chest_transfer.networks.starting_points import load_starting_point
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import make_deterministic


def main(dataset: str, model: str, weights: str, seed: str, patients: str) -> None:
    settings, name = read_settings(), ModelName.of_words(dataset, model, "train", weights, seed, patients)
    make_deterministic(name.seed, settings.threads)  # before Keras is imported
    from chest_transfer.training.train_and_save import FitOptions, train_end_to_end

    options = FitOptions(settings.train, "train", name.seed, settings.threads, settings.fused_batch_norm)
    backbone, facts = load_starting_point(model, weights, name.seed)
    train_end_to_end(name, backbone, facts, starting_network(model, weights), options, settings.architectures[model])


if __name__ == "__main__":
    run_stage(main)
