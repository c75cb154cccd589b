"""best@D: D's model with the largest area on validation, packed into one file under a name that does not change."""

import json
from pathlib import Path

from chest_transfer.errors import run_stage
from chest_transfer.evaluation.best_model import best_on_validation, file_name
from chest_transfer.files import keep_only
from chest_transfer.model_names import (
    ensembles,
    models_of_experiment,
    networks_folder,
    packed_model,
    predictions_folder,
)
from chest_transfer.serving.packing import pack
from chest_transfer.settings import read_settings


def main(dataset: str) -> None:
    settings = read_settings()
    models = models_of_experiment(settings, dataset)
    keep_only(networks_folder(dataset, settings.model), [name.network for name in models])
    keep_only(predictions_folder(dataset, settings.model), [name.predictions for name in models])
    members = {name: [name] for name in models} | ensembles(models)
    chosen = file_name(*best_on_validation(json.loads(Path(f"metrics/detail/{dataset}.json").read_text())))
    best = next(name for name in members if name.file_name == chosen)
    networks, val = zip(*((name.network, name.predictions_of("val")) for name in members[best]), strict=True)
    pack(networks, val, Path(f"data/out_of_distribution/{dataset}.npz"), packed_model(dataset))
    print(f"{dataset}: {best}")


if __name__ == "__main__":
    run_stage(main)
