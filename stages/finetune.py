"""finetune@D-model-W: the probe with layers of its backbone unfrozen; its model and predictions."""

from pathlib import Path

from chest_transfer.errors import run
from chest_transfer.networks.saving import load_model
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import pin


def main(dataset: str, model: str, weights: str) -> None:
    settings = read_settings()
    pin(settings.seed, settings.threads)
    from chest_transfer.training.making import make_model
    from chest_transfer.training.unfreezing import Unfreezing

    asked, used = settings.finetune, settings.model_dump(include={"seed", "threads", "finetune"})
    start, name = Path(f"models/{dataset}/{model}/probe-{weights}.keras"), f"{dataset}/{model}/finetune-{weights}"
    probe, facts = load_model(start)
    unfreezing = Unfreezing(probe, asked)
    make_model(name, probe, facts, [start], asked, asked.learning_rate, used, unfreezing=unfreezing)


if __name__ == "__main__":
    run(main)
