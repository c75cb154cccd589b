"""predict_R@D-model-W: a saved model, from its file alone, on val and test; tables in data/predictions/D/model/R-W."""

from pathlib import Path

import pandas as pd

from chest_transfer.data.arrays import open_arrays
from chest_transfer.errors import run
from chest_transfer.evaluation.predictions import write_predictions
from chest_transfer.networks.saving import load_model
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import pin


def main(dataset: str, model: str, regime: str, weights: str) -> None:
    settings = read_settings()
    pin(settings.seed, settings.threads)
    from chest_transfer.training.batches import Batches

    name, size = f"{dataset}/{model}/{regime}-{weights}", settings.predict.batch_size
    classifier, _ = load_model(Path(f"models/{name}.keras"))
    arrays = {split: open_arrays(f"data/arrays/{dataset}/{split}.npz") for split in ("val", "test")}
    found = {split: classifier.predict(Batches(part, size), verbose=0) for split, part in arrays.items()}
    write_predictions(Path(f"data/predictions/{name}"), arrays, found, pd.read_csv(f"models/{name}.csv"))


if __name__ == "__main__":
    run(main)
