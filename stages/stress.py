"""stress@D: D's models where a shortcut says nothing, or the opposite, and on degraded radiographs; no TensorFlow."""

from pathlib import Path

from chest_transfer.errors import run_stage
from chest_transfer.evaluation.stress_test import stress_table, stress_test
from chest_transfer.files import keep_only, write_json, write_text
from chest_transfer.model_names import models_of_experiment, predictions_folder
from chest_transfer.settings import read_settings


def main(dataset: str) -> None:
    settings = read_settings()
    names = models_of_experiment(settings, dataset)
    keep_only(predictions_folder(dataset, settings.model), [name.predictions for name in names])
    shortcuts, degraded = Path(f"data/shortcuts/{dataset}.npz"), Path(f"data/degraded/{dataset}/{settings.model}")
    records = stress_test(names, shortcuts, degraded, settings.evaluate)
    write_json(Path(f"metrics/stress/{dataset}.json"), records)
    write_text(Path(f"metrics/plots/{dataset}/stress.csv"), stress_table(records).to_csv(index=False))


if __name__ == "__main__":
    run_stage(main)
