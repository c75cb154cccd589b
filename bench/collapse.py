"""Why unfreezing a good network can ruin it: a published recipe on real radiographs of children, and ours beside it.

    python -m bench.collapse ARCHIVES [--image-size 80]

ARCHIVES is a folder of public archives, under the names that Kaggle gives them; MobileNetV2's ImageNet file must be in
$KERAS_HOME/models. Both start from ImageNet, train a head on the frozen backbone for ten epochs, then all but its last
ten layers for five (presets/children-cnn-resnet50v2.yaml). In the recipe batch norm is trained too, at Adam's default
learning rate. On two cores it takes ten minutes.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from bench.transfer import open_splits
from chest_transfer.data.arrays import Arrays, open_features
from chest_transfer.networks.classifier import build_classifier, head_of, logits_network
from chest_transfer.networks.weights import load_starting_weights
from chest_transfer.settings import Settings, read_settings
from chest_transfer.training.determinism import make_deterministic

FROZEN_EPOCHS, UNFROZEN_EPOCHS = 10, 5
FROZEN_LAYERS = 10  # the last ones, while the others are unfrozen


def print_scores(title: str, probabilities: np.ndarray, labels: np.ndarray) -> None:
    """Print the accuracy, how many are predicted to be diseased, and the AUC.

    Args:
        title: str.
        probabilities: (N,) array, of disease.
        labels: (N,) array of 0 and 1.
    """
    from sklearn.metrics import roc_auc_score

    is_diseased = probabilities > 0.5
    print(
        f"{title}: test accuracy {(is_diseased == labels).mean():.3f}, predicted to be diseased "
        f"{is_diseased.mean():.3f} (of whom there are {labels.mean():.3f}), "
        f"AUC {roc_auc_score(labels, probabilities):.3f}",
        flush=True,
    )


def run_recipe(backbone, splits: dict[str, Arrays]) -> None:
    """Freeze, fit, unfreeze all but the last ten layers, compile again, fit."""
    import keras

    pooled = keras.layers.GlobalAveragePooling2D()(backbone.output)
    model = keras.Model(backbone.input, keras.layers.Dense(1, activation="sigmoid")(pooled))
    images = {split: part.images[..., None].astype("float32") for split, part in splits.items()}
    validation, history = (images["val"], splits["val"].labels), {}
    for stage, epochs in (("frozen", FROZEN_EPOCHS), ("unfrozen", UNFROZEN_EPOCHS)):
        for number, layer in enumerate(backbone.layers):
            layer.trainable = stage == "unfrozen" and number < len(backbone.layers) - FROZEN_LAYERS
        model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
        fitted = model.fit(
            images["train"], splits["train"].labels, epochs=epochs, validation_data=validation, verbose=0
        )  # fmt: skip
        history = {name: [round(value, 3) for value in values] for name, values in fitted.history.items()}
        print_scores(f"recipe, {stage}", model.predict(images["test"], verbose=0)[:, 0], splits["test"].labels)
    print(f"  while unfrozen: training accuracy {history['accuracy']}, validation {history['val_accuracy']}")


def run_ours(backbone, splits: dict[str, Arrays], settings: Settings) -> None:
    """Embed, fit a head, then fine-tune the same layers from there with frozen batch norms."""
    from chest_transfer.training.batches import Batches
    from chest_transfer.training.checkpoints import Checkpoints
    from chest_transfer.training.features import embed, feature_extractor
    from chest_transfer.training.fitting import fit
    from chest_transfer.training.probing import feature_moments
    from chest_transfer.training.unfreezing import GradualUnfreezing

    probe = settings.probe.model_copy(update={"epochs": FROZEN_EPOCHS, "patience": FROZEN_EPOCHS})
    changes = {
        "unfreeze": f"all but last {FROZEN_LAYERS}", "groups": 1, "unfreeze_every": 0, "epochs": UNFROZEN_EPOCHS,
        "learning_rate": 1e-4,
    }  # fmt: skip
    finetune = settings.finetune.model_copy(update=changes)
    test, seed = splits["test"], settings.seeds[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        network = feature_extractor(backbone, settings.fused_batch_norm)
        for split, part in splits.items():
            embed(network, part, folder / f"{split}.npz", settings.embed, 0, seed)
        features = {split: open_features(folder / f"{split}.npz") for split in ("train", "val")}
        classifier = build_classifier(backbone, "linear", 2, False, feature_moments(features["train"]))
        fit(
            head_of(classifier), features["train"], features["val"], probe, Checkpoints(folder / "probe", {}, []),
            section="probe", learning_rate=probe.learning_rate, multi_label=False, seed=seed,
        )  # fmt: skip
        print_scores("ours, frozen", classifier.predict(Batches(test, 64), verbose=0)[:, 1], test.labels)
        unfreezing = GradualUnfreezing(classifier, finetune)
        fit(
            logits_network(classifier), splits["train"], splits["val"], finetune,
            Checkpoints(folder / "finetune", {}, []),
            section="finetune", learning_rate=finetune.learning_rate, multi_label=False, seed=seed,
            fused_batch_norm=settings.fused_batch_norm, unfreezing=unfreezing,
        )  # fmt: skip
        print_scores("ours, fine-tuned", classifier.predict(Batches(test, 64), verbose=0)[:, 1], test.labels)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("archives")
    parser.add_argument("--image-size", type=int, default=80)
    options = parser.parse_args()
    settings = read_settings()
    make_deterministic(settings.seeds[0], settings.threads)
    with tempfile.TemporaryDirectory() as folder:
        sized = settings.model_copy(update={"image_size": options.image_size})
        splits = open_splits("pneumonia", options.archives, Path(folder), sized)
        architecture = settings.architectures["mobilenetv2"]
        for run in (run_recipe, lambda *arguments: run_ours(*arguments, settings)):
            backbone, _ = load_starting_weights("mobilenetv2", "imagenet", options.image_size, architecture, {})
            run(backbone, splits)


if __name__ == "__main__":
    main()
