"""The command `chest-transfer predict`: a table on screen, JSON or CSV, and heat maps."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
from scipy.special import entr
from tqdm import tqdm

from chest_transfer.serving.answers import SIMULATED
from chest_transfer.serving.image_files import find_images
from chest_transfer.serving.models import model_file
from chest_transfer.serving.predictor import Prediction, Predictor

UNCERTAIN = "uncertain"  # an order of predictions
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}",
                  "\N{FULLWIDTH HYPHEN-MINUS}", "\N{FULLWIDTH COMMERCIAL AT}")  # fmt: skip
MOST_SHOWN = 3  # classes of a row on screen


def predict(arguments) -> int:
    """Predict for the pictures of the command line and return how many could not be read.

    Raises:
        ChestTransferError: there is no such model, or there are no pictures.
    """
    path = model_file(arguments.model, arguments.rev)
    predictor = Predictor(path, arguments.operating_point, arguments.error_rate)
    from chest_transfer.training.determinism import use_all_threads

    use_all_threads()
    progress = tqdm(predictor.predict(find_images(arguments.images)), unit=" pictures", disable=None, leave=False)
    predictions = list(progress)
    if arguments.rank == UNCERTAIN:
        predictions.sort(key=lambda prediction: -uncertainty(prediction, predictor.multi_label))
    if arguments.json:
        _print_json(predictor, predictions)
    elif arguments.csv:
        _print_csv(predictor, predictions)
    else:
        _print_table(predictor, predictions)
    if arguments.heatmap:
        _write_heat_maps(predictor, predictions, Path(arguments.heatmap))
    return sum(bool(prediction.error) for prediction in predictions)


def uncertainty(prediction: Prediction, multi_label: bool) -> float:
    """Return the entropy of calibrated probabilities, 0-1 for two classes: labels of the largest teach most.

    That is uncertainty sampling (Lewis and Gale 1994, arXiv cmp-lg/9407020). For independent findings it is the mean of
    their entropies. -1 for a picture that could not be read.
    """
    if prediction.probabilities is None:
        return -1.0
    p = np.array(list(prediction.probabilities.values()))
    if multi_label:
        return float(np.mean(entr(p) + entr(1 - p)) / np.log(2))
    return float(entr(p / p.sum()).sum() / np.log(2))


def _print_json(predictor: Predictor, predictions: list[Prediction]) -> None:
    facts = predictor.facts.model_dump(
        include={"dataset", "backbone", "regime", "weights", "classes", "ensemble_seeds", "simulated"}
    )
    model = facts | {"operating_point": predictor.operating_point, "threshold": predictor.threshold}
    model |= {"error_rate": predictor.error_rate}
    content = {"model": model, "predictions": [prediction.record() for prediction in predictions]}
    print(json.dumps(content, indent=2))


def _print_csv(predictor: Predictor, predictions: list[Prediction]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    thresholds = _thresholds(predictor)
    writer.writerow(
        ["name", "answer", "predicted", *(f"p:{name}" for name in predictor.classes),
         *(f"threshold:{name}" for name in thresholds), "operating_point", "possible", "cautions", "error",
         "trained_on"]
    )  # fmt: skip
    trained_on = "simulated patients" if predictor.facts.simulated else predictor.facts.dataset
    for prediction in predictions:
        probabilities = [f"{value:.6f}" for value in (prediction.probabilities or {}).values()]
        probabilities = probabilities or [""] * len(predictor.classes)
        labels, possible = "|".join(prediction.labels), "|".join(prediction.possible)
        cautions = "; ".join(prediction.cautions)
        writer.writerow(
            [_no_formula(prediction.name), prediction.answer, labels, *probabilities,
             *(f"{value:.6f}" for value in thresholds.values()), predictor.operating_point, possible, cautions,
             prediction.error, trained_on]
        )  # fmt: skip


def _no_formula(name: str) -> str:
    """Return a file's name so that no spreadsheet takes it for a formula; it may come from inside an archive."""
    return f"'{name}" if name.startswith(FORMULA_STARTS) else name


def _thresholds(predictor: Predictor) -> dict[str, float]:
    """Return the threshold of the disease, or of each finding; none where the most probable class is predicted."""
    if isinstance(predictor.threshold, dict):
        return predictor.threshold
    return {} if predictor.threshold is None else {predictor.classes[1]: predictor.threshold}


def _print_table(predictor: Predictor, predictions: list[Prediction]) -> None:
    facts, threshold = predictor.facts, predictor.threshold
    networks = f", the mean of {len(facts.ensemble_seeds)} networks" if facts.ensemble_seeds else ""
    print(f"{facts.dataset}: {facts.backbone}, {facts.regime} from {facts.start}{networks}")
    if facts.simulated:
        print(f"CAUTION: {SIMULATED}")
    if isinstance(threshold, float):
        point = f"{predictor.operating_point}, chosen on validation"
        print(f"{predictor.classes[1]} is predicted from a probability of {threshold:.3f} ({point})")
    width = max((len(prediction.name) for prediction in predictions), default=0)
    for prediction in predictions:
        print(f"{prediction.name:{width}}  {_row(predictor, prediction)}")
    print("Research only: not a medical device.")


def _row(predictor: Predictor, prediction: Prediction) -> str:
    if prediction.error:
        return f"error: {prediction.error}"
    shown = list(prediction.probabilities.items())[1:]
    if len(predictor.classes) > 2:
        shown = sorted(prediction.probabilities.items(), key=lambda item: -item[1])[:MOST_SHOWN]
    probabilities = ", ".join(f"{name} {value:.3f}" for name, value in shown)
    caution = f"  CAUTION: {'; '.join(prediction.cautions)}" if prediction.cautions else ""
    return f"{prediction.answer}  ({probabilities}){caution}"


def _write_heat_maps(predictor: Predictor, predictions: list[Prediction], folder: Path) -> None:
    from chest_transfer.evaluation.figures import overlay

    folder.mkdir(parents=True, exist_ok=True)
    readable = [(number, prediction) for number, prediction in enumerate(predictions, 1) if not prediction.error]
    if not readable:
        return
    classes = [predictor.explained_class(prediction) for _, prediction in readable]
    maps = predictor.heat_maps([prediction for _, prediction in readable], classes)
    for (number, prediction), explained, heat in zip(readable, classes, maps, strict=True):
        stem = Path(prediction.name).stem or "picture"
        overlay(prediction.pixels, heat).save(folder / f"{number:04d}-{stem}-{explained}.png")
