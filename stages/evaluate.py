"""evaluate@D: how good D's models are, from their raw predictions alone; metrics and curves, without TensorFlow."""

from pathlib import Path

from chest_transfer.data.descriptions import read_images
from chest_transfer.errors import run_stage
from chest_transfer.evaluation.summary import evaluate_dataset
from chest_transfer.files import keep_only
from chest_transfer.model_names import models_of_experiment, predictions_folder
from chest_transfer.settings import read_settings


def main(dataset: str) -> None:
    settings = read_settings()
    models = models_of_experiment(settings, dataset)
    keep_only(predictions_folder(dataset, settings.model), [name.predictions for name in models])
    evaluate_dataset(models, read_images(Path(f"data/arrays/{dataset}")), settings.evaluate, Path("metrics"))


if __name__ == "__main__":
    run_stage(main)
