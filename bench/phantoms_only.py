"""What a network that never saw a patient reads on real radiographs: trained on simulated pneumonia only.

    python -m bench.phantoms_only ARCHIVES [--patients 2500]

ARCHIVES is a folder of public archives, under the names that Kaggle gives them. All is as in params.yaml but for the
number of patients and 8 epochs; prints, for each of three seeds, the test AUC on unseen phantoms and on the real test
split. Nothing is chosen on either. Two cores: six minutes.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from sklearn.metrics import roc_auc_score

from chest_transfer.data.arrays import Arrays, open_arrays
from chest_transfer.data.catalog import CATALOG
from chest_transfer.data.downloads import fetch
from chest_transfer.data.preprocessing import preprocess
from chest_transfer.networks.classifier import build_classifier
from chest_transfer.networks.weights import starting_point
from chest_transfer.phantom.archive import write_archive
from chest_transfer.settings import Settings, read_settings
from chest_transfer.training.determinism import pin

PNEUMONIA = CATALOG["pneumonia"]


def trained(settings: Settings, train: Arrays, val: Arrays, seed: int):
    """The settings' small network from random weights."""
    import keras

    from chest_transfer.training.checkpoints import Checkpoints
    from chest_transfer.training.fitting import fit

    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    architecture = settings.architectures["cnn"]
    backbone, _ = starting_point("cnn", "none", settings.image_size, architecture, {})
    classifier = build_classifier(backbone, architecture.head, 2, multi_label=False)
    asked = settings.train.model_copy(update={"epochs": 8, "patience": 8})
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder) / "run", {}, [])
        fit(classifier, train, val, asked, asked.learning_rate, False, seed, checkpoints)
    return classifier


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("archives")
    parser.add_argument("--patients", type=int, default=2500)
    asked = parser.parse_args()
    settings = read_settings()
    pin(settings.seed, settings.threads)
    from chest_transfer.training.batches import Batches

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        phantom = settings.phantom.model_copy(update={"patients": asked.patients})
        write_archive(PNEUMONIA, phantom, folder / "simulated.zip", settings.threads)
        fetch(PNEUMONIA, asked.archives, folder / "real.zip", checksums=folder / "checksums.txt")
        for source in ("simulated", "real"):
            archive = folder / f"{source}.zip"
            preprocess(PNEUMONIA, archive, folder / source, settings.preprocess, settings.image_size, settings.threads)
        simulated = {split: open_arrays(folder / f"simulated/{split}.npz") for split in ("train", "val", "test")}
        tests = {"simulated": simulated["test"], "real": open_arrays(folder / "real/test.npz")}
        print(f"{len(simulated['train'].labels)} simulated training images")
        for seed in (1, 2, 3):
            classifier = trained(settings, simulated["train"], simulated["val"], seed)
            for source, test in tests.items():
                probabilities = classifier.predict(Batches(test, 64), verbose=0)[:, 1]
                print(f"seed {seed}: test AUC {source} {roc_auc_score(test.labels, probabilities):.3f}", flush=True)


if __name__ == "__main__":
    main()
