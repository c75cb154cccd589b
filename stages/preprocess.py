"""preprocess@D: the archive's radiographs as arrays at data/arrays/D/{train,val,test}.npz, split by patient."""

from pathlib import Path

from chest_transfer.data.arrays import read_npz
from chest_transfer.data.catalog import dataset_named
from chest_transfer.data.preprocess_summary import lines_about
from chest_transfer.data.preprocessing import preprocess
from chest_transfer.errors import run_stage
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import make_deterministic


def main(dataset: str, which: str = "split") -> None:
    settings = read_settings()
    archive, target = Path(f"data/raw/{dataset}.zip"), Path(f"data/arrays/{dataset}")
    options = settings.preprocess, settings.image_size, settings.threads
    lungs = open_lungs(settings.preprocess.region, settings.threads)
    summary = preprocess(dataset_named(dataset), archive, target, *options, which == "all_test", lungs)
    for line in lines_about(summary):
        print(f"{dataset}: {line}")


def open_lungs(region: str, threads: int):
    """Return what finds the lungs; None where whole radiographs are shown."""
    if region == "whole":
        return None
    make_deterministic(0, threads)
    from chest_transfer.networks.lung_network import LungNetwork

    return LungNetwork.of_arrays(read_npz(Path(f"models/regions/{region}.npz")))


if __name__ == "__main__":
    run_stage(main)
