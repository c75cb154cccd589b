"""finetune@D-model-W: the probe with layers of its backbone unfrozen, at models/D/model/finetune-W.keras."""

from pathlib import Path

from chest_transfer.data.arrays import open_arrays
from chest_transfer.errors import run
from chest_transfer.networks.saving import load_model, save_model
from chest_transfer.settings import read_settings
from chest_transfer.training.determinism import pin


def main(dataset: str, model: str, weights: str) -> None:
    settings = read_settings()
    pin(settings.seed, settings.threads)
    from chest_transfer.training.checkpoints import Checkpoints
    from chest_transfer.training.fitting import fit
    from chest_transfer.training.unfreezing import Unfreezing

    asked, seed = settings.finetune, settings.seed
    start, target = (Path(f"models/{dataset}/{model}/{regime}-{weights}") for regime in ("probe", "finetune"))
    start = start.with_suffix(".keras")
    paths = [Path(f"data/arrays/{dataset}/{split}.npz") for split in ("train", "val")]
    train, val = map(open_arrays, paths)
    classifier, facts = load_model(start)
    used = settings.model_dump(include={"seed", "threads", "finetune"})
    checkpoints = Checkpoints(Path(f".training/{dataset}-{model}-{weights}-finetune"), used, [*paths, start])
    unfreezing, rate = Unfreezing(classifier, asked), asked.learning_rate
    history = fit(classifier, train, val, asked, rate, facts["multi_label"], seed, checkpoints, unfreezing)
    facts |= {"regime": "finetune", "settings": facts["settings"] | used}
    save_model(classifier, target.with_suffix(".keras"), facts)
    history.to_csv(target.with_suffix(".csv"), index=False)
    checkpoints.remove()


if __name__ == "__main__":
    run(main)
