"""predict_R@D-model-W: a saved model, from its file alone, on val and test; tables in data/predictions/D/model/R-W."""

from pathlib import Path

import pandas as pd

from chest_transfer.data.arrays import open_arrays, open_features
from chest_transfer.errors import run
from chest_transfer.evaluation.predictions import predictions_table
from chest_transfer.networks.saving import load_model
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import pin


def main(dataset: str, model: str, regime: str, weights: str) -> None:
    settings = read_settings()
    pin(settings.seed, settings.threads)
    from chest_transfer.training.batches import Batches
    from chest_transfer.training.features import predicted

    saved = Path(f"models/{dataset}/{model}/{regime}-{weights}.keras")
    target, size = Path(f"data/predictions/{dataset}/{model}/{regime}-{weights}"), settings.predict.batch_size
    target.mkdir(parents=True, exist_ok=True)
    classifier, _ = load_model(saved)
    for split in ("val", "test"):
        arrays = open_arrays(f"data/arrays/{dataset}/{split}.npz")
        if regime == "probe":
            features = open_features(f"data/features/{dataset}/{model}/{weights}/{split}.npz")
            probabilities = predicted(classifier, arrays, features, size)
        else:
            probabilities = classifier.predict(Batches(arrays, size), verbose=0)
        predictions_table(arrays, probabilities).to_csv(target / f"{split}.csv", index=False)
    pd.read_csv(saved.with_suffix(".csv")).to_csv(target / "history.csv", index=False)


if __name__ == "__main__":
    run(main)
