"""What asking a saved model costs over Keras' own predict, and what its exports lose.

python -m bench.predicting MODEL ... [--rounds 5]

In a project with trained models (`pneumonia/cnn/train-none`) and their dataset's arrays. Radiographs per second of the
same arrays: `Predictor` (batches, calibration, thresholds, scope) over `model.predict`; the rounds take turns, the best
of each counts. Then for each form: the largest difference of a probability, the AUC less the model's, and the size.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from chest_transfer.serving.models import model_file
from chest_transfer.training.determinism import pin


def seconds(action) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def throughput(name: str, predictor, images: np.ndarray, rounds: int) -> None:
    """Print radiographs per second, ours and Keras'."""
    from chest_transfer.serving.predicting import BATCH

    inputs = images[..., np.newaxis].astype(np.float32)
    ways = {
        "keras": lambda: predictor.network.predict(inputs, batch_size=BATCH, verbose=0),
        "ours": lambda: [predictor.answers(images[i : i + BATCH]) for i in range(0, len(images), BATCH)],
    }
    for way in ways.values():
        way()  # TensorFlow traces
    taken = {key: [] for key in ways}
    for _ in range(rounds):
        for key, way in ways.items():
            taken[key].append(seconds(way))
    best = {key: len(images) / min(found) for key, found in taken.items()}
    print(f"{name}: {best['ours']:.1f} radiographs/s, {best['ours'] / best['keras']:.2f} of Keras' predict", flush=True)


def exports(name: str, predictor, sample) -> None:
    """Print what each form loses."""
    from chest_transfer.serving.exporting import FORMS, export

    with tempfile.TemporaryDirectory() as folder:
        for form in FORMS:
            path = Path(folder, form)
            made = export(predictor.network, predictor.facts, form, path, sample)
            change, low, high = made.area or (float("nan"),) * 3
            size = sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())
            print(
                f"{name}, {form}: at most {made.farthest:.1e}, AUC {change:+.4f} ({low:+.4f} to {high:+.4f}), "
                f"{size / 1e6:.1f} MB, {sample.said}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="+")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    pin(seed=0, threads=os.cpu_count() or 1)
    from chest_transfer.serving.parity import sample_like
    from chest_transfer.serving.predicting import Predictor

    for name in asked.models:
        predictor = Predictor(model_file(name))
        sample = sample_like(predictor.facts["dataset"], predictor.size)
        throughput(name, predictor, sample.images, asked.rounds)
        exports(name, predictor, sample)


if __name__ == "__main__":
    main()
