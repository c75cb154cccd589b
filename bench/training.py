"""Full training of ResNet50: our `fit` against `keras.Model.fit` on float arrays in memory, in one run.

    python -m bench.training [--image-size 224] [--images 768] [--rounds 1]

Radiographs per second of whole epochs, validation, batch-norm statistics and the kept state included; the first epoch,
in which TensorFlow traces, is left out. The rounds take turns; the best of each counts. Two cores: ten minutes.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from chest_transfer.data.arrays import Arrays
from chest_transfer.networks.backbones import build_backbone
from chest_transfer.networks.classifier import build_classifier
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import pin

BATCH = 32


def radiographs(count: int, size: int, seed: int) -> Arrays:
    """Noise with labels: speed does not depend on what is seen."""
    images = np.random.default_rng(seed).integers(0, 256, (count, size, size), dtype=np.uint8)
    names = np.array([str(number) for number in range(count)])
    return Arrays(images, np.arange(count) % 2, names, names, np.array(["healthy", "ill"]))


def plain(train: Arrays, val: Arrays) -> list[float]:
    """Seconds of each epoch of Keras' own fit."""
    import keras

    keras.backend.clear_session()
    size = train.images.shape[1]
    backbone = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(size, size, 3))
    hidden = keras.layers.GlobalAveragePooling2D()(backbone.output)
    hidden = keras.layers.Dense(256, activation="relu")(hidden)
    model = keras.Model(backbone.input, keras.layers.Dense(2, activation="softmax")(hidden))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    (x, y), held_out = (
        (np.repeat(part.images[..., None], 3, axis=-1).astype(np.float32) / 255, part.labels) for part in (train, val)
    )
    ends = [time.perf_counter()]
    stop = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: ends.append(time.perf_counter()))
    model.fit(x, y, batch_size=BATCH, epochs=2, validation_data=held_out, callbacks=[stop], verbose=0)
    return np.diff(ends).tolist()


def ours(train: Arrays, val: Arrays, precision: str, settings) -> list[float]:
    """Seconds of each epoch of ours: until its state is on the disk."""
    import keras

    from chest_transfer.training.checkpoints import Checkpoints
    from chest_transfer.training.fitting import fit

    class Timed(Checkpoints):
        ends: list[float]

        def save(self, *arguments):
            super().save(*arguments)
            self.ends.append(time.perf_counter())

    keras.backend.clear_session()
    backbone = build_backbone("resnet50", train.images.shape[1], precision=precision)
    classifier = build_classifier(backbone, "dense256", 2, multi_label=False)
    off = settings.train.augmentation.model_copy(update=dict.fromkeys(("rotation", "shift", "zoom", "contrast"), 0.0))
    asked = settings.train.model_copy(update={"epochs": 2, "patience": 2, "batch_size": BATCH, "augmentation": off})
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Timed(Path(folder) / "training", {}, [])
        checkpoints.ends = [time.perf_counter()]
        fit(classifier, train, val, asked, 1e-3, False, 1, checkpoints)
    return np.diff(checkpoints.ends).tolist()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--images", type=int, default=768)
    parser.add_argument("--rounds", type=int, default=1)
    asked = parser.parse_args()
    settings = read_settings()
    pin(settings.seed, settings.threads)
    train, val = (radiographs(count, asked.image_size, seed) for seed, count in enumerate((asked.images, BATCH)))
    runs = {
        "keras fit, float32": lambda: plain(train, val),
        "ours, float32": lambda: ours(train, val, "float32", settings),
        "ours, mixed_bfloat16": lambda: ours(train, val, "mixed_bfloat16", settings),
    }
    rates = dict.fromkeys(runs, 0.0)
    for _ in range(asked.rounds):
        for name, epochs in runs.items():
            rates[name] = max(rates[name], asked.images / epochs()[1])
            print(f"{name}: {rates[name]:.2f} radiographs/s", flush=True)
    usual = rates["keras fit, float32"]
    for name in list(runs)[1:]:
        print(f"{name}: {rates[name] / usual:.2f} times keras fit")


if __name__ == "__main__":
    main()
