"""transfer@T-model-S: the backbone of a model of S trained on T under a new head: models/T/model/transfer-S.keras."""

from pathlib import Path

from chest_transfer.data.arrays import open_arrays
from chest_transfer.data.catalog import dataset_named
from chest_transfer.errors import run
from chest_transfer.networks.classifier import backbone_of, build_classifier
from chest_transfer.networks.saving import load_model, save_model
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import pin


def main(target: str, model: str, source: str) -> None:
    settings = read_settings()
    pin(settings.seed, settings.threads)
    from chest_transfer.training.checkpoints import Checkpoints
    from chest_transfer.training.fitting import fit

    asked, saved = settings.transfer, Path(f"models/{target}/{model}/transfer-{source}.keras")
    start = Path(f"models/{source}/{model}/{asked.regime}-{asked.weights}.keras")
    paths = [Path(f"data/arrays/{target}/{split}.npz") for split in ("train", "val")]
    train, val = map(open_arrays, paths)
    architecture, multi_label = settings.architectures[model], dataset_named(target).multi_label
    learnt, facts = load_model(start)
    classifier = build_classifier(backbone_of(learnt), architecture.head, len(train.classes), multi_label)
    used = settings.model_dump(include={"seed", "threads", "transfer"}) | {"architecture": architecture.model_dump()}
    checkpoints = Checkpoints(Path(f".training/{target}-{model}-from-{source}"), used, [*paths, start])
    rate = asked.learning_rate * architecture.learning_rate_factor
    history = fit(classifier, train, val, asked, rate, multi_label, settings.seed, checkpoints)
    facts |= {"dataset": target, "regime": "transfer", "classes": train.classes.tolist(), "multi_label": multi_label}
    save_model(classifier, saved, facts | {"source": source, "threshold": 0.5, "settings": used})
    history.to_csv(saved.with_suffix(".csv"), index=False)
    checkpoints.remove()


if __name__ == "__main__":
    run(main)
