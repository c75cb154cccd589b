"""evaluate@D: what D's models are worth, from their predictions alone; metrics and plots, without TensorFlow."""

from pathlib import Path

from chest_transfer.data.catalog import dataset_named
from chest_transfer.data.descriptions import read_images
from chest_transfer.errors import run
from chest_transfer.evaluation.summary import evaluate
from chest_transfer.settings import read_settings


def main(dataset: str) -> None:
    settings = read_settings()
    models = [f"probe-{weights}" for weights in settings.weights]
    models += [f"finetune-{weights}" for weights in settings.finetune.weights]
    models += [f"train-{weights}" for weights in settings.train.weights]
    if dataset == settings.transfer.target:
        models += [f"{regime}-{source}" for source in settings.transfer.sources for regime in ("as_is", "transfer")]
    folder, several = Path(f"data/predictions/{dataset}/{settings.model}"), dataset_named(dataset).multi_label
    files = read_images(Path(f"data/arrays/{dataset}"))
    evaluate(folder, models, several, files, settings.evaluate, dataset, Path("metrics"))


if __name__ == "__main__":
    run(main)
