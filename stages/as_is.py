"""as_is@T-model-S-seed: the raw predictions of a model of dataset S for T's test radiographs, without training on T."""

from pathlib import Path

from chest_transfer.data.arrays import open_arrays, read_npz
from chest_transfer.data.fingerprints import seen_in_training
from chest_transfer.data.predictions import predictions_of
from chest_transfer.errors import run_stage
from chest_transfer.files import atomic_write
from chest_transfer.model_names import ModelName
from chest_transfer.networks.classifier import logits_network
from chest_transfer.networks.facts import ClassifierFacts
from chest_transfer.networks.saving import load_model
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import make_deterministic


def main(target: str, model: str, source: str, seed: str) -> None:
    settings = read_settings()
    make_deterministic(int(seed), settings.threads)
    from chest_transfer.training.batches import Batches

    applied = ModelName(source, model, settings.transfer.regime, settings.transfer.weights, int(seed))
    classifier, facts = load_model(applied.network, ClassifierFacts)
    test = open_arrays(f"data/arrays/{target}/test.npz")
    logits = logits_network(classifier).predict(Batches(test, settings.transfer.batch_size), verbose=0)
    fingerprints = (read_npz(Path(f"data/fingerprints/{dataset}.npz")) for dataset in (target, source))
    seen = seen_in_training(*fingerprints)["test"]
    with atomic_write(ModelName(target, model, "as_is", source, int(seed)).predictions) as aside:
        aside.mkdir()
        predictions_of(test, logits, facts.classes, facts.multi_label, seen).table().to_csv(
            aside / "test.csv", index=False
        )
        # Calibration and thresholds belong to the model: they come from its validation split, not from the target's.
        (aside / "val.csv").write_bytes(applied.predictions_of("val").read_bytes())
    print(f"{seen.sum()} of {len(seen)} test radiographs of {target} are in {source}'s training or validation split")


if __name__ == "__main__":
    run_stage(main)
