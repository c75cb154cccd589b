"""Training and saving: what every fitted model leaves is its network, its history and its raw predictions."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chest_transfer.data.arrays import Arrays, Features, open_arrays, read_npz
from chest_transfer.data.predictions import predictions_of
from chest_transfer.data.training_subsets import of_training_patients
from chest_transfer.files import atomic_write, write_json
from chest_transfer.machine import machine
from chest_transfer.model_names import ALL_PATIENTS, ModelName
from chest_transfer.networks.classifier import build_classifier, head_of, logits_network
from chest_transfer.networks.facts import ClassifierFacts, StartingFacts
from chest_transfer.networks.saving import LUNGS, load_model, save_model, with_prefix
from chest_transfer.networks.weights import FROM_IMAGENET
from chest_transfer.training.batches import Batches
from chest_transfer.training.checkpoints import CHECKPOINTS, Checkpoints
from chest_transfer.training.fit_check import OK, check_fit
from chest_transfer.training.fitting import fit
from chest_transfer.training.frozen_part import activations_of, storable_frozen_part
from chest_transfer.training.fused_norm import fuse_batch_norms
from chest_transfer.training.probing import logits_from_features

if TYPE_CHECKING:
    from chest_transfer.settings import Architecture, Fit
    from chest_transfer.training.unfreezing import GradualUnfreezing

PREDICTED_SPLITS = ("val", "test")


@dataclass(frozen=True)
class FitOptions:
    """The options of a fit that are the same whatever is fitted.

    Args:
        settings: Fit section of the settings.
        section: str, the name of that section.
        seed: int.
        threads: int, of TensorFlow.
        fused_batch_norm: bool, whether batch norm uses TensorFlow's fused kernel.
    """

    settings: "Fit"
    section: str
    seed: int
    threads: int
    fused_batch_norm: bool

    def record(self) -> dict:
        """Return the settings that the result depends on, as JSON."""
        keys = {"seed": self.seed, "threads": self.threads, "fused_batch_norm": self.fused_batch_norm}
        return keys | {self.section: self.settings.model_dump(exclude={"weights", "sources", "target"})}


def train_end_to_end(
    name: ModelName, backbone, facts: StartingFacts, start: Path, options: FitOptions, architecture: "Architecture"
) -> None:
    """Train a backbone and a new head together, and save the model.

    Args:
        name: ModelName of the result.
        backbone: Keras model from gray levels to feature maps.
        facts: StartingFacts, or a subclass, of what the backbone comes from.
        start: Path of the file that the backbone comes from.
        options: FitOptions.
        architecture: settings of the backbone: its head, and the factor of its learning rate.
    """
    train = open_arrays(_arrays_folder(name) / "train.npz")  # for its classes
    classifier = build_classifier(backbone, architecture.head, len(train.classes), train.multi_label)
    learning_rate = options.settings.learning_rate * architecture.learning_rate_factor
    settings = {"architecture": architecture.model_dump()}
    train_and_save(name, classifier, facts, [start], options, learning_rate=learning_rate, more_settings=settings)


def train_and_save(
    name: ModelName,
    classifier,
    facts: StartingFacts,
    inputs: list[Path],
    options: FitOptions,
    *,
    learning_rate: float,
    features: dict[str, Features] | None = None,
    unfreezing: "GradualUnfreezing | None" = None,
    more_settings: dict | None = None,
) -> None:
    """Fit a classifier to the arrays of its dataset, or its head to stored features; save it and what it predicts.

    Where the arrays show lungs, the weights of what found them are saved with it.

    The network is loaded from its file before it predicts, so that the predictions are those of the model that others
    will load. `name.predictions` gets `val.csv` and `test.csv` (raw predictions), `history.csv`, and `facts.json`: the
    facts in the network's file and the file's SHA-256.

    Args:
        name: ModelName of the result.
        classifier: Keras model from gray levels (N, H, W, 1) 0-255 to probabilities (N, K).
        facts: StartingFacts, or a subclass, of what it starts from.
        inputs: list of Path, the files that the fit depends on beside the arrays.
        options: FitOptions.
        learning_rate: float, Adam's, after warm-up.
        features: None to train on radiographs; else the Features of each split, of training those of its patients.
        unfreezing: as in `fitting.fit`.
        more_settings: dict of settings that the result depends on, beside those of the options.
    """
    folder = _arrays_folder(name)
    files = {split: folder / f"{split}.npz" for split in ("train", "val", "test")}
    arrays = {split: open_arrays(file) for split, file in files.items()}
    arrays["train"] = of_training_patients(arrays["train"], name.patients, name.seed)
    classes, multi_label = [str(label) for label in arrays["train"].classes], arrays["train"].multi_label
    fitted_on: dict = features or arrays
    network = head_of(classifier) if features else logits_network(classifier)
    parts = _storable_parts(network, arrays, options) if unfreezing else None
    settings = options.record() | {"patients": name.patients or ALL_PATIENTS} | (more_settings or {})
    # Weights of a part do not fit the whole network.
    training_folder, key = CHECKPOINTS / str(name), settings | {"is_frozen_part_stored": parts is not None}
    checkpoints = Checkpoints(training_folder, key, [*inputs, files["train"], files["val"]])
    if parts is not None:
        frozen, network = parts
        fitted_on = {
            split: activations_of(
                frozen, arrays[split], training_folder / f"activations/{split}", options.settings.batch_size
            )
            for split in ("train", "val")
        }
    history = fit(
        network,
        fitted_on["train"], fitted_on["val"], options.settings, checkpoints,
        section=options.section, learning_rate=learning_rate, multi_label=multi_label, seed=options.seed,
        fused_batch_norm=options.fused_batch_norm, unfreezing=unfreezing,
    )  # fmt: skip
    summary = json.loads((folder / "summary.json").read_text())
    previous = facts.model_dump()
    model_facts = ClassifierFacts(
        **{key: previous[key] for key in StartingFacts.model_fields},
        dataset=name.dataset,
        regime=name.regime,
        source=name.start if name.start != facts.weights else None,
        classes=classes,
        multi_label=multi_label,
        fit=summary["fit"],
        region=summary["region"],
        outside_lungs=summary["outside_lungs"],
        seed=name.seed,
        patients=name.patients,
        settings=previous.get("settings", {}) | settings,
        simulated=_is_simulated(summary, previous),
        machine=machine(),
    )
    save_model(classifier, name.network, model_facts, with_prefix(LUNGS, read_npz(folder / "region.npz")))
    saved, _ = load_model(name.network, ClassifierFacts)
    logits = {
        split: logits_from_features(saved, arrays[split], features[split])
        if features
        else logits_network(saved).predict(Batches(arrays[split], options.settings.batch_size), verbose=0)
        for split in PREDICTED_SPLITS
    }
    with atomic_write(name.predictions) as aside:
        aside.mkdir()
        for split in PREDICTED_SPLITS:
            table = predictions_of(arrays[split], logits[split], classes, multi_label).table()
            table.to_csv(aside / f"{split}.csv", index=False)
        history.to_csv(aside / "history.csv", index=False)
        write_json(aside / "facts.json", {"sha256": _sha256(name.network)} | model_facts.model_dump())
    checkpoints.remove()
    verdict = check_fit(arrays["val"].targets, logits["val"], history, multi_label)
    if verdict != OK:
        print(f"CAUTION: the fit of {name} failed: {verdict}", flush=True)


def _storable_parts(network, arrays: dict[str, Arrays], options: FitOptions):
    """Return the frozen part of a network and the rest; None where each epoch must run both."""
    if options.settings.augmentation.changes_anything or options.settings.regularization.mixup:
        return None
    if options.fused_batch_norm:
        fuse_batch_norms(network)
    return storable_frozen_part(network, arrays, Path())


def _is_simulated(summary: dict, started_from: dict) -> bool:
    """Return whether a fit, and whatever it started from, saw simulated patients alone, as far as is known.

    Args:
        summary: dict, `summary.json` of its dataset.
        started_from: dict, the facts of what it started from. ImageNet's photographs are no patients; what the weights
            of another file have seen is unknown.
    """
    has_known_weights = started_from["weights_sha256"] is None or started_from["weights"] in FROM_IMAGENET
    return summary.get("simulated", False) and started_from.get("simulated", has_known_weights)


def _arrays_folder(name: ModelName) -> Path:
    return Path("data/arrays", name.dataset)


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
