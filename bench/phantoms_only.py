"""How well a network that was trained on simulated pneumonia only does on real radiographs.

    python -m bench.phantoms_only ARCHIVES [--patients 2500]

ARCHIVES is a folder of public archives, under the names that Kaggle gives them. All settings are those of params.yaml,
except for the number of patients and the epochs. For each of three seeds, the test AUC on unseen phantoms and on the
real test split is printed; nothing is chosen on either. On two cores it takes six minutes.
"""

import argparse
import tempfile
from pathlib import Path

from bench.transfer import SEEDS, area_on, open_splits, train_classifier
from chest_transfer.data.catalog import CATALOG
from chest_transfer.phantom.archive import write_archive
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import make_deterministic

EPOCHS = 8


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("archives")
    parser.add_argument("--patients", type=int, default=2500)
    options = parser.parse_args()
    settings = read_settings()
    make_deterministic(settings.seeds[0], settings.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        phantom = settings.phantom.model_copy(update={"patients": options.patients})
        write_archive(CATALOG["pneumonia"], phantom, folder / "simulated.zip", settings.threads)
        sources = {"simulated": str(folder / "simulated.zip"), "real": options.archives}
        simulated, real = (
            open_splits("pneumonia", archives, folder / source, settings) for source, archives in sources.items()
        )
        tests = {"simulated": simulated["test"], "real": real["test"]}
        print(f"{len(simulated['train'].labels)} simulated training images")
        for seed in SEEDS:
            train, val = simulated["train"], simulated["val"]
            classifier = train_classifier(settings, "cnn", "none", train, val, EPOCHS, seed)
            for source, test in tests.items():
                print(f"seed {seed}: test AUC {source} {area_on(classifier, test):.3f}", flush=True)


if __name__ == "__main__":
    main()
