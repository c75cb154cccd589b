"""pretrained@model-W: the backbone with its starting weights W, at models/pretrained/model/W.keras."""

from chest_transfer.errors import run_stage
from chest_transfer.model_names import starting_network
from chest_transfer.networks.saving import save_model
from chest_transfer.networks.weights import load_starting_weights
from chest_transfer.phantom.pretraining import fresh_patients
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import make_deterministic


def main(model: str, weights: str) -> None:
    settings = read_settings()
    make_deterministic(settings.phantom.seed, settings.threads)
    from chest_transfer.training.precision import warn_if_slower

    warn_if_slower(settings.precision)
    architecture, files, partial = settings.architectures[model], settings.weights_files, settings.partial_weights
    options = settings.image_size, architecture, files, settings.precision, partial
    backbone, facts = load_starting_weights(model, weights, *options)
    if (partial[weights].weights if weights in partial else weights) == "phantom":
        pretrain(backbone, settings)
    save_model(backbone, starting_network(model, weights), facts)


def pretrain(backbone, settings) -> None:
    """Train a backbone, in place, to recognize the findings of simulated patients."""
    from chest_transfer.training.pretraining import pretrain_backbone
    from chest_transfer.training.train_and_save import FitOptions

    seed, threads = settings.phantom.seed, settings.threads
    size, shown = settings.image_size, (settings.preprocess.region, settings.preprocess.outside_lungs)
    splits = fresh_patients(settings.pretrain.patients, seed, size, threads, *shown)
    options = FitOptions(settings.pretrain, "pretrain", seed, threads, settings.fused_batch_norm)
    inputs = {"phantom_seed": seed, "image_size": size, "precision": settings.precision, "shown": shown}
    pretrain_backbone(backbone, *splits, options, settings.architectures[backbone.name], inputs)


if __name__ == "__main__":
    run_stage(main)
