"""probe@D-model-W: a head on a frozen backbone's features; the whole model at models/D/model/probe-W.keras."""

from pathlib import Path

from chest_transfer.data.arrays import open_features
from chest_transfer.data.catalog import dataset_named
from chest_transfer.errors import run
from chest_transfer.networks.classifier import build_classifier, head_of
from chest_transfer.networks.saving import load_model, save_model
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import pin


def main(dataset: str, model: str, weights: str) -> None:
    settings = read_settings()
    pin(settings.seed, settings.threads)
    from chest_transfer.training.checkpoints import Checkpoints
    from chest_transfer.training.features import scales_of
    from chest_transfer.training.fitting import fit

    asked, seed, target = settings.probe, settings.seed, Path(f"models/{dataset}/{model}/probe-{weights}")
    paths = [Path(f"data/features/{dataset}/{model}/{weights}/{split}.npz") for split in ("train", "val")]
    start = Path(f"models/pretrained/{model}/{weights}.keras")
    train, val = map(open_features, paths)
    multi_label = dataset_named(dataset).multi_label
    backbone, facts = load_model(start)
    scales = scales_of(train) if asked.standardize else None
    classifier = build_classifier(backbone, asked.head, len(train.classes), multi_label, scales)
    used = settings.model_dump(include={"seed", "threads", "probe"})
    checkpoints = Checkpoints(Path(f".training/{dataset}-{model}-{weights}-probe"), used, [*paths, start])
    history = fit(head_of(classifier), train, val, asked, asked.learning_rate, multi_label, seed, checkpoints)
    facts |= {"dataset": dataset, "regime": "probe", "classes": train.classes.tolist(), "multi_label": multi_label}
    save_model(classifier, target.with_suffix(".keras"), facts | {"threshold": 0.5, "settings": used})
    history.to_csv(target.with_suffix(".csv"), index=False)
    checkpoints.remove()


if __name__ == "__main__":
    run(main)
