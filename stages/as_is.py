"""as_is@T-model-S: what a model of S says of T's test radiographs, and which of them it learnt from; no training."""

from pathlib import Path

from chest_transfer.data.arrays import open_arrays
from chest_transfer.data.catalog import dataset_named
from chest_transfer.data.overlap import seen_in
from chest_transfer.data.predictions import read_predictions
from chest_transfer.errors import run
from chest_transfer.evaluation.meaning import health_table
from chest_transfer.networks.saving import load_model
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import pin


def main(target: str, model: str, source: str) -> None:
    settings = read_settings()
    pin(settings.seed, settings.threads)
    from chest_transfer.training.batches import Batches

    asked, folder = settings.transfer, Path(f"data/predictions/{target}/{model}/as_is-{source}")
    name = f"{source}/{model}/{asked.regime}-{asked.weights}"
    classifier, facts = load_model(Path(f"models/{name}.keras"))
    test, val = (
        open_arrays(f"data/arrays/{target}/test.npz"),
        read_predictions(Path(f"data/predictions/{name}/val.csv")),
    )
    seen = seen_in(test.images, [open_arrays(f"data/arrays/{source}/{split}.npz").images for split in ("train", "val")])
    said = classifier.predict(Batches(test, asked.batch_size), verbose=0)
    several, models = dataset_named(target).multi_label, facts["multi_label"]
    table = health_table(test.names, test.patients, test.targets, several, said, models).assign(seen=seen.astype(int))
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "test.csv", index=False)
    own = health_table(val.names, val.patients, val.truth, models, val.probabilities, models)
    own.to_csv(folder / "val.csv", index=False)  # thresholds go with the model: from its validation, not the target's
    print(f"{seen.sum()} of {len(seen)} test radiographs of {target} are among those that {source} was learnt from")


if __name__ == "__main__":
    run(main)
