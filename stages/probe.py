"""probe@D-model-W: a head on a frozen backbone's features, at models/D/model/probe-W.keras, and what it predicts."""

from pathlib import Path

from chest_transfer.data.arrays import open_arrays, open_features
from chest_transfer.data.catalog import dataset_named
from chest_transfer.errors import run
from chest_transfer.evaluation.predictions import write_predictions
from chest_transfer.networks.saving import load_model, save_model
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import pin


def main(dataset: str, model: str, weights: str) -> None:
    settings = read_settings()
    pin(settings.seed, settings.threads)
    from chest_transfer.training.checkpoints import Checkpoints
    from chest_transfer.training.probing import predicted, probe

    name, start = f"{dataset}/{model}/probe-{weights}", Path(f"models/pretrained/{model}/{weights}.keras")
    paths = [Path(f"data/features/{dataset}/{model}/{weights}/{split}.npz") for split in ("train", "val", "test")]
    train, val, test = map(open_features, paths)
    classes, multi_label = train.classes.tolist(), dataset_named(dataset).multi_label
    backbone, facts = load_model(start)
    used = settings.model_dump(include={"seed", "threads", "probe"})
    checkpoints = Checkpoints(Path(f".training/{dataset}-{model}-{weights}-probe"), used, [*paths[:2], start])
    classifier, history = probe(backbone, train, val, settings.probe, multi_label, settings.seed, checkpoints)
    facts |= {"dataset": dataset, "regime": "probe", "classes": classes, "multi_label": multi_label}
    save_model(classifier, Path(f"models/{name}.keras"), facts | {"threshold": 0.5, "settings": used})
    saved, _ = load_model(Path(f"models/{name}.keras"))
    arrays = {split: open_arrays(f"data/arrays/{dataset}/{split}.npz") for split in ("val", "test")}
    found = {"val": predicted(saved, arrays["val"], val), "test": predicted(saved, arrays["test"], test)}
    write_predictions(Path(f"data/predictions/{name}"), arrays, found, history)
    checkpoints.remove()


if __name__ == "__main__":
    run(main)
