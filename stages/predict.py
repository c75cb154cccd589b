"""predict@D-model: each model of D, loaded from its file alone, on val and test; tables in data/predictions/D/model."""

from pathlib import Path

import pandas as pd

from chest_transfer.data.arrays import open_arrays
from chest_transfer.errors import run
from chest_transfer.evaluation.predictions import predictions_table
from chest_transfer.networks.saving import load_model
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import pin


def main(dataset: str, model: str) -> None:
    settings = read_settings()
    pin(settings.seed, settings.threads)
    from chest_transfer.training.batches import Batches

    target = Path(f"data/predictions/{dataset}/{model}")
    target.mkdir(parents=True, exist_ok=True)
    for name in (f"train-{weights}" for weights in settings.weights):
        saved = Path(f"models/{dataset}/{model}/{name}.keras")
        classifier, _ = load_model(saved)
        for split in ("val", "test"):
            arrays = open_arrays(f"data/arrays/{dataset}/{split}.npz")
            probabilities = classifier.predict(Batches(arrays, settings.predict.batch_size), verbose=0)
            predictions_table(arrays, probabilities).to_csv(target / f"{name}.{split}.csv", index=False)
        pd.read_csv(saved.with_suffix(".csv")).to_csv(target / f"{name}.history.csv", index=False)


if __name__ == "__main__":
    run(main)
