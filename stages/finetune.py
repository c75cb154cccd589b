"""finetune@D-model-W-seed-N: the probe of N patients of D from W, with layers of its backbone unfrozen."""

from dataclasses import replace

from chest_transfer.errors import run_stage
from chest_transfer.model_names import ModelName
from chest_transfer.networks.facts import ClassifierFacts
from chest_transfer.networks.saving import load_model
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import make_deterministic


def main(dataset: str, model: str, weights: str, seed: str, patients: str) -> None:
    settings = read_settings()
    make_deterministic(int(seed), settings.threads)
    from chest_transfer.training.train_and_save import FitOptions, train_and_save
    from chest_transfer.training.unfreezing import GradualUnfreezing

    name = ModelName.of_words(dataset, model, "finetune", weights, seed, patients)
    start = replace(name, regime="probe")
    options = FitOptions(settings.finetune, "finetune", name.seed, settings.threads, settings.fused_batch_norm)
    probe, facts = load_model(start.network, ClassifierFacts)
    unfreezing = GradualUnfreezing(probe, settings.finetune)
    rate = settings.finetune.learning_rate
    train_and_save(name, probe, facts, [start.network], options, learning_rate=rate, unfreezing=unfreezing)


if __name__ == "__main__":
    run_stage(main)
