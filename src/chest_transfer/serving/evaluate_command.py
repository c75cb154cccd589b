"""The command `chest-transfer evaluate`: a model judged on labelled radiographs, without the pipeline."""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from chest_transfer.analysis.overlap import image_fingerprints, seen_in_training
from chest_transfer.data.arrays import Arrays, open_arrays, read_npz
from chest_transfer.data.catalog import dataset_named
from chest_transfer.data.descriptions import read_images
from chest_transfer.data.own_archive import write_own_archive
from chest_transfer.data.predictions import predictions_of
from chest_transfer.data.preprocessing import preprocess
from chest_transfer.errors import ChestTransferError
from chest_transfer.evaluation.class_matching import ModelOutputs
from chest_transfer.evaluation.external import external_scores
from chest_transfer.files import write_text
from chest_transfer.reporting.evaluation_page import evaluation_lines, evaluation_page
from chest_transfer.serving.models import model_file
from chest_transfer.serving.predictor import Predictor
from chest_transfer.settings import Evaluate, Preprocess, own_section, read_settings

if TYPE_CHECKING:
    from chest_transfer.settings import Own

ROUNDS, SEED = 1000, 1  # of the bootstrap over patients
OPTIONS = ("images", "image", "label", "separator", "patient", "view", "age", "sex", "source", "uncertain")
_MOST_UNREADABLE = 1_000_000


def evaluate(arguments) -> None:
    """Judge a model on the radiographs of the command line, and print the scores.

    Raises:
        ChestTransferError: there is no such model or table, or they do not fit together.
    """
    predictor = Predictor(model_file(arguments.model, arguments.rev), arguments.operating_point)
    name, entry = _described(arguments)
    facts, point = predictor.facts, Evaluate(operating_point=arguments.operating_point, rounds=ROUNDS, seed=SEED)
    options = Preprocess(
        fit=facts.fit, test_share=0.5, validation_share=0.5, split_seed=0, splits="archive", folders={},
        duplicates="keep", max_skipped=_MOST_UNREADABLE,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="chest-transfer-evaluate-") as folder:
        archive, target = Path(folder, "archive.zip"), Path(folder, "arrays")
        reading = write_own_archive(name, entry, archive)
        preprocess(dataset_named(name), archive, target, options, facts.image_size, 1, all_test=True)
        test, images = open_arrays(target / "test.npz"), read_images(target)
        seen, remark = _seen(test, facts.dataset)
        predictions = predictions_of(test, predictor.logits(test), facts.classes, facts.multi_label, seen)
        outputs = ModelOutputs(
            facts.classes, facts.multi_label, facts.temperature, np.array(facts.thresholds[predictor.operating_point])
        )
        scores = external_scores(outputs, predictions, test.multi_label, images, point)
    remarks = [
        f"Thresholds are those in the model's file, for {predictor.operating_point}; nothing was chosen here.",
        remark,
        *map(str, reading.problems),
    ]
    title = f"{facts.dataset}/{facts.backbone}/{facts.regime}-{facts.start}"
    if arguments.html:
        write_text(Path(arguments.html), evaluation_page(title, name, scores, remarks))
    if arguments.json:
        print(json.dumps({"model": title, "data": name, "remarks": remarks} | scores.record, indent=2))
    else:
        print("\n".join(evaluation_lines(title, name, scores, remarks)))


def _described(arguments) -> tuple[str, "Own"]:
    """Return the name and the description of the radiographs: a section under `own`, or the command line's options."""
    given = {key: value for key in OPTIONS if (value := getattr(arguments, key)) is not None}
    if Path("params.yaml").exists() and not given:
        own = read_settings().own
        if arguments.data in own:
            return arguments.data, own[arguments.data]
    if "images" not in given:
        raise ChestTransferError(
            f"'{arguments.data}' is not described under `own` in params.yaml; name a table, and its radiographs with "
            "--images FOLDER --image COLUMN --label COLUMN"
        )
    if arguments.classes:
        given["classes"] = _classes(arguments.classes)
    if "label" in given and "," in given["label"]:
        given["label"] = given["label"].split(",")
    path = Path(arguments.data)
    return path.stem, own_section(path.stem, given | {"table": str(path)})


def _classes(text: str) -> dict[str, list[str]]:
    """Return `{Normal: [no finding, ok], TB: []}` for `Normal=no finding=ok,TB`."""
    return {label: others for label, *others in (part.split("=") for part in text.split(","))}


def _seen(test: Arrays, dataset: str) -> tuple[np.ndarray | None, str]:
    """Return which radiographs the model was trained on, as far as this project knows, and a sentence on it."""
    file = Path(f"data/fingerprints/{dataset}.npz")
    if not file.exists():
        return None, f"Whether the model was trained on some of them is unknown: there is no '{file}' here."
    seen = seen_in_training({"test": image_fingerprints(test.images)}, read_npz(file))["test"]
    return seen, f"{seen.sum()} radiographs were left out, because the model was trained on them."
