"""Why unfreezing a good network can ruin it: the published recipe on real children's radiographs, and ours beside it.

    python -m bench.collapse ARCHIVES [--image-size 80]

ARCHIVES is a folder of public archives, under the names that Kaggle gives them; MobileNetV2's ImageNet file must be in
$KERAS_HOME/models. Both start from ImageNet, train a head on the frozen backbone for ten epochs, then all but its last
ten layers for five (presets/children-cnn-resnet50v2.yaml). In the recipe batch norm learns too, at Adam's usual rate.
Two cores: ten minutes.
"""

import argparse
import tempfile
from pathlib import Path

from bench.transfer import splits_of
from chest_transfer.data.arrays import open_features
from chest_transfer.networks.classifier import build_classifier, head_of
from chest_transfer.networks.weights import starting_point
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import pin


def tell(what: str, probabilities, truth) -> None:
    """Accuracy, share called ill, and AUC of probabilities (N,) of illness."""
    from sklearn.metrics import roc_auc_score

    ill = probabilities > 0.5
    print(
        f"{what}: test accuracy {(ill == truth).mean():.3f}, called ill {ill.mean():.3f} of {truth.mean():.3f}, "
        f"AUC {roc_auc_score(truth, probabilities):.3f}",
        flush=True,
    )


def recipe(backbone, splits) -> None:
    """Freeze, fit, unfreeze all but the last ten layers, compile again, fit."""
    import keras

    pooled = keras.layers.GlobalAveragePooling2D()(backbone.output)
    model = keras.Model(backbone.input, keras.layers.Dense(1, activation="sigmoid")(pooled))
    images = {split: part.images[..., None].astype("float32") for split, part in splits.items()}
    held_out, history = (images["val"], splits["val"].labels), {}
    for stage, epochs in (("frozen", 10), ("unfrozen", 5)):
        for number, layer in enumerate(backbone.layers):
            layer.trainable = stage == "unfrozen" and number < len(backbone.layers) - 10
        model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
        fitted = model.fit(
            images["train"], splits["train"].labels, epochs=epochs, validation_data=held_out, verbose=0
        )  # fmt: skip
        history = {name: [round(value, 3) for value in values] for name, values in fitted.history.items()}
        tell(f"recipe, {stage}", model.predict(images["test"], verbose=0)[:, 0], splits["test"].labels)
    print(f"  while unfrozen: training accuracy {history['accuracy']}, validation {history['val_accuracy']}")


def ours(backbone, splits, settings) -> None:
    """Embed, fit a head, then fine-tune the same layers from there with batch norm left alone."""
    from chest_transfer.training.batches import Batches
    from chest_transfer.training.checkpoints import Checkpoints
    from chest_transfer.training.features import embed, embedder
    from chest_transfer.training.fitting import fit
    from chest_transfer.training.probing import scales_of
    from chest_transfer.training.unfreezing import Unfreezing

    probe = settings.probe.model_copy(update={"epochs": 10, "patience": 10})
    changes = {"unfreeze": "all but last 10", "groups": 1, "every": 0, "epochs": 5, "learning_rate": 1e-4}
    finetune = settings.finetune.model_copy(update=changes)
    test, seed = splits["test"], settings.seed
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        network = embedder(backbone)
        for split, part in splits.items():
            embed(network, part, folder / f"{split}.npz", 32, 0, settings.embed.augmentation, seed)
        features = {split: open_features(folder / f"{split}.npz") for split in ("train", "val")}
        classifier = build_classifier(backbone, "linear", 2, False, scales_of(features["train"]))
        kept = Checkpoints(folder / "probe", {}, [])
        fit(head_of(classifier), *features.values(), probe, probe.learning_rate, False, seed, kept)
        tell("ours, frozen", classifier.predict(Batches(test, 64), verbose=0)[:, 1], test.labels)
        unfreezing, kept = Unfreezing(classifier, finetune), Checkpoints(folder / "finetune", {}, [])
        pair = splits["train"], splits["val"]
        fit(classifier, *pair, finetune, finetune.learning_rate, False, seed, kept, unfreezing)
        tell("ours, fine-tuned", classifier.predict(Batches(test, 64), verbose=0)[:, 1], test.labels)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("archives")
    parser.add_argument("--image-size", type=int, default=80)
    asked = parser.parse_args()
    settings = read_settings()
    pin(settings.seed, settings.threads)
    with tempfile.TemporaryDirectory() as folder:
        wanted = settings.model_copy(update={"image_size": asked.image_size})
        splits = splits_of("pneumonia", asked.archives, Path(folder), wanted)
        architecture = settings.architectures["mobilenetv2"]
        for run in (recipe, lambda *arguments: ours(*arguments, settings)):
            backbone, _ = starting_point("mobilenetv2", "imagenet", asked.image_size, architecture, {})
            run(backbone, splits)


if __name__ == "__main__":
    main()
