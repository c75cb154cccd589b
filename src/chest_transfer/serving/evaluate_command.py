"""The command `chest-transfer evaluate`: a model judged on labelled radiographs, without the pipeline."""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from chest_transfer.data.arrays import Arrays, open_arrays, read_npz
from chest_transfer.data.catalog import Dataset
from chest_transfer.data.descriptions import read_images
from chest_transfer.data.fingerprints import is_in, split_fingerprints
from chest_transfer.data.layouts import Prepared
from chest_transfer.data.own_archive import write_own_archive
from chest_transfer.data.own_record import OwnReading
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
    if arguments.html and Path(arguments.html).is_dir():
        raise ChestTransferError(f"'{arguments.html}' is a folder; name a file: --html page.html")
    predictor = Predictor(model_file(arguments.model, arguments.rev), arguments.operating_point)
    name, entry = _described(arguments)
    facts = predictor.facts
    point = Evaluate(operating_point=arguments.operating_point, error_rate=0.1, rounds=ROUNDS, seed=SEED)
    options = Preprocess(
        fit=facts.fit, region=facts.region, outside_lungs=facts.outside_lungs, test_share=0.5, validation_share=0.5,
        split_seed=0, splits="archive", folders={}, duplicates="keep", max_skipped=_MOST_UNREADABLE,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="chest-transfer-evaluate-") as folder:
        archive, target = Path(folder, "archive.zip"), Path(folder, "arrays")
        reading = _packed(name, entry, archive, arguments.images is not None)
        dataset = Dataset(name, None, Prepared(), ())
        summary = preprocess(dataset, archive, target, options, facts.image_size, 1, True, predictor.lungs)
        test, images = open_arrays(target / "test.npz"), read_images(target)
        is_file = Path(arguments.model).is_file()
        is_of_this_folder = arguments.rev is None and (not is_file or Path(arguments.model).parts[0] == "models")
        seen, remark = _seen(target, test, facts.dataset, is_of_this_folder)
        predictions = predictions_of(test, predictor.logits(test), facts.classes, facts.multi_label, seen)
        outputs = ModelOutputs(
            facts.classes,
            facts.multi_label,
            facts.temperature,
            np.array(facts.thresholds[predictor.operating_point]),
            facts.validation,
            is_adapted=facts.regime == "adapted",
        )
        scores = external_scores(outputs, predictions, test.multi_label, images, point)
    remarks = [
        f"Thresholds are those in the model's file, for {predictor.operating_point}; nothing was chosen here.",
        remark,
        *(problem.in_short for problem in (*reading.problems, *reading.notes)),
    ]
    if unreadable := summary["skipped"]["total"]:
        remarks.append(f"images that cannot be read: {unreadable}; they are left out")
    title = f"{facts.dataset}/{facts.backbone}/{facts.regime}-{facts.start}"
    if arguments.html:
        write_text(Path(arguments.html), evaluation_page(title, name, scores, remarks))
    if arguments.json:
        print(json.dumps({"model": title, "data": name, "remarks": remarks} | scores.record, indent=2))
    else:
        print("\n".join(evaluation_lines(title, name, scores, remarks)))


def _packed(name: str, entry: "Own", archive: Path, is_of_options: bool) -> OwnReading:
    """Write the archive of the radiographs; errors name the options of the command line where these describe them."""
    try:
        return write_own_archive(name, entry, archive)
    except ChestTransferError as error:
        if not is_of_options:
            raise
        text = str(error).replace(f"own.{name}.", "--").replace(f"own.{name}", "the options")
        raise ChestTransferError(
            text.replace("`table` in params.yaml", "the path").replace(" in params.yaml", "")
        ) from None


def _described(arguments) -> tuple[str, "Own"]:
    """Return the name and the description of the radiographs: a section under `own`, or the command line's options."""
    given = {key: value for key in OPTIONS if (value := getattr(arguments, key)) is not None}
    own = read_settings().own if Path("params.yaml").exists() else {}
    if arguments.data in own:
        if given:
            raise ChestTransferError(
                f"'{arguments.data}' is described under `own` in params.yaml; change it there, without "
                f"{', '.join(f'--{key}' for key in given)}"
            )
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
    parts = [[word.strip() for word in part.split("=")] for part in text.split(",")]
    return {label: others for label, *others in parts}


def _seen(folder: Path, test: Arrays, dataset: str, is_of_this_folder: bool) -> tuple[np.ndarray | None, str]:
    """Return which radiographs are of the model's dataset, as far as this project knows, and a sentence on it."""
    file = Path(f"data/fingerprints/{dataset}.npz")
    if not (is_of_this_folder and file.exists()):
        return None, "Whether the model was trained on some of them is unknown: it is not of the data in this folder."
    seen = is_in(split_fingerprints(folder, {"test": test})["test"], read_npz(file))
    return seen, f"{seen.sum()} of them are also in {dataset}; their patients were left out."
