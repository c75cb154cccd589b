"""What a prediction of a packed model costs beside Keras' own predict, and what its exports lose.

python -m bench.predicting MODEL ... [--rounds 5]

In a project with trained models (`pneumonia/cnn/train-none`) and the arrays of their dataset. Radiographs per second of
the same arrays: `Predictor` (batches, calibration, thresholds, out-of-distribution score) over `model.predict`; the two
take turns, the best round of each counts. Then for each form of export: the largest difference of a probability, the
AUC minus the model's, and the size.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from chest_transfer.serving.models import model_file
from chest_transfer.training.determinism import use_all_threads


def seconds_of(action: Callable) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def print_throughput(name: str, predictor, images: np.ndarray, rounds: int) -> None:
    """Print radiographs per second, ours and Keras'.

    Args:
        name: str, of the model.
        predictor: Predictor.
        images: (N, size, size) uint8 array.
        rounds: int.
    """
    from chest_transfer.serving.predictor import BATCH

    inputs = images[..., np.newaxis].astype(np.float32)
    runs = {
        "keras": lambda: predictor.network.predict(inputs, batch_size=BATCH, verbose=0),
        "ours": lambda: [predictor.predict_images(images[i : i + BATCH]) for i in range(0, len(images), BATCH)],
    }
    for run in runs.values():
        run()  # TensorFlow traces
    seconds = {key: [] for key in runs}
    for _ in range(rounds):
        for key, run in runs.items():
            seconds[key].append(seconds_of(run))
    best = {key: len(images) / min(of_rounds) for key, of_rounds in seconds.items()}
    ratio = best["ours"] / best["keras"]
    print(f"{name}: {best['ours']:.1f} radiographs/s, {ratio:.2f} of Keras' predict", flush=True)


def print_exports(name: str, predictor, sample) -> None:
    """Print what each form of export loses.

    Args:
        name: str, of the model.
        predictor: Predictor.
        sample: parity.Sample.
    """
    from chest_transfer.serving.exporting import FORMS, export

    with tempfile.TemporaryDirectory() as folder:
        for form in FORMS:
            path = Path(folder, form)
            exported = export(predictor.network, predictor.facts, form, path, sample)
            change, low, high = exported.area_change or (float("nan"),) * 3
            size = sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())
            print(
                f"{name}, {form}: at most {exported.largest_difference:.1e}, AUC {change:+.4f} ({low:+.4f} to "
                f"{high:+.4f}), {size / 1e6:.1f} MB, {sample.description}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="+")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    use_all_threads()
    from chest_transfer.serving.parity import sample_like
    from chest_transfer.serving.predictor import Predictor

    for name in options.models:
        predictor = Predictor(model_file(name))
        sample = sample_like(predictor.facts.dataset, predictor.image_size)
        print_throughput(name, predictor, sample.images, options.rounds)
        print_exports(name, predictor, sample)


if __name__ == "__main__":
    main()
