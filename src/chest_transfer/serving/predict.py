"""The command predict: a table on screen, JSON or CSV, and heat maps."""

import csv
import json
import os
import sys
from pathlib import Path

from tqdm import tqdm

from chest_transfer.serving.models import model_file
from chest_transfer.serving.pictures import pictures
from chest_transfer.serving.predicting import Prediction, Predictor


def predict(asked) -> int:
    """Predict what the command line asks; how many pictures could not be read.

    Raises:
        ChestTransferError: no such model or pictures.
    """
    path = model_file(asked.model, asked.rev)
    predictor = Predictor(path, asked.operating_point)
    from chest_transfer.training.determinism import pin

    pin(seed=0, threads=os.cpu_count() or 1)
    hidden = not sys.stderr.isatty()
    told = list(tqdm(predictor.predict(pictures(asked.images)), unit=" pictures", disable=hidden, leave=False))
    if asked.json:
        _json(predictor, told)
    elif asked.csv:
        _csv(predictor, told)
    else:
        _table(predictor, told)
    if asked.heatmap:
        _heat_maps(predictor, told, Path(asked.heatmap))
    return sum(bool(prediction.error) for prediction in told)


def _json(predictor: Predictor, told: list[Prediction]) -> None:
    facts = {key: predictor.facts[key] for key in ("dataset", "backbone", "regime", "weights", "classes")}
    model = facts | {"operating_point": predictor.point, "threshold": predictor.threshold}
    content = {"model": model, "predictions": [prediction.record() for prediction in told]}
    print(json.dumps(content, indent=2))


def _csv(predictor: Predictor, told: list[Prediction]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["name", "called", *(f"p:{name}" for name in predictor.classes), "cautions", "error"])
    for prediction in told:
        values = [f"{value:.6f}" for value in (prediction.probabilities or {}).values()]
        values = values or [""] * len(predictor.classes)
        cautions = "; ".join(prediction.cautions)
        writer.writerow([prediction.name, "|".join(prediction.called), *values, cautions, prediction.error])


def _table(predictor: Predictor, told: list[Prediction]) -> None:
    facts, threshold = predictor.facts, predictor.threshold
    print(f"{facts['dataset']}: {facts['backbone']}, {facts['regime']} from {facts['weights']}")
    if isinstance(threshold, float):
        print(f"{predictor.classes[1]} is called from {threshold:.3f} ({predictor.point}, chosen on validation)")
    width = max((len(prediction.name) for prediction in told), default=0)
    for prediction in told:
        if prediction.error:
            print(f"{prediction.name:{width}}  error: {prediction.error}")
            continue
        shown = sorted(prediction.probabilities.items(), key=lambda item: -item[1])[:3]
        if len(predictor.classes) == 2:
            shown = list(prediction.probabilities.items())[1:]
        figures = ", ".join(f"{name} {value:.3f}" for name, value in shown)
        called = " and ".join(prediction.called) or "nothing called"
        caution = f"  CAUTION: {'; '.join(prediction.cautions)}" if prediction.cautions else ""
        print(f"{prediction.name:{width}}  {called}  ({figures}){caution}")
    print("Research only: not a medical device.")


def _heat_maps(predictor: Predictor, told: list[Prediction], folder: Path) -> None:
    from chest_transfer.evaluation.figures import laid_over

    folder.mkdir(parents=True, exist_ok=True)
    drawn = [(number, one, predictor.explained(one)) for number, one in enumerate(told, 1) if not one.error]
    if not drawn:
        return
    maps = predictor.heat_maps([one for _, one, _ in drawn], [explained for _, _, explained in drawn])
    for (number, one, explained), heat in zip(drawn, maps, strict=True):
        laid_over(one.pixels, heat).save(folder / f"{number:04d}-{Path(one.name).stem or 'picture'}-{explained}.png")
