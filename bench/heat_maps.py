"""Whether heat maps of a network that learnt a simulated finding point to it, and those of a random one do not.

python -m bench.heat_maps [--images 3000] [--epochs 15] [--seeds 3]

One finding at a time, half of the patients with it; networks of several seeds, trained and with random weights.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from chest_transfer.data.arrays import Arrays
from chest_transfer.networks.backbones import build_backbone
from chest_transfer.networks.classifier import build_classifier
from chest_transfer.phantom.patients import Patient
from chest_transfer.phantom.radiograph import radiograph
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import pin

SIZE = 96
FINDINGS = ("Effusion", "Consolidation", "Pneumothorax")


def patients(finding: str, first: int, count: int) -> tuple[Arrays, pd.DataFrame]:
    """Radiographs of `count` patients, every other one with the finding, and its boxes."""
    images, labels, boxes = [], np.arange(count) % 2, []
    names = np.array([f"{finding}-{first + number}" for number in range(count)])
    for number, label in enumerate(labels):
        chance = np.random.default_rng([7, first + number])
        patient = Patient.random(chance, (10, 89))
        shown = radiograph(patient, (finding,) * int(label), chance, (SIZE, SIZE))
        images.append(shown.pixels)
        if box := shown.boxes.get(finding):
            left, top, width, height = (side / SIZE for side in box)
            boxes.append((names[number], finding, left, top, left + width, top + height))
    columns = ["name", "finding", "left", "top", "right", "bottom"]
    return Arrays(np.array(images), labels, names, names, np.array(["No Finding", finding])), pd.DataFrame(
        boxes, columns=columns
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seeds", type=int, default=3)
    asked, settings = parser.parse_args(), read_settings()
    pin(1, settings.threads)
    import keras
    from sklearn.metrics import roc_auc_score

    from chest_transfer.evaluation.explanation import on_boxes
    from chest_transfer.evaluation.grad_cam import METHODS, GradCam
    from chest_transfer.training.batches import Batches
    from chest_transfer.training.checkpoints import Checkpoints
    from chest_transfer.training.fitting import fit

    train_settings = settings.train.model_copy(update={"epochs": asked.epochs})
    for finding in FINDINGS:
        (train, _), (val, _), (test, boxes) = (
            patients(finding, first, count)
            for first, count in ((0, asked.images), (10**6, asked.images // 4), (2 * 10**6, 400))
        )
        for seed in range(1, asked.seeds + 1):
            keras.utils.set_random_seed(seed)
            for way in ("random", "trained"):
                network = build_classifier(build_backbone("cnn", SIZE), "dense64", 2, multi_label=False)
                if way == "trained":
                    with tempfile.TemporaryDirectory() as name:
                        kept = Checkpoints(Path(name, "training"), {}, [])
                        fit(network, train, val, train_settings, 1e-3, False, seed, kept)
                auc = roc_auc_score(test.labels, network.predict(Batches(test, 64), verbose=0)[:, 1])
                for method in METHODS:
                    found = on_boxes(GradCam(network, method), test, boxes, 1000, 1)[finding]
                    print(
                        f"{finding}, {way}, seed {seed}, {method}: AUC {auc:.3f}, pointing {found['pointing']:.3f} "
                        f"({found['pointing_low']:.3f} to {found['pointing_high']:.3f}), chance "
                        f"{found['pointing_chance']:.3f}, area {found['area']:.3f}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
