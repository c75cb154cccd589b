"""Making a model: fitted, saved with its facts, and asked for its predictions by its file alone."""

import json
from pathlib import Path

from chest_transfer.data.arrays import Features, open_arrays
from chest_transfer.data.catalog import dataset_named
from chest_transfer.data.predictions import write_predictions
from chest_transfer.data.scope import scope_of
from chest_transfer.networks.classifier import build_classifier, head_of
from chest_transfer.networks.saving import add_facts, load_model, save_model
from chest_transfer.training.batches import Batches
from chest_transfer.training.checkpoints import Checkpoints
from chest_transfer.training.fitting import fit
from chest_transfer.training.operating import operating_facts
from chest_transfer.training.probing import predicted

LEARNT_FROM = ("train", "val")


def make_whole(name: str, backbone, facts: dict, inputs: list[Path], asked, architecture, used: dict) -> None:
    """Train a backbone and a new head together, all layers alike.

    Args:
        name, facts, inputs, used: as of `make_model`.
        backbone: a Keras model from grey pixels to feature maps.
        asked: settings of `fitting.fit`, and learning_rate.
        architecture: the backbone's own settings.
    """
    dataset = name.split("/")[0]
    classes, multi_label = open_arrays(f"data/arrays/{dataset}/train.npz").classes, dataset_named(dataset).multi_label
    classifier = build_classifier(backbone, architecture.head, len(classes), multi_label)
    rate = asked.learning_rate * architecture.learning_rate_factor
    make_model(name, classifier, facts, inputs, asked, rate, used | {"architecture": architecture.model_dump()})


def make_model(
    name: str,
    classifier,
    facts: dict,
    inputs: list[Path],
    asked,
    learning_rate: float,
    used: dict,
    features: dict[str, Features] | None = None,
    unfreezing=None,
) -> None:
    """Fit a classifier on its dataset's arrays, or its head on stored features; save it, and write what it predicts.

    The file is loaded again before it predicts: the tables tell of the model that others will load. Its calibration and
    thresholds are chosen by what it says of the validation split, and kept in it, as is what its pictures look like.

    Args:
        name: `<dataset>/<backbone>/<regime>-<weights>`, of the model's file and the folder of its predictions.
        classifier: from grey pixels (N, H, W, 1) 0-255 to probabilities (N, K).
        facts: of what it starts from; the dataset's are added.
        inputs: the files that it depends on beside the arrays.
        asked: settings of `fitting.fit`.
        learning_rate: Adam's first.
        used: all the settings that the result depends on, `seed` among them.
        features: split -> what the frozen backbone sees; None trains on the radiographs.
        unfreezing: as of `fitting.fit`.
    """
    dataset, _, model = name.split("/")
    folder = Path("data/arrays", dataset)
    arrays = {split: open_arrays(folder / f"{split}.npz") for split in ("train", "val", "test")}
    train, val = ((features or arrays)[split] for split in LEARNT_FROM)
    multi_label, seed, path = dataset_named(dataset).multi_label, used["seed"], Path(f"models/{name}.keras")
    inputs = [*inputs, *(folder / f"{split}.npz" for split in LEARNT_FROM)]
    checkpoints = Checkpoints(Path(".training", name), used, inputs)
    learner = head_of(classifier) if features else classifier
    history = fit(learner, train, val, asked, learning_rate, multi_label, seed, checkpoints, unfreezing)
    facts = facts | {"dataset": dataset, "regime": model.split("-")[0], "classes": train.classes.tolist()}
    facts |= {
        "fit": json.loads((folder / "summary.json").read_text())["fit"],
        "multi_label": multi_label,
        "settings": facts.get("settings", {}) | used,
    }
    save_model(classifier, path, facts)
    saved, _ = load_model(path)
    found = {
        split: predicted(saved, arrays[split], features[split])
        if features
        else saved.predict(Batches(arrays[split], asked.batch_size), verbose=0)
        for split in ("val", "test")
    }
    scope = scope_of(arrays["train"].images, arrays["val"].images)
    chosen = operating_facts(val.targets, found["val"], multi_label) | {"scope": scope.numbers()}
    add_facts(path, chosen, scope.arrays())
    write_predictions(Path(f"data/predictions/{name}"), arrays, found, history)
    checkpoints.remove()
