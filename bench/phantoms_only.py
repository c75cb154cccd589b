"""What a network that never saw a patient reads on real radiographs: trained on simulated pneumonia only.

    python -m bench.phantoms_only ARCHIVES [--patients 2500]

ARCHIVES is a folder of public archives, under the names that Kaggle gives them. All is as in params.yaml but for the
number of patients and 8 epochs; prints, for each of three seeds, the test AUC on unseen phantoms and on the real test
split. Nothing is chosen on either. Two cores: six minutes.
"""

import argparse
import tempfile
from pathlib import Path

from bench.transfer import SEEDS, auc_on, splits_of, trained
from chest_transfer.data.catalog import CATALOG
from chest_transfer.phantom.archive import write_archive
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import pin


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("archives")
    parser.add_argument("--patients", type=int, default=2500)
    asked = parser.parse_args()
    settings = read_settings()
    pin(settings.seed, settings.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        phantom = settings.phantom.model_copy(update={"patients": asked.patients})
        write_archive(CATALOG["pneumonia"], phantom, folder / "simulated.zip", settings.threads)
        sources = {"simulated": str(folder / "simulated.zip"), "real": asked.archives}
        simulated, real = (
            splits_of("pneumonia", archives, folder / source, settings) for source, archives in sources.items()
        )
        tests = {"simulated": simulated["test"], "real": real["test"]}
        print(f"{len(simulated['train'].labels)} simulated training images")
        for seed in SEEDS:
            classifier = trained(settings, "cnn", "none", simulated["train"], simulated["val"], 8, seed)
            for source, test in tests.items():
                print(f"seed {seed}: test AUC {source} {auc_on(classifier, test):.3f}", flush=True)


if __name__ == "__main__":
    main()
