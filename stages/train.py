"""train@D-model-W: the whole network trained on D from the starting weights W."""

from chest_transfer.errors import run_stage
from chest_transfer.model_names import ModelName, starting_network
from chest_transfer.networks.facts import StartingFacts
from chest_transfer.networks.saving import load_model
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import make_deterministic


def main(dataset: str, model: str, weights: str) -> None:
    settings = read_settings()
    make_deterministic(settings.seed, settings.threads)  # before Keras is imported
    from chest_transfer.training.train_and_save import FitOptions, train_end_to_end

    name, start = ModelName(dataset, model, "train", weights), starting_network(model, weights)
    options = FitOptions(settings.train, "train", settings.seed, settings.threads, settings.fused_batch_norm)
    backbone, facts = load_model(start, StartingFacts)
    train_end_to_end(name, backbone, facts, start, options, settings.architectures[model])


if __name__ == "__main__":
    run_stage(main)
