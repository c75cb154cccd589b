"""explain@D-model-W: heat maps of a model on D's test radiographs, on a sheet; how well they point, as metrics."""

import json
from pathlib import Path

from chest_transfer.data.arrays import open_arrays
from chest_transfer.data.catalog import dataset_named
from chest_transfer.data.descriptions import read_boxes
from chest_transfer.data.predictions import read_predictions
from chest_transfer.errors import run
from chest_transfer.evaluation.explanation import chosen, localised, maps_of
from chest_transfer.evaluation.figures import heat_map_sheet, save
from chest_transfer.evaluation.metrics import judged_by
from chest_transfer.networks.saving import load_model
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import pin


def main(dataset: str, model: str, name: str) -> None:
    settings = read_settings()
    pin(settings.seed, settings.threads)
    from chest_transfer.evaluation.grad_cam import GradCam

    network, facts = load_model(Path(f"models/{dataset}/{model}/{name}.keras"))
    test, boxes = open_arrays(f"data/arrays/{dataset}/test.npz"), read_boxes(Path(f"data/arrays/{dataset}"))
    said = read_predictions(Path(f"data/predictions/{dataset}/{model}/{name}/test.csv"))
    judged = judged_by(facts, said, facts["multi_label"], settings.evaluate.operating_point)
    cam = GradCam(network, settings.explain.method)
    shown = chosen(judged, test.names, settings.explain.images)
    sheet = heat_map_sheet(test, shown, maps_of(cam, test, shown), boxes, f"{dataset}: {name}")
    save(sheet, Path(f"data/pictures/{dataset}/{model}/{name}.png"))
    archive, fit = Path(f"data/raw/{dataset}.zip"), settings.preprocess.fit
    scores = localised(cam, dataset_named(dataset), archive, test, boxes, fit, settings.evaluate)
    target = Path(f"metrics/explained/{dataset}/{name}.json")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(scores, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
