"""A frozen ResNet50 with a hidden layer of 1024 on real radiographs: ours against what the tutorials do, in one run.

    python -m bench.frozen ARCHIVES [--precision mixed_bfloat16] [--image-size 224] [--images 0]

ARCHIVES is a folder of public archives, under the names that Kaggle gives them. Both get the same backbone, weights,
radiographs, splits and number of epochs. The plain recipe: all images as float arrays in memory, three channels,
`keras.Model.fit` through the frozen backbone in each epoch with validation, then `predict`. Ours: `embed` once, a head
on what it saw, predictions from it. Weights are random where Keras has no ImageNet file on this machine.
Two cores: fifteen minutes.
"""

import argparse
import tempfile
import time
from pathlib import Path

from bench.transfer import first, splits_of
from chest_transfer.data.arrays import Arrays, open_features
from chest_transfer.networks.backbones import PREPROCESSING, build_backbone
from chest_transfer.networks.classifier import build_classifier, head_of
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import pin

EPOCHS, BATCH, RATE, HIDDEN = 10, 32, 1e-4, 1024


def plain(weights: list, splits: dict[str, Arrays], size: int) -> tuple[float, float]:
    """(seconds, test AUC) of Keras' own fit."""
    import keras
    import numpy as np
    from sklearn.metrics import roc_auc_score

    scale, offset = (np.array(values, np.float32) for values in PREPROCESSING["caffe"])
    images = {split: part.images[..., None].astype(np.float32) * scale + offset for split, part in splits.items()}
    start = time.perf_counter()
    backbone = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(size, size, 3))
    backbone.set_weights(weights)
    backbone.trainable = False
    model = keras.Sequential(
        [
            backbone,
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(HIDDEN, activation="relu"),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(RATE), "sparse_categorical_crossentropy", metrics=["accuracy"])
    train, val, test = (splits[split] for split in ("train", "val", "test"))
    model.fit(
        images["train"], train.labels, batch_size=BATCH, epochs=EPOCHS, verbose=2,
        validation_data=(images["val"], val.labels),
    )  # fmt: skip
    probabilities = model.predict(images["test"], batch_size=BATCH, verbose=0)
    return time.perf_counter() - start, float(roc_auc_score(test.labels, probabilities[:, 1]))


def ours(weights: list, splits: dict[str, Arrays], size: int, precision: str, settings) -> tuple[float, float, float]:
    """(seconds in all, of them for the head and its predictions, test AUC)."""
    from sklearn.metrics import roc_auc_score

    from chest_transfer.training.batches import Batches
    from chest_transfer.training.checkpoints import Checkpoints
    from chest_transfer.training.features import embed, embedder
    from chest_transfer.training.fitting import fit
    from chest_transfer.training.probing import scales_of

    asked = settings.probe.model_copy(
        update={"epochs": EPOCHS, "patience": EPOCHS, "batch_size": BATCH, "imbalance": "none"}
    )
    start = time.perf_counter()
    backbone = build_backbone("resnet50", size, precision=precision)
    backbone.set_weights(weights)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        network = embedder(backbone)
        for split, part in splits.items():
            embed(network, part, folder / f"{split}.npz", BATCH, 0, settings.embed.augmentation, settings.seed)
        embedded = time.perf_counter()
        train, val, test = (open_features(folder / f"{split}.npz") for split in ("train", "val", "test"))
        head = head_of(build_classifier(backbone, f"dense{HIDDEN}", 2, False, scales_of(train)))
        fit(head, train, val, asked, RATE, False, settings.seed, Checkpoints(folder / "training", {}, []))
        probabilities = head.predict(Batches(test, 1024), verbose=0)
        end = time.perf_counter()
        return end - start, end - embedded, float(roc_auc_score(test.labels, probabilities[:, 1]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("archives")
    parser.add_argument("--precision", default="mixed_bfloat16", choices=["float32", "mixed_bfloat16"])
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--images", type=int, default=0, help="of each split; 0 = all")
    asked = parser.parse_args()
    settings = read_settings()
    pin(settings.seed, settings.threads)
    with tempfile.TemporaryDirectory() as folder:
        size = asked.image_size
        splits = splits_of("pneumonia", asked.archives, Path(folder), settings.model_copy(update={"image_size": size}))
        if asked.images:
            splits = {split: first(part, asked.images, settings.seed) for split, part in splits.items()}
        print({split: len(part.labels) for split, part in splits.items()})
        weights = build_backbone("resnet50", size).get_weights()
        seconds, of_head, auc = ours(weights, splits, size, asked.precision, settings)
        print(f"ours, {asked.precision}: {seconds:.1f} s, {of_head:.1f} s of them for the head; test AUC {auc:.3f}")
        usual, plain_auc = plain(weights, splits, size)
        print(f"keras fit, float32: {usual:.1f} s; test AUC {plain_auc:.3f}")
        print(f"{usual / seconds:.1f} times as fast, test AUC {auc - plain_auc:+.3f}")


if __name__ == "__main__":
    main()
