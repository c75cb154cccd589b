"""A dataset's model adapted to another dataset, saved with what it predicts there."""

from pathlib import Path

from chest_transfer.data.arrays import Arrays, read_npz
from chest_transfer.data.fingerprints import seen_in_training
from chest_transfer.data.gray_statistics import GrayStatistics
from chest_transfer.data.predictions import predictions_of, read_predictions
from chest_transfer.errors import ChestTransferError
from chest_transfer.evaluation.adaptation import BATCH, adapt
from chest_transfer.evaluation.class_shares import questions_of_validation
from chest_transfer.evaluation.transport import REFUSED
from chest_transfer.files import atomic_write, write_json
from chest_transfer.model_names import ModelName
from chest_transfer.networks.classifier import logits_network
from chest_transfer.networks.facts import ClassifierFacts
from chest_transfer.networks.saving import LUNGS, load_model, read_arrays, save_model
from chest_transfer.training.batches import Batches

ADAPTATION = "adaptation.json"


def adapt_and_save(
    applied: ModelName,
    name: ModelName,
    gray: GrayStatistics,
    target: dict[str, Arrays],
    fingerprints: dict[str, Path],
    operating_point: str,
) -> str:
    """Adapt a model to the training radiographs of a target, and save it with its predictions for the target's test.

    Where that is refused, the model is saved as it is. `name.predictions` gets `test.csv` and `val.csv` (the
    predictions of the model as it was for its own validation split: calibration and thresholds are the model's), and
    `adaptation.json`, which says what was changed.

    Args:
        applied: ModelName of the model.
        name: ModelName of the adapted one.
        gray: GrayStatistics of the training split of the model's dataset.
        target: dict of Arrays, `train`, of which only the images are used, and `test`.
        fingerprints: dict of Path, by dataset, of the files of image fingerprints, the target's first.
        operating_point: str, whose threshold is moved.

    Returns:
        str: what was done, in words.
    """
    classifier, facts = load_model(applied.network, ClassifierFacts)
    questions = questions_of_validation(read_predictions(applied.predictions_of("val")), operating_point)
    try:
        record = adapt(classifier, target["train"], gray, facts, questions).record()
    except ChestTransferError as refusal:
        classifier, _ = load_model(applied.network, ClassifierFacts)
        images = len(target["train"].names)
        record = {"images": images, "statistics": f"{REFUSED}: {refusal}", "shares": {}, "offsets": {}}
    changed = {"dataset": name.dataset, "regime": name.regime, "source": name.start}
    settings = facts.settings | {"adaptation": record}
    adapted = facts.model_copy(update=changed | {"settings": settings})
    save_model(classifier, name.network, adapted, read_arrays(applied.network, LUNGS))
    saved, facts = load_model(name.network, ClassifierFacts)
    logits = logits_network(saved).predict(Batches(target["test"], BATCH), verbose=0)
    seen = seen_in_training(*map(read_npz, fingerprints.values()))["test"]
    with atomic_write(name.predictions) as aside:
        aside.mkdir()
        test = predictions_of(target["test"], logits, facts.classes, facts.multi_label, seen)
        test.table().to_csv(aside / "test.csv", index=False)
        (aside / "val.csv").write_bytes(applied.predictions_of("val").read_bytes())
        write_json(aside / ADAPTATION, record)
    return record["statistics"]
