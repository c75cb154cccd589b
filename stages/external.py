"""external@T-D-M: the raw predictions of D's models for all radiographs of T, which nothing is trained on."""

from pathlib import Path

from chest_transfer.data.arrays import open_arrays, read_npz
from chest_transfer.data.fingerprints import is_in, split_fingerprints
from chest_transfer.data.predictions import predictions_of
from chest_transfer.errors import run_stage
from chest_transfer.files import atomic_write, keep_only
from chest_transfer.model_names import models_of_experiment, networks_folder, own_models, predictions_folder
from chest_transfer.networks.classifier import logits_network
from chest_transfer.networks.facts import ClassifierFacts
from chest_transfer.networks.saving import load_model
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import make_deterministic


def main(target: str, dataset: str, model: str) -> None:
    settings = read_settings()
    names = models_of_experiment(settings, dataset)
    keep_only(networks_folder(dataset, model), [name.network for name in names])
    keep_only(predictions_folder(dataset, model), [name.predictions for name in names])
    make_deterministic(0, settings.threads)
    from chest_transfer.training.batches import Batches

    folder = Path(f"data/arrays/{target}")
    test, of_dataset = open_arrays(folder / "test.npz"), read_npz(Path(f"data/fingerprints/{dataset}.npz"))
    seen = is_in(split_fingerprints(folder, {"test": test})["test"], of_dataset)
    with atomic_write(Path(f"data/external/{target}/{dataset}/{model}")) as aside:
        aside.mkdir()
        for name in own_models(names):
            network, facts = load_model(name.network, ClassifierFacts)
            logits = logits_network(network).predict(Batches(test, settings.embed.batch_size), verbose=0)
            table = predictions_of(test, logits, facts.classes, facts.multi_label, seen).table()
            table.to_csv(aside / f"{name.key}.csv", index=False)
    print(f"{seen.sum()} of {len(seen)} radiographs of {target} are also in {dataset}")


if __name__ == "__main__":
    run_stage(main)
