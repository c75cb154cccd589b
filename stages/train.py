"""train@D-model-W: the whole network trained on D from W, at models/D/model/train-W.keras, its history beside it."""

from pathlib import Path

from chest_transfer.data.arrays import open_arrays
from chest_transfer.data.catalog import dataset_named
from chest_transfer.errors import run
from chest_transfer.networks.classifier import build_classifier
from chest_transfer.networks.saving import load_model, save_model
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import pin


def main(dataset: str, model: str, weights: str) -> None:
    settings = read_settings()
    pin(settings.seed, settings.threads)  # before Keras is imported
    from chest_transfer.training.checkpoints import Checkpoints
    from chest_transfer.training.fitting import fit

    paths = [Path(f"data/arrays/{dataset}/{split}.npz") for split in ("train", "val")]
    start, target = (
        Path(f"models/pretrained/{model}/{weights}.keras"),
        Path(f"models/{dataset}/{model}/train-{weights}"),
    )
    train, val = map(open_arrays, paths)
    architecture, multi_label = settings.architectures[model], dataset_named(dataset).multi_label
    backbone, facts = load_model(start)
    classifier = build_classifier(backbone, architecture.head, len(train.classes), multi_label)
    used = settings.model_dump(include={"seed", "threads", "train"}) | {"architecture": architecture.model_dump()}
    checkpoints = Checkpoints(Path(f".training/{dataset}-{model}-{weights}"), used, [*paths, start])
    rate = settings.train.learning_rate * architecture.learning_rate_factor
    history = fit(classifier, train, val, settings.train, rate, multi_label, settings.seed, checkpoints)
    facts |= {"dataset": dataset, "regime": "train", "classes": train.classes.tolist(), "multi_label": multi_label}
    save_model(classifier, target.with_suffix(".keras"), facts | {"threshold": 0.5, "settings": used})
    history.to_csv(target.with_suffix(".csv"), index=False)
    checkpoints.remove()


if __name__ == "__main__":
    run(main)
