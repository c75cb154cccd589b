"""degraded@D-model: what the networks of D predict for blurred, noisy, rotated ... test radiographs."""

from pathlib import Path

from chest_transfer.data.arrays import open_arrays
from chest_transfer.errors import run_stage
from chest_transfer.files import atomic_write, keep_only
from chest_transfer.model_names import NOT_FITTED, models_of_experiment, networks_folder, with_most_patients
from chest_transfer.networks.classifier import logits_network
from chest_transfer.networks.facts import ClassifierFacts
from chest_transfer.networks.saving import load_model
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import make_deterministic


def main(dataset: str, model: str) -> None:
    settings = read_settings()
    names = models_of_experiment(settings, dataset)
    keep_only(networks_folder(dataset, model), [name.network for name in names])
    make_deterministic(0, settings.threads)
    from chest_transfer.evaluation.degraded import rows_to_degrade, write_degraded_predictions

    test = open_arrays(f"data/arrays/{dataset}/test.npz")
    test = test.of_rows(rows_to_degrade(test, settings.stress.radiographs))
    with atomic_write(Path(f"data/degraded/{dataset}/{model}")) as aside:
        aside.mkdir()
        for name in with_most_patients(names):
            if name.regime not in NOT_FITTED:
                network = logits_network(load_model(name.network, ClassifierFacts)[0])
                path = aside / f"{name.file_name}.npz"
                write_degraded_predictions(network, test, settings.embed.batch_size, path)


if __name__ == "__main__":
    run_stage(main)
