"""probe@D-model-W: a head on a frozen backbone's features; models/D/model/probe-W.keras and what it predicts."""

from pathlib import Path

from chest_transfer.data.arrays import open_features
from chest_transfer.data.catalog import dataset_named
from chest_transfer.errors import run
from chest_transfer.networks.classifier import build_classifier
from chest_transfer.networks.saving import load_model
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import pin


def main(dataset: str, model: str, weights: str) -> None:
    settings = read_settings()
    pin(settings.seed, settings.threads)
    from chest_transfer.training.making import make_model
    from chest_transfer.training.probing import scales_of

    asked, used = settings.probe, settings.model_dump(include={"seed", "threads", "probe"})
    start, folder = Path(f"models/pretrained/{model}/{weights}.keras"), f"data/features/{dataset}/{model}/{weights}"
    paths = {split: Path(folder, f"{split}.npz") for split in ("train", "val", "test")}
    features = {split: open_features(path) for split, path in paths.items()}
    backbone, facts = load_model(start)
    scales = scales_of(features["train"]) if asked.standardize else None
    classes, multi_label = features["train"].classes, dataset_named(dataset).multi_label
    classifier = build_classifier(backbone, asked.head, len(classes), multi_label, scales)
    name, inputs = f"{dataset}/{model}/probe-{weights}", [start, paths["train"], paths["val"]]
    make_model(name, classifier, facts, inputs, asked, asked.learning_rate, used, features=features)


if __name__ == "__main__":
    run(main)
