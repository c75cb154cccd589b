"""external_evaluate@T-D: how good D's models are on radiographs of T, beside their own test split; no TensorFlow."""

import json
from pathlib import Path

import pandas as pd

from chest_transfer.data.descriptions import read_images
from chest_transfer.data.predictions import read_predictions
from chest_transfer.errors import run_stage
from chest_transfer.evaluation.external import external_scores, model_outputs
from chest_transfer.files import keep_only, write_json, write_text
from chest_transfer.model_names import models_of_experiment, own_models, predictions_folder
from chest_transfer.settings import read_settings


def main(target: str, dataset: str) -> None:
    settings, arrays = read_settings(), Path(f"data/arrays/{target}")
    names, results = models_of_experiment(settings, dataset), Path(f"metrics/external/{target}")
    keep_only(predictions_folder(dataset, settings.model), [name.predictions for name in names])
    images, multi_label = read_images(arrays), json.loads((arrays / "summary.json").read_text())["multi_label"]
    records, subgroups = {}, []
    for name in own_models(names):
        scores = external_scores(
            model_outputs(name, settings.evaluate.operating_point),
            read_predictions(Path(f"data/external/{target}/{dataset}/{settings.model}/{name.key}.csv")),
            multi_label, images, settings.evaluate,
            internal=read_predictions(name.predictions_of("test")),
        )  # fmt: skip
        records.setdefault(name.regime, {})[name.start] = scores.record
        subgroups.append(scores.subgroups.assign(model=name.key))
    areas = {regime: {start: record["auc"] for start, record in of.items()} for regime, of in records.items()}
    write_json(results / f"{dataset}.json", {target: {dataset: areas}})  # a metric of DVC
    write_json(results / f"{dataset}-detail.json", records)
    write_text(results / f"{dataset}-subgroups.csv", pd.concat(subgroups).to_csv(index=False))


if __name__ == "__main__":
    run_stage(main)
