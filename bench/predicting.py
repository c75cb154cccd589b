"""What asking a saved model costs over Keras' own predict, and how far its exports are from it.

python -m bench.predicting [--images 256] [--image-size 224] [--rounds 3]

Radiographs per second of the same arrays: `Predictor` (batches, calibration, thresholds, scope) as a share of
`model.predict`; the rounds take turns, the best of each counts. Then the largest difference of a probability by form.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from chest_transfer.data.scope import scope_of
from chest_transfer.networks.backbones import build_backbone
from chest_transfer.networks.classifier import build_classifier
from chest_transfer.networks.saving import add_facts, save_model
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import pin

BACKBONES = ("cnn", "mobilenetv2", "resnet50", "xception")


def saved(name: str, size: int, images: np.ndarray, folder: Path) -> Path:
    """A model file of random weights, complete as a training leaves it."""
    path, scope = folder / f"{name}.keras", scope_of(images, images)
    facts = {"classes": ["healthy", "ill"], "multi_label": False, "fit": "squeeze", "dataset": "pneumonia"}
    save_model(build_classifier(build_backbone(name, size), "dense256", 2, multi_label=False), path, facts)
    chosen = {"temperature": 1.3, "thresholds": {"youden": [0.6, 0.4]}, "scope": scope.numbers()}
    add_facts(path, chosen, scope.arrays())
    return path


def seconds(action) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=3)
    asked, settings = parser.parse_args(), read_settings()
    pin(settings.seed, settings.threads)
    from chest_transfer.serving.exporting import FORMS, export
    from chest_transfer.serving.predicting import BATCH, Predictor

    size = asked.image_size
    images = np.random.default_rng(1).integers(0, 256, (asked.images, size, size), dtype=np.uint8)
    inputs = images[..., np.newaxis]
    with tempfile.TemporaryDirectory() as name:
        for backbone in BACKBONES:
            predictor = Predictor(saved(backbone, size, images[:64], Path(name)))
            ways = {
                "keras": lambda one=predictor: one.network.predict(inputs, batch_size=BATCH, verbose=0),
                "ours": lambda one=predictor: [
                    one.answers(images[i : i + BATCH]) for i in range(0, len(images), BATCH)
                ],
            }
            for way in ways.values():
                way()  # TensorFlow traces
            best = {key: min(seconds(way) for _ in range(asked.rounds)) for key, way in ways.items()}
            speed, share = asked.images / best["ours"], best["keras"] / best["ours"]
            print(f"{backbone}: {speed:.1f} radiographs/s, {share:.2f} of Keras' predict", flush=True)
            for form in FORMS:
                made = export(predictor.network, {}, form, Path(name, f"{backbone}.{form}"), images[:16], images[:32])
                print(f"{backbone}, {form}: {made.farthest:.1e}", flush=True)


if __name__ == "__main__":
    main()
