"""The last layers of ResNet50 fine-tuned on real radiographs: ours against Keras' `fit` with the other layers frozen.

    python -m bench.last_layers ARCHIVES [--last 20] [--image-size 224] [--images 0] [--epochs 10]

ARCHIVES is a folder of public archives, under the names that Kaggle gives them. Both train the same network with the
same weights, radiographs in the same order, loss, optimizer and epochs, and validate after each; both are timed from
the network to the trained weights. Ours stores once what the frozen layers compute. Weights are random: speed does not
depend on them. On two cores Keras takes half an hour for a thousand radiographs.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.frozen import processor
from bench.transfer import open_splits, random_subset
from chest_transfer.data.arrays import Arrays
from chest_transfer.networks.backbones import build_backbone
from chest_transfer.networks.classifier import build_classifier, logits_network
from chest_transfer.settings import Finetune, read_settings
from chest_transfer.training.determinism import make_deterministic

BATCH, LEARNING_RATE, SEED = 32, 1e-4, 1


def run_plain(classifier, splits: dict[str, Arrays], settings: Finetune) -> float:
    """Return the seconds of Keras' own fit, in place; it ends with the weights of its last epoch."""
    import keras

    from chest_transfer.training.batches import Batches
    from chest_transfer.training.unfreezing import GradualUnfreezing

    GradualUnfreezing(classifier, settings)  # freezes all but the last layers, as one does by hand
    start = time.perf_counter()
    classifier.compile(keras.optimizers.Adam(LEARNING_RATE), "categorical_crossentropy", metrics=["accuracy"])
    classifier.fit(
        Batches(splits["train"], BATCH, SEED), validation_data=Batches(splits["val"], BATCH), epochs=settings.epochs,
        shuffle=False, verbose=2,
    )  # fmt: skip
    return time.perf_counter() - start


def run_ours(classifier, splits: dict[str, Arrays], settings: Finetune, folder: Path, fused: bool) -> float:
    """Return the seconds of this project's fit, in place; its weights are those of the last epoch, too."""
    from chest_transfer.training.checkpoints import Checkpoints
    from chest_transfer.training.fitting import fit
    from chest_transfer.training.frozen_part import activations_of, split_at_frozen_part
    from chest_transfer.training.fused_norm import fuse_batch_norms
    from chest_transfer.training.unfreezing import GradualUnfreezing

    class LastEpoch(Checkpoints):
        def load_best(self, network):
            """Keep the weights as they are."""

    unfreezing, start = GradualUnfreezing(classifier, settings), time.perf_counter()
    network = logits_network(classifier)
    if fused:
        fuse_batch_norms(network)
    frozen, part = split_at_frozen_part(network)
    activations = {
        split: activations_of(frozen, splits[split], folder / f"activations/{split}", BATCH)
        for split in ("train", "val")
    }
    fit(
        part, activations["train"], activations["val"], settings, LastEpoch(folder / "training", {}, []),
        section="finetune", learning_rate=LEARNING_RATE, multi_label=False, seed=SEED, fused_batch_norm=fused,
        unfreezing=unfreezing,
    )  # fmt: skip
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("archives")
    parser.add_argument("--last", type=int, default=20)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--images", type=int, default=0, help="of each split; 0 = all")
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    settings = read_settings()
    changes = {"unfreeze": f"last {options.last}", "groups": 1, "unfreeze_every": 0, "epochs": options.epochs}
    changes |= {"patience": options.epochs, "batch_size": BATCH, "warmup": 0.0, "imbalance": "none"}
    finetune = settings.finetune.model_copy(update=changes)
    make_deterministic(SEED, settings.threads)
    with tempfile.TemporaryDirectory() as name:
        sized = settings.model_copy(update={"image_size": options.image_size})
        splits = open_splits("pneumonia", options.archives, Path(name), sized)
        if options.images:
            splits = {split: random_subset(part, options.images, SEED) for split, part in splits.items()}
        print(f"{processor()}, {settings.threads} threads; {options.image_size} pixels, last {options.last} layers:")
        print({split: len(part.labels) for split, part in splits.items()}, flush=True)
        weights, seconds = {}, {}
        start = build_classifier(build_backbone("resnet50", options.image_size), "linear", 2, False).get_weights()
        for way in ("keras", "ours"):
            classifier = build_classifier(build_backbone("resnet50", options.image_size), "linear", 2, False)
            classifier.set_weights(start)
            if way == "keras":
                seconds[way] = run_plain(classifier, splits, finetune)
            else:
                seconds[way] = run_ours(classifier, splits, finetune, Path(name), settings.fused_batch_norm)
            weights[way] = classifier.get_weights()
            print(f"{way}: {seconds[way]:.1f} s", flush=True)
        pairs = list(zip(*weights.values(), strict=True))
        moved = max(float(np.abs(after - before).max()) for before, after in zip(start, weights["ours"], strict=True))
        difference = max(float(np.abs(one - other).max()) for one, other in pairs)
        print(
            f"{seconds['keras'] / seconds['ours']:.1f} times as fast; largest difference of a weight {difference:.1e}, "
            f"largest change by training {moved:.1e}"
        )


if __name__ == "__main__":
    main()
