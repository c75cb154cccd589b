"""pretrained@model-W: the backbone with the weights it starts from, at models/pretrained/model/W.keras."""

from pathlib import Path

from chest_transfer.errors import run
from chest_transfer.networks.classifier import build_classifier
from chest_transfer.networks.saving import save_model
from chest_transfer.networks.weights import starting_point
from chest_transfer.phantom.pretraining import fresh_patients
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import pin


def main(model: str, weights: str) -> None:
    settings = read_settings()
    pin(settings.seed, settings.threads)
    architecture, files, precision = settings.architectures[model], settings.weights_files, settings.precision
    backbone, facts = starting_point(model, weights, settings.image_size, architecture, files, precision)
    if weights == "phantom":
        pretrain(backbone, settings)
    save_model(backbone, Path(f"models/pretrained/{model}/{weights}.keras"), facts)


def pretrain(backbone, settings) -> None:
    """Teach a backbone the findings of fresh simulated patients, in place."""
    from chest_transfer.training.checkpoints import Checkpoints
    from chest_transfer.training.fitting import fit

    asked, architecture = settings.pretrain, settings.architectures[backbone.name]
    train, val = fresh_patients(asked.patients, settings.phantom.seed, settings.image_size, settings.threads)
    classifier = build_classifier(backbone, architecture.head, len(train.classes), multi_label=True)
    used = settings.model_dump(include={"seed", "threads", "image_size", "precision", "pretrain", "phantom"})
    checkpoints = Checkpoints(Path(f".training/pretrained-{backbone.name}"), used | architecture.model_dump(), [])
    rate = asked.learning_rate * architecture.learning_rate_factor
    fit(classifier, train, val, asked, rate, True, settings.seed, checkpoints)
    checkpoints.remove()


if __name__ == "__main__":
    run(main)
