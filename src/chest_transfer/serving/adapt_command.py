"""The command `chest-transfer adapt`: a model adapted to a hospital's radiographs, without labels, as a file."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from chest_transfer.data.arrays import Arrays
from chest_transfer.data.gray_statistics import GrayStatistics
from chest_transfer.errors import ChestTransferError
from chest_transfer.evaluation.class_shares import Question, questions_of_facts
from chest_transfer.evaluation.out_of_distribution import fit_out_of_distribution
from chest_transfer.networks.saving import LUNGS, read_arrays, repack_model, save_model, with_prefix
from chest_transfer.serving.image_files import find_images
from chest_transfer.serving.models import model_file
from chest_transfer.serving.packing import PREFIX, read_out_of_distribution
from chest_transfer.serving.predictor import BATCH, Predictor

REGIME = "adapted"
VALIDATION_EVERY = 5  # of the radiographs one in so many sets the threshold of the out-of-distribution score
SHOWN = 3  # unreadable files that are named


def adapt_model(arguments) -> None:
    """Adapt the model of the command line, write it, and print what was changed.

    Raises:
        ChestTransferError: there is no such model, it is an ensemble or adapted already, there are too few
            radiographs, or the share is none.
    """
    out, predictor = Path(arguments.out), Predictor(model_file(arguments.model, arguments.rev))
    questions = _check(arguments, predictor, out)
    from chest_transfer.evaluation.adaptation import adapt, check_enough
    from chest_transfer.training.determinism import make_deterministic

    make_deterministic(0, arguments.threads)
    images, unreadable = _radiographs(predictor, arguments.images)
    for name, reason in unreadable[:SHOWN]:
        print(f"left out: {name}: {reason}")
    if unreadable[SHOWN:]:
        print(f"left out: {len(unreadable) - SHOWN} more that cannot be read")
    check_enough(len(images))
    before = _summary(predictor, images)
    source = read_out_of_distribution(predictor.path)
    if source.gray_mean is None:
        raise ChestTransferError(
            f"'{arguments.model}' is of an earlier version, which does not say what gray levels it was trained on; "
            "make it again with: dvc repro"
        )
    gray = GrayStatistics(float(source.gray_mean), float(source.gray_deviation))
    network, facts = predictor.network, predictor.facts
    adaptation = adapt(network, _arrays(images), gray, facts, questions, arguments.share)
    record = adaptation.record() | {"stated_share": arguments.share}
    facts = facts.model_copy(update={"regime": REGIME, "settings": facts.settings | {"adaptation": record}})
    is_val = np.arange(len(images)) % VALIDATION_EVERY == 0
    distribution = replace(
        fit_out_of_distribution(images[~is_val], images[is_val]),
        gray_mean=np.float64(gray.mean), gray_deviation=np.float64(gray.deviation),
    )  # fmt: skip
    arrays = with_prefix(PREFIX, distribution.arrays()) | read_arrays(predictor.path, LUNGS)
    with tempfile.TemporaryDirectory() as folder:
        save_model(network, Path(folder, "adapted.keras"), facts)
        repack_model(Path(folder, "adapted.keras"), out, facts, arrays)
    _report(adaptation, arguments.share, before, _summary(Predictor(out), images), out)


def _check(arguments, predictor: Predictor, out: Path) -> list[Question]:
    """Return the questions whose thresholds can be moved; refuse what cannot be adapted."""
    if predictor.facts.ensemble_seeds:
        raise ChestTransferError(
            f"'{arguments.model}' is an ensemble of {len(predictor.facts.ensemble_seeds)} networks (allowed: a single "
            "network); adapt one of its members, e.g. with -seed1-all at the end of its name"
        )
    if predictor.facts.regime == REGIME:
        raise ChestTransferError(f"'{arguments.model}' is adapted already; adapt the model that it was made of")
    if out.suffix != ".keras":
        raise ChestTransferError(f"--out is '{out}' (allowed: a file ending in .keras); name one")
    questions = questions_of_facts(predictor.facts, predictor.operating_point)
    if arguments.share is not None and not 0 < arguments.share < 1:
        raise ChestTransferError(f"--share is {arguments.share:g} (allowed: between 0 and 1, e.g. 0.3)")
    if arguments.share is not None and len(questions) != 1:
        raise ChestTransferError(
            f"--share is of a single disease, and the classes of the model are {', '.join(predictor.classes)}; leave "
            "it out"
        )
    return questions


def _radiographs(predictor: Predictor, places: list[str]) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """Return the readable radiographs (n, size, size) uint8, and the name of each other file with the reason."""
    images, unreadable = [], []
    for picture in tqdm(find_images(places), unit=" pictures", disable=None, leave=False):
        decoded = predictor.decode(picture)
        if decoded.error:
            unreadable.append((picture.name, decoded.error))
        else:
            images.append(decoded.pixels)
    size = predictor.image_size
    return np.array(images, np.uint8).reshape(-1, size, size), unreadable


def _arrays(images: np.ndarray) -> Arrays:
    names = np.arange(len(images)).astype(str)
    return Arrays(images, np.zeros(len(images), int), names, names, np.array(["unknown"]))


def _summary(predictor: Predictor, images: np.ndarray) -> dict[str, float]:
    """Return the share of radiographs for which each class is predicted, and of those that look unlike training."""
    results = [
        result
        for start in range(0, len(images), BATCH)
        for result in predictor.predict_images(images[start : start + BATCH])
    ]
    predicted = np.mean([labels for _, labels, _ in results], axis=0) if results else np.zeros(len(predictor.classes))
    outside = float(np.mean([is_outside for *_, is_outside in results])) if results else 0.0
    return dict(zip(predictor.classes, map(float, predicted), strict=True)) | {"": outside}


def _report(adaptation, stated_share: float | None, before: dict, after: dict, out: Path) -> None:
    print(f"{adaptation.images} radiographs, whose labels were not used")
    print(f"averages: {adaptation.statistics}")
    for name, moved in adaptation.moved.items():
        if moved.doubt:
            print(f"changed: the threshold of {name}, to predict as many as before; an estimate of the share "
                  f"({moved.share:.3f}) is not used: {moved.doubt}. If you know it, add --share")  # fmt: skip
        else:
            source = "estimated" if stated_share is None else "stated"
            print(f"changed: the threshold of {name}, to predict as many as there are: {moved.share:.3f} ({source})")
    if not adaptation.moved:
        print("unchanged: thresholds; of several exclusive classes the most probable one is predicted")
    for name in [name for name in before if name]:
        print(f"predicted {name}: {before[name]:.1%} of them before, {after[name]:.1%} now")
    if before[""] > 0.1:
        print(f"CAUTION: {before['']:.0%} of them look unlike the radiographs that the model was trained on.")
    print(
        f"CAUTION: nothing was verified, because there are no labels; probabilities and error rates are not calibrated "
        f"for these radiographs. Label some patients, and compare: chest-transfer evaluate {out} TABLE --images FOLDER "
        "--image COLUMN --label COLUMN, and the same with the model as it was"
    )
    print(out)
