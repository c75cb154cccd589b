"""A frozen ResNet50 with a hidden layer of 1024 on real radiographs: ours against what tutorials do, in one run.

    python -m bench.frozen ARCHIVES [--image-size 224] [--images 0]

ARCHIVES is a folder of public archives, under the names that Kaggle gives them. Both get the same backbone, weights,
radiographs, splits and number of epochs. The plain recipe: all images as float arrays in memory, three channels,
`keras.Model.fit` through the frozen backbone in each epoch with validation, then `predict`. Ours: `embed` once, a head
on the stored features, predictions from them, in 32 and in 16 bits. Weights are random where Keras has no ImageNet
file on this machine. On two cores it takes fifteen minutes or more; `--images 100` is enough for the ratios.
"""

import argparse
import platform
import tempfile
import time
from pathlib import Path

from bench.transfer import open_splits, random_subset
from chest_transfer.data.arrays import Arrays, open_features
from chest_transfer.data.splits import SPLITS
from chest_transfer.networks.backbones import PREPROCESSING, build_backbone
from chest_transfer.networks.classifier import build_classifier, head_of
from chest_transfer.settings import Settings, read_settings
from chest_transfer.training.determinism import make_deterministic

EPOCHS, BATCH, LEARNING_RATE, HIDDEN_UNITS = 10, 32, 1e-4, 1024
PRECISIONS = ("float32", "mixed_bfloat16")
# What decides how fast 16 bits are, as Linux names it.
MATRIX_INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def processor() -> str:
    """Return the processor's name, and which of the instructions that matter here it has."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except FileNotFoundError:
        return platform.processor() or platform.machine()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    facts = {name.strip(): value.strip() for name, value in facts.items()}
    flags = facts.get("flags", "").split()
    known = ", ".join(flag for flag in MATRIX_INSTRUCTIONS if flag in flags)
    return f"{facts.get('model name', platform.machine())} ({known or 'instructions unknown'})"


def run_plain(weights: list, splits: dict[str, Arrays], size: int) -> tuple[float, float]:
    """Return seconds and test AUC of Keras' own fit.

    Args:
        weights: list of arrays, of the backbone.
        splits: dict of Arrays.
        size: int, pixels a side.
    """
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
            keras.layers.Dense(HIDDEN_UNITS, activation="relu"),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(LEARNING_RATE), "sparse_categorical_crossentropy", metrics=["accuracy"])
    train, val, test = (splits[split] for split in SPLITS)
    model.fit(
        images["train"], train.labels, batch_size=BATCH, epochs=EPOCHS, verbose=2,
        validation_data=(images["val"], val.labels),
    )  # fmt: skip
    probabilities = model.predict(images["test"], batch_size=BATCH, verbose=0)
    return time.perf_counter() - start, float(roc_auc_score(test.labels, probabilities[:, 1]))


def run_ours(
    weights: list, splits: dict[str, Arrays], size: int, precision: str, settings: Settings
) -> tuple[float, float, float]:
    """Return seconds in all, seconds of the head and its predictions alone, and test AUC.

    Args:
        weights: list of arrays, of the backbone.
        splits: dict of Arrays.
        size: int, pixels a side.
        precision: str, of the backbone.
        settings: Settings.
    """
    from sklearn.metrics import roc_auc_score

    from chest_transfer.training.batches import Batches
    from chest_transfer.training.checkpoints import Checkpoints
    from chest_transfer.training.features import embed, feature_extractor
    from chest_transfer.training.fitting import fit
    from chest_transfer.training.probing import feature_moments

    changes = {"epochs": EPOCHS, "patience": EPOCHS, "batch_size": BATCH, "imbalance": "none"}
    probe = settings.probe.model_copy(update=changes)
    start = time.perf_counter()
    backbone = build_backbone("resnet50", size, precision=precision)
    backbone.set_weights(weights)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        network = feature_extractor(backbone, settings.fused_batch_norm)
        embed_settings = settings.embed.model_copy(update={"batch_size": BATCH})
        for split, part in splits.items():
            embed(network, part, folder / f"{split}.npz", embed_settings, 0, settings.seeds[0])
        embedded = time.perf_counter()
        train, val, test = (open_features(folder / f"{split}.npz") for split in SPLITS)
        head = head_of(build_classifier(backbone, f"dense{HIDDEN_UNITS}", 2, False, feature_moments(train)))
        fit(
            head, train, val, probe, Checkpoints(folder / "training", {}, []),
            section="probe", learning_rate=LEARNING_RATE, multi_label=False, seed=settings.seeds[0],
        )  # fmt: skip
        logits = head.predict(Batches(test, 1024), verbose=0)
        end = time.perf_counter()
        return end - start, end - embedded, float(roc_auc_score(test.labels, logits[:, 1] - logits[:, 0]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("archives")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--images", type=int, default=0, help="of each split; 0 = all")
    options = parser.parse_args()
    settings = read_settings()
    make_deterministic(settings.seeds[0], settings.threads)
    with tempfile.TemporaryDirectory() as folder:
        size = options.image_size
        sized = settings.model_copy(update={"image_size": size})
        splits = open_splits("pneumonia", options.archives, Path(folder), sized)
        if options.images:
            splits = {split: random_subset(part, options.images, settings.seeds[0]) for split, part in splits.items()}
        print(f"{processor()}, {settings.threads} threads; radiographs of {size} pixels:")
        print({split: len(part.labels) for split, part in splits.items()}, flush=True)
        weights = build_backbone("resnet50", size).get_weights()
        plain_seconds, plain_area = run_plain(weights, splits, size)
        print(f"keras fit, float32: {plain_seconds:.1f} s; test AUC {plain_area:.3f}", flush=True)
        for precision in PRECISIONS:
            seconds, head_seconds, area = run_ours(weights, splits, size, precision, settings)
            print(
                f"ours, {precision}: {seconds:.1f} s, {head_seconds:.1f} s of them for the head; test AUC {area:.3f}: "
                f"{plain_seconds / seconds:.1f} times as fast, test AUC {area - plain_area:+.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
