"""transfer@T-model-S-seed-N: the backbone of a model of dataset S, trained on N patients of T under a new head."""

from chest_transfer.errors import run_stage
from chest_transfer.model_names import ModelName
from chest_transfer.networks.classifier import backbone_of
from chest_transfer.networks.facts import ClassifierFacts
from chest_transfer.networks.saving import load_model
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import make_deterministic


def main(target: str, model: str, source: str, seed: str, patients: str) -> None:
    settings, name = read_settings(), ModelName.of_words(target, model, "transfer", source, seed, patients)
    make_deterministic(name.seed, settings.threads)
    from chest_transfer.training.train_and_save import FitOptions, train_end_to_end

    start = ModelName(source, model, settings.transfer.regime, settings.transfer.weights, name.seed).network
    options = FitOptions(settings.transfer, "transfer", name.seed, settings.threads, settings.fused_batch_norm)
    classifier, facts = load_model(start, ClassifierFacts)
    train_end_to_end(name, backbone_of(classifier), facts, start, options, settings.architectures[model])


if __name__ == "__main__":
    run_stage(main)
