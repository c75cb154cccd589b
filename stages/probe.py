"""probe@D-model-W-seed-N: a head trained on the frozen backbone's features of N patients of D."""

from chest_transfer.data.arrays import open_features
from chest_transfer.data.splits import SPLITS
from chest_transfer.data.training_subsets import of_training_patients
from chest_transfer.errors import run_stage
from chest_transfer.model_names import ModelName, pretrained_features, random_features, starting_network
from chest_transfer.networks.classifier import build_classifier
from chest_transfer.networks.starting_points import load_starting_point
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import make_deterministic


def main(dataset: str, model: str, weights: str, seed: str, patients: str) -> None:
    settings, name = read_settings(), ModelName.of_words(dataset, model, "probe", weights, seed, patients)
    make_deterministic(name.seed, settings.threads)
    from chest_transfer.training.probing import feature_moments
    from chest_transfer.training.train_and_save import FitOptions, train_and_save

    probe, (backbone, facts) = settings.probe, load_starting_point(model, weights, name.seed)
    folder = pretrained_features(dataset, model, weights)
    if facts.is_random:
        folder = random_features(dataset, model, weights, name.seed)
    features = {split: open_features(folder / f"{split}.npz") for split in SPLITS}
    train = features["train"] = of_training_patients(features["train"], name.patients, name.seed)
    moments = feature_moments(train) if probe.standardize else None
    classifier = build_classifier(backbone, probe.head, len(train.classes), train.multi_label, moments)
    inputs = [starting_network(model, weights), *(folder / f"{split}.npz" for split in ("train", "val"))]
    options = FitOptions(probe, "probe", name.seed, settings.threads, fused_batch_norm=False)
    train_and_save(name, classifier, facts, inputs, options, learning_rate=probe.learning_rate, features=features)


if __name__ == "__main__":
    run_stage(main)
