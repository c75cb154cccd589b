"""representations@D-model: what training did to the networks of D, block by block."""

from pathlib import Path

from chest_transfer.data.arrays import open_arrays
from chest_transfer.errors import run_stage
from chest_transfer.files import keep_only, write_json, write_text
from chest_transfer.model_names import (
    EXPLAINED,
    models_of_experiment,
    networks_folder,
    starting_network,
    with_most_patients,
)  # fmt: skip
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import make_deterministic


def main(dataset: str, model: str) -> None:
    settings = read_settings()
    names = models_of_experiment(settings, dataset)
    keep_only(networks_folder(dataset, model), [name.network for name in names])
    starts = [starting_network(model, weights) for weights in settings.weights]
    keep_only(starts[0].parent, starts)
    make_deterministic(0, settings.threads)
    from chest_transfer.evaluation import representations

    test, evaluate = open_arrays(f"data/arrays/{dataset}/test.npz"), settings.evaluate
    trained = [name for name in with_most_patients(names) if name.regime in EXPLAINED]
    fits = [representations.representations_of(name, test, evaluate.rounds, evaluate.seed) for name in trained]
    records, folder = representations.block_records(fits), Path("metrics/representations", dataset)
    write_json(folder.with_suffix(".json"), records)
    write_text(folder / "blocks.csv", representations.block_table(records).to_csv(index=False))
    write_text(folder / "networks.csv", representations.compare_networks(fits).to_csv(index=False))


if __name__ == "__main__":
    run_stage(main)
