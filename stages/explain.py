"""explain@D-model: heat maps of D's trained and fine-tuned models on its test radiographs, and how well they point."""

from pathlib import Path

from chest_transfer.data.arrays import open_arrays
from chest_transfer.data.descriptions import read_boxes, read_images
from chest_transfer.errors import run_stage
from chest_transfer.evaluation.explained_dataset import ExplainedDataset, explain_models
from chest_transfer.files import atomic_write, keep_only, write_json
from chest_transfer.model_names import explained_models, models_of_experiment, networks_folder, predictions_folder
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import make_deterministic


def main(dataset: str, model: str) -> None:
    settings, arrays = read_settings(), Path(f"data/arrays/{dataset}")
    models = models_of_experiment(settings, dataset)
    keep_only(networks_folder(dataset, model), [name.network for name in models])
    keep_only(predictions_folder(dataset, model), [name.predictions for name in models])
    names, point = explained_models(settings, dataset), settings.evaluate.operating_point
    if names:
        make_deterministic(0, settings.threads)
    explained = ExplainedDataset(
        archive=Path(f"data/raw/{dataset}.zip"),
        test=open_arrays(arrays / "test.npz"),
        images=read_images(arrays),
        boxes=read_boxes(arrays),
        fit=settings.preprocess.fit,
    )
    with atomic_write(Path(f"data/heat_maps/{dataset}/{model}")) as aside:
        aside.mkdir()
        scores = explain_models(names, explained, settings.explain, point, aside)
    write_json(Path(f"metrics/explained/{dataset}.json"), scores)


if __name__ == "__main__":
    run_stage(main)
