"""Whether heat maps of a network that learned a simulated finding point to it, and those of a random one do not.

python -m bench.heat_maps [--images 3000] [--epochs 15] [--seeds 3]

One finding at a time, which half of the patients have; networks of several seeds, trained and with random weights.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from chest_transfer.data.arrays import Arrays
from chest_transfer.evaluation.explanation import maps_in_batches
from chest_transfer.evaluation.localization import box_mask, localization_scores
from chest_transfer.networks.backbones import build_backbone
from chest_transfer.networks.classifier import build_classifier, logits_network
from chest_transfer.phantom.patients import Patient
from chest_transfer.phantom.radiograph import radiograph
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import make_deterministic

SIZE = 96
LEARNING_RATE = 1e-3
TEST_IMAGES = 400
FINDINGS = ("Effusion", "Consolidation", "Pneumothorax")


def simulate_patients(finding: str, first: int, count: int) -> tuple[Arrays, pd.DataFrame]:
    """Return radiographs of patients, every other one with the finding, and the boxes of the finding.

    Args:
        finding: str, a key of `phantom.findings.FINDINGS`.
        first: int, the number of the first patient.
        count: int, of patients.

    Returns:
        Arrays, and a table with the columns of `boxes.csv`.
    """
    images, labels, boxes = [], np.arange(count) % 2, []
    names = np.array([f"{finding}-{first + number}" for number in range(count)])
    for number, label in enumerate(labels):
        rng = np.random.default_rng([7, first + number])
        patient = Patient.random(rng, (10, 89))
        simulated = radiograph(patient, (finding,) * int(label), rng, (SIZE, SIZE))
        images.append(simulated.pixels)
        for box in simulated.boxes.get(finding, []):
            left, top, width, height = (side / SIZE for side in box)
            boxes.append((names[number], finding, left, top, left + width, top + height))
    columns = ["name", "finding", "left", "top", "right", "bottom"]
    arrays = Arrays(np.array(images), labels, names, names, np.array(["No Finding", finding]))
    return arrays, pd.DataFrame(boxes, columns=columns)


def score_heat_maps(grad_cam, test: Arrays, boxes: pd.DataFrame) -> dict:
    """Return `localization_scores` of the heat maps of the finding, on the radiographs that have a box."""
    row_of = {name: row for row, name in enumerate(test.names)}
    boxes_of = dict(list(boxes.groupby("name")))
    rows = np.array([row_of[name] for name in boxes_of])
    maps = maps_in_batches(grad_cam.maps, test.images[rows], np.ones(len(rows), int))
    masks = np.array([box_mask(of_image, SIZE) for of_image in boxes_of.values()])
    return localization_scores(maps, masks, test.patients[rows])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seeds", type=int, default=3)
    options, settings = parser.parse_args(), read_settings()
    make_deterministic(1, settings.threads)
    import keras
    from sklearn.metrics import roc_auc_score

    from chest_transfer.evaluation.grad_cam import METHODS, GradCam
    from chest_transfer.training.batches import Batches
    from chest_transfer.training.checkpoints import Checkpoints
    from chest_transfer.training.fitting import fit

    train_settings = settings.train.model_copy(update={"epochs": options.epochs})
    for finding in FINDINGS:
        (train, _), (val, _), (test, boxes) = (
            simulate_patients(finding, first, count)
            for first, count in ((0, options.images), (10**6, options.images // 4), (2 * 10**6, TEST_IMAGES))
        )
        for seed in range(1, options.seeds + 1):
            keras.utils.set_random_seed(seed)
            for state in ("random", "trained"):
                classifier = build_classifier(build_backbone("cnn", SIZE), "dense64", 2, multi_label=False)
                if state == "trained":
                    with tempfile.TemporaryDirectory() as folder:
                        fit(
                            logits_network(classifier), train, val, train_settings,
                            Checkpoints(Path(folder, "training"), {}, []),
                            section="train", learning_rate=LEARNING_RATE, multi_label=False, seed=seed,
                            fused_batch_norm=settings.fused_batch_norm,
                        )  # fmt: skip
                probabilities = classifier.predict(Batches(test, 64), verbose=0)
                area = roc_auc_score(test.labels, probabilities[:, 1])
                for method in METHODS:
                    scores = score_heat_maps(GradCam(classifier, method), test, boxes)
                    print(
                        f"{finding}, {state}, seed {seed}, {method}: AUC {area:.3f}, pointing {scores['pointing']:.3f} "
                        f"({scores['pointing_low']:.3f} to {scores['pointing_high']:.3f}), by chance "
                        f"{scores['pointing_chance']:.3f}, area of the boxes {scores['area']:.3f}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
