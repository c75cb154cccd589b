"""Test-time augmentation: what the mean of several views of each radiograph buys, against the radiograph alone.

    python -m bench.test_time_views models/pneumonia/cnn/train-phantom-seed1-all.keras

Views are augmented as in the training that the file's facts describe, degradations included; their log odds are
averaged with those of the radiograph itself. Prints the area under the ROC curve on the test split of the model's
dataset without and with views, and the gain with its interval over patients. With n views, predicting takes n + 1 times
as long.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from chest_transfer.data.arrays import Arrays, open_arrays
from chest_transfer.data.degradations import degrade_at_random
from chest_transfer.evaluation.intervals import cluster_bootstrap_weights
from chest_transfer.networks.facts import ClassifierFacts
from chest_transfer.networks.saving import load_model
from chest_transfer.settings import Augmentation
from chest_transfer.training.determinism import make_deterministic

BATCH, ROUNDS, SEED = 64, 500, 1


def log_odds(network, images: np.ndarray) -> np.ndarray:
    """Return the log odds of the second class (n,) for gray levels (n, H, W, 1) float32."""
    logits = np.asarray(network.predict_on_batch(images))
    return logits[:, 1] - logits[:, 0]


def log_odds_of_views(network, arrays: Arrays, augmentation: Augmentation, views: int) -> np.ndarray:
    """Return the log odds (views + 1, N) of each radiograph, and of views of it."""
    from chest_transfer.training.augmentation import augmentation_layers

    rng, layers, batches = np.random.default_rng(SEED), augmentation_layers(augmentation, SEED), []
    for start in range(0, len(arrays.names), BATCH):
        plain = arrays.images[start : start + BATCH]
        of_batch = [log_odds(network, plain[..., np.newaxis].astype(np.float32))]
        for _ in range(views):
            view = degrade_at_random(plain, augmentation.degrade, augmentation.degraded_share, rng)
            view = view[..., np.newaxis].astype(np.float32)
            for layer in layers:
                view = layer(view, training=True)
            of_batch.append(log_odds(network, np.asarray(view)))
        batches.append(np.stack(of_batch))
    return np.concatenate(batches, axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--views", type=int, default=7)
    arguments = parser.parse_args()
    make_deterministic(SEED, 2)
    from chest_transfer.networks.classifier import logits_network

    network, facts = load_model(arguments.model, ClassifierFacts)
    if len(facts.classes) != 2 or facts.multi_label:
        parser.error("the model must be of two classes")
    test = open_arrays(f"data/arrays/{facts.dataset}/test.npz")
    augmentation = Augmentation(**facts.settings[facts.regime]["augmentation"])
    values = log_odds_of_views(logits_network(network), test, augmentation, arguments.views)
    alone, averaged = values[0], values.mean(axis=0)
    weights = cluster_bootstrap_weights(test.patients, ROUNDS, SEED)
    gains = [
        roc_auc_score(test.labels, averaged, sample_weight=row) - roc_auc_score(test.labels, alone, sample_weight=row)
        for row in weights
    ]
    low, high = np.quantile(gains, [0.025, 0.975])
    before, after = roc_auc_score(test.labels, alone), roc_auc_score(test.labels, averaged)
    print(
        f"{facts.dataset} {facts.backbone} {facts.regime}: {before:.4f}, with {arguments.views} views "
        f"{after:.4f}, gain {after - before:+.4f} ({low:+.4f} to {high:+.4f})"
    )


if __name__ == "__main__":
    main()
