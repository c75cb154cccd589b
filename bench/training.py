"""Full training of ResNet50: our `fit` against `keras.Model.fit` on float arrays in memory, in one run.

    python -m bench.training [--image-size 224] [--images 768] [--rounds 1]

Radiographs per second of whole epochs, with validation, batch-norm statistics and checkpoints; the first epoch, in
which TensorFlow traces, is left out. The runs take turns; the best round of each counts. On two cores it takes ten
minutes.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from chest_transfer.data.arrays import Arrays
from chest_transfer.networks.backbones import build_backbone
from chest_transfer.networks.classifier import build_classifier, logits_network
from chest_transfer.settings import Settings, read_settings
from chest_transfer.training.determinism import make_deterministic

BATCH = 32
LEARNING_RATE = 1e-3


def random_images(count: int, size: int, seed: int) -> Arrays:
    """Return noise with labels: speed does not depend on what the images show."""
    images = np.random.default_rng(seed).integers(0, 256, (count, size, size), dtype=np.uint8)
    names = np.array([str(number) for number in range(count)])
    return Arrays(images, np.arange(count) % 2, names, names, np.array(["healthy", "diseased"]))


def run_plain(train: Arrays, val: Arrays) -> list[float]:
    """Return the seconds of each epoch of Keras' own fit."""
    import keras

    keras.backend.clear_session()
    size = train.images.shape[1]
    backbone = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(size, size, 3))
    hidden = keras.layers.GlobalAveragePooling2D()(backbone.output)
    hidden = keras.layers.Dense(256, activation="relu")(hidden)
    model = keras.Model(backbone.input, keras.layers.Dense(2, activation="softmax")(hidden))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    (x, y), validation = (
        (np.repeat(part.images[..., None], 3, axis=-1).astype(np.float32) / 255, part.labels) for part in (train, val)
    )
    ends = [time.perf_counter()]
    timer = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: ends.append(time.perf_counter()))
    model.fit(x, y, batch_size=BATCH, epochs=2, validation_data=validation, callbacks=[timer], verbose=0)
    return np.diff(ends).tolist()


def run_ours(train: Arrays, val: Arrays, precision: str, settings: Settings) -> list[float]:
    """Return the seconds of each epoch of our `fit`, until its checkpoint is on the disk.

    Args:
        train: Arrays to train on.
        val: Arrays to validate on.
        precision: str, of the backbone.
        settings: Settings.
    """
    import keras

    from chest_transfer.training.checkpoints import Checkpoints
    from chest_transfer.training.fitting import fit

    class TimedCheckpoints(Checkpoints):
        ends: list[float]

        def save(self, *arguments):
            super().save(*arguments)
            self.ends.append(time.perf_counter())

    keras.backend.clear_session()
    backbone = build_backbone("resnet50", train.images.shape[1], precision=precision)
    classifier = build_classifier(backbone, "dense256", 2, multi_label=False)
    off = settings.train.augmentation.model_copy(update=dict.fromkeys(("rotation", "shift", "zoom", "contrast"), 0.0))
    changes = {"epochs": 2, "patience": 2, "batch_size": BATCH, "augmentation": off}
    fit_settings = settings.train.model_copy(update=changes)
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = TimedCheckpoints(Path(folder) / "training", {}, [])
        checkpoints.ends = [time.perf_counter()]
        fit(
            logits_network(classifier), train, val, fit_settings, checkpoints, section="train",
            learning_rate=LEARNING_RATE, multi_label=False, seed=1, fused_batch_norm=settings.fused_batch_norm,
        )  # fmt: skip
    return np.diff(checkpoints.ends).tolist()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--images", type=int, default=768)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    settings = read_settings()
    make_deterministic(settings.seeds[0], settings.threads)
    train, val = (random_images(count, options.image_size, seed) for seed, count in enumerate((options.images, BATCH)))
    runs = {
        "keras fit, float32": lambda: run_plain(train, val),
        "ours, float32": lambda: run_ours(train, val, "float32", settings),
        "ours, mixed_bfloat16": lambda: run_ours(train, val, "mixed_bfloat16", settings),
    }
    best = dict.fromkeys(runs, 0.0)  # radiographs per second
    for _ in range(options.rounds):
        for name, seconds_of_epochs in runs.items():
            best[name] = max(best[name], options.images / seconds_of_epochs()[1])
            print(f"{name}: {best[name]:.2f} radiographs/s", flush=True)
    plain = best["keras fit, float32"]
    for name in list(runs)[1:]:
        print(f"{name}: {best[name] / plain:.2f} times keras fit")


if __name__ == "__main__":
    main()
