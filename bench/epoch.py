"""What an epoch costs beside its training steps: validation, batch-norm statistics, and the checkpoint.

    python -m bench.epoch [--image-size 96] [--images 640] [--backbones cnn resnet50]

Radiographs are noise; validation has 15 % of the images. The first epoch, in which TensorFlow traces, is left out.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from bench.training import random_images
from chest_transfer.networks.backbones import build_backbone
from chest_transfer.networks.classifier import build_classifier, logits_network
from chest_transfer.settings import Settings, read_settings
from chest_transfer.training.determinism import make_deterministic

EPOCHS = 4
VALIDATION_SHARE = 0.15


def seconds_of_parts(name: str, images: int, size: int, settings: Settings) -> dict[str, float]:
    """Return the seconds of an epoch by part, the mean of all epochs but the first.

    Args:
        name: str, a backbone.
        images: int, of the training split.
        size: int, pixels a side.
        settings: Settings.
    """
    import keras

    from chest_transfer.training.batch_norm import BatchNormStatistics
    from chest_transfer.training.checkpoints import Checkpoints
    from chest_transfer.training.fitting import TrainingCallback, fit

    keras.backend.clear_session()
    seconds: dict[str, list[float]] = defaultdict(list)

    def timed(owner: type, method: str, part: str) -> None:
        original = getattr(owner, method)

        def wrapper(*arguments, **options):
            start = time.perf_counter()
            result = original(*arguments, **options)
            seconds[part].append(time.perf_counter() - start)
            return result

        setattr(owner, method, wrapper)

    starts: dict[str, float] = {}
    for event in ("epoch", "test"):
        begin, end = getattr(TrainingCallback, f"on_{event}_begin"), getattr(TrainingCallback, f"on_{event}_end")
        setattr(TrainingCallback, f"on_{event}_begin", _starting(begin, starts, event))
        setattr(TrainingCallback, f"on_{event}_end", _ending(end, starts, event, seconds))
    timed(BatchNormStatistics, "estimate", "statistics")
    timed(Checkpoints, "save", "checkpoint")
    classifier = build_classifier(build_backbone(name, size), settings.architectures[name].head, 2, multi_label=False)
    train, val = random_images(images, size, seed=0), random_images(int(images * VALIDATION_SHARE), size, seed=1)
    fit_settings = settings.train.model_copy(update={"epochs": EPOCHS, "patience": EPOCHS})
    with tempfile.TemporaryDirectory() as folder:
        fit(
            logits_network(classifier), train, val, fit_settings, Checkpoints(Path(folder, "training"), {}, []),
            section="train", learning_rate=1e-3, multi_label=False, seed=1, fused_batch_norm=settings.fused_batch_norm,
        )  # fmt: skip
    return {part: float(np.mean(values[1:])) for part, values in seconds.items()}


def _starting(method, starts: dict[str, float], event: str):
    def wrapper(self, *arguments, **options):
        starts[event] = time.perf_counter()
        return method(self, *arguments, **options)

    return wrapper


def _ending(method, starts: dict[str, float], event: str, seconds: dict[str, list[float]]):
    def wrapper(self, *arguments, **options):
        result = method(self, *arguments, **options)
        seconds[event].append(time.perf_counter() - starts[event])
        return result

    return wrapper


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--images", type=int, default=640)
    parser.add_argument("--backbones", nargs="+", default=["cnn", "resnet50"])
    arguments = parser.parse_args()
    settings = read_settings()
    make_deterministic(settings.seeds[0], settings.threads)
    for name in arguments.backbones:
        seconds = seconds_of_parts(name, arguments.images, arguments.image_size, settings)
        epoch, statistics = seconds["epoch"], seconds["statistics"]
        parts = {
            "validation": seconds["test"] - statistics, "statistics": statistics, "checkpoint": seconds["checkpoint"]
        }  # fmt: skip
        shares = ", ".join(f"{part} {value / epoch:.1%}" for part, value in parts.items())
        print(f"{name}: {epoch:.2f} s an epoch; {shares}; together {sum(parts.values()) / epoch:.1%}", flush=True)


if __name__ == "__main__":
    main()
