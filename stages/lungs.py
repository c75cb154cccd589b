"""lungs@region: the network that finds lungs, for `preprocess.region: lungs`; its Dice at metrics/regions."""

from pathlib import Path

from chest_transfer.data.arrays import write_npz
from chest_transfer.data.regions import MASK_SIDE, SIDE
from chest_transfer.errors import run_stage
from chest_transfer.files import write_json
from chest_transfer.phantom.lungs import lungs_of_fresh_patients
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import make_deterministic


def main(region: str) -> None:
    settings, weights, scores = read_settings(), {}, {}
    if region == "lungs":
        make_deterministic(settings.phantom.seed, settings.threads)
        from chest_transfer.training.lung_segmentation import train_lung_network

        seed = settings.phantom.seed
        images, masks = lungs_of_fresh_patients(settings.lungs.patients, seed, SIDE, MASK_SIDE, settings.threads)
        network, scores = train_lung_network(images, masks, settings.lungs, seed)
        weights = network.arrays()
        print(f"Dice of {scores['held_out']} simulated radiographs that it was not trained on: {scores['dice']}")
    write_npz(Path(f"models/regions/{region}.npz"), weights)
    write_json(Path(f"metrics/regions/{region}.json"), scores)


if __name__ == "__main__":
    run_stage(main)
