"""probe@D-model-W: a head trained on the features of the frozen backbone with weights W."""

from pathlib import Path

from chest_transfer.data.arrays import open_features
from chest_transfer.data.splits import SPLITS
from chest_transfer.errors import run_stage
from chest_transfer.model_names import ModelName, starting_network
from chest_transfer.networks.classifier import build_classifier
from chest_transfer.networks.facts import StartingFacts
from chest_transfer.networks.saving import load_model
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import make_deterministic


def main(dataset: str, model: str, weights: str) -> None:
    settings = read_settings()
    make_deterministic(settings.seed, settings.threads)
    from chest_transfer.training.probing import feature_moments
    from chest_transfer.training.train_and_save import FitOptions, train_and_save

    probe, start = settings.probe, starting_network(model, weights)
    files = {split: Path(f"data/features/{dataset}/{model}/{weights}/{split}.npz") for split in SPLITS}
    features = {split: open_features(file) for split, file in files.items()}
    backbone, facts = load_model(start, StartingFacts)
    train = features["train"]
    moments = feature_moments(train) if probe.standardize else None
    classifier = build_classifier(backbone, probe.head, len(train.classes), train.multi_label, moments)
    name, inputs = ModelName(dataset, model, "probe", weights), [start, files["train"], files["val"]]
    options = FitOptions(probe, "probe", settings.seed, settings.threads, fused_batch_norm=False)
    train_and_save(name, classifier, facts, inputs, options, learning_rate=probe.learning_rate, features=features)


if __name__ == "__main__":
    run_stage(main)
