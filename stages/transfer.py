"""transfer@T-model-S: the backbone of a model of S trained on T; models/T/model/transfer-S.keras, its predictions."""

from pathlib import Path

from chest_transfer.errors import run
from chest_transfer.networks.classifier import backbone_of
from chest_transfer.networks.saving import load_model
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import pin


def main(target: str, model: str, source: str) -> None:
    settings = read_settings()
    pin(settings.seed, settings.threads)
    from chest_transfer.training.making import make_whole

    asked, used = settings.transfer, settings.model_dump(include={"seed", "threads", "transfer"})
    start = Path(f"models/{source}/{model}/{asked.regime}-{asked.weights}.keras")
    learnt, facts = load_model(start)
    name, facts = f"{target}/{model}/transfer-{source}", facts | {"source": source}
    make_whole(name, backbone_of(learnt), facts, [start], asked, settings.architectures[model], used)


if __name__ == "__main__":
    run(main)
