"""adapted@T-model-S-seed: a model of dataset S adapted to T's training radiographs without their labels."""

from pathlib import Path

from chest_transfer.data.arrays import open_arrays, read_npz
from chest_transfer.data.gray_statistics import GrayStatistics
from chest_transfer.errors import run_stage
from chest_transfer.model_names import ModelName
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import make_deterministic


def main(target: str, model: str, source: str, seed: str) -> None:
    settings = read_settings()
    make_deterministic(int(seed), settings.threads)
    from chest_transfer.evaluation.adapting import adapt_and_save

    applied = ModelName(source, model, settings.transfer.regime, settings.transfer.weights, int(seed))
    of_source = read_npz(Path(f"data/out_of_distribution/{source}.npz"))
    adaptation = adapt_and_save(
        applied,
        ModelName(target, model, "adapted", source, int(seed)),
        GrayStatistics(float(of_source["gray_mean"]), float(of_source["gray_deviation"])),
        {split: open_arrays(f"data/arrays/{target}/{split}.npz") for split in ("train", "test")},
        {dataset: Path(f"data/fingerprints/{dataset}.npz") for dataset in (target, source)},
        settings.evaluate.operating_point,
    )
    print(f"{target}: {adaptation}")


if __name__ == "__main__":
    run_stage(main)
