"""train@D-model-W: the whole network trained on D from W; models/D/model/train-W.keras and what it predicts."""

from pathlib import Path

from chest_transfer.errors import run
from chest_transfer.networks.saving import load_model
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import pin


def main(dataset: str, model: str, weights: str) -> None:
    settings = read_settings()
    pin(settings.seed, settings.threads)  # before Keras is imported
    from chest_transfer.training.making import make_whole

    asked, used = settings.train, settings.model_dump(include={"seed", "threads", "train"})
    start, name = Path(f"models/pretrained/{model}/{weights}.keras"), f"{dataset}/{model}/train-{weights}"
    backbone, facts = load_model(start)
    make_whole(name, backbone, facts, [start], asked, settings.architectures[model], used)


if __name__ == "__main__":
    run(main)
