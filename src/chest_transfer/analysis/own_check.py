"""Checking one's own radiographs before anything is trained: what was read, and all that should be mended or known."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import norm

from chest_transfer.data.arrays import Arrays, open_arrays
from chest_transfer.data.catalog import dataset_named
from chest_transfer.data.descriptions import ATTRIBUTES, read_images
from chest_transfer.data.fingerprints import SAME_IMAGE, image_fingerprints
from chest_transfer.data.own_archive import write_own_archive
from chest_transfer.data.own_record import SHOWN, Problem
from chest_transfer.data.preprocessing import preprocess
from chest_transfer.data.splits import SPLITS
from chest_transfer.errors import ChestTransferError
from chest_transfer.evaluation.intervals import FEW_PATIENTS
from chest_transfer.evaluation.out_of_distribution import fit_out_of_distribution

if TYPE_CHECKING:
    from chest_transfer.settings import Settings

SIZE = 64  # pixels a side: enough for duplicates and for what is no chest radiograph
FEWEST_TO_LEARN = 20  # patients of a class in training
MANY_OF_ONE, MANY_SHARE = 10, 0.1  # radiographs of one patient, and their share of all
POWER, SIGNIFICANCE = 0.8, 0.05
ASSUMED_AREA, ASSUMED_CORRELATION = 0.8, 0.5  # of two models' areas on the same patients
_FAR = 3.0  # interquartile ranges above the upper quartile: Tukey's "far out"


@dataclass(frozen=True)
class Check:
    """The result of a check.

    Args:
        counts: DataFrame of radiographs by class and split, and of patients by class.
        attributes: dict of Series, how many radiographs have each sex, age, view and source.
        radiographs: int.
        patients: int.
        without_patient: int, radiographs whose patient is unknown.
        detectable: float, the smallest difference of two AUCs that the test split would show; NaN for several classes.
        problems: list of Problem, to be mended.
        notes: list of Problem, to be looked at; of typical data too, one image in a hundred looks unlike the others.
    """

    counts: pd.DataFrame
    attributes: dict[str, pd.Series]
    radiographs: int
    patients: int
    without_patient: int
    detectable: float
    problems: list[Problem]
    notes: list[Problem]


def check_own(name: str, settings: "Settings") -> Check:
    """Read a dataset of one's own as the pipeline will, and look for what should be mended or known.

    Args:
        name: str, a key of `own` in the settings.
        settings: Settings.

    Raises:
        ChestTransferError: it cannot be read at all.
    """
    with tempfile.TemporaryDirectory(prefix="chest-transfer-check-") as folder:
        archive, target = Path(folder, "archive.zip"), Path(folder, "arrays")
        reading = write_own_archive(name, settings.own[name], archive)
        try:
            summary = preprocess(dataset_named(name), archive, target, settings.preprocess, SIZE, settings.threads)
        except ChestTransferError as error:
            found = [f"; {problem}" for problem in reading.problems]  # they are often why
            raise ChestTransferError(str(error).replace(str(archive), name) + "".join(found)) from None
        images = read_images(target)
        splits = {split: open_arrays(target / f"{split}.npz") for split in SPLITS}
        problems = [*reading.problems, *_unreadable(summary), *_unusual(images)]
        problems += _copies(splits, images)
        problems += _left_out(summary)
        notes = [*reading.notes, *_outliers(splits), *_small_classes(images, reading.classes)]
        notes += _large_patients(images)
    counts = pd.DataFrame(summary["classes"]).assign(patients=_patients_by_class(images, reading.classes))
    attributes = {
        column: images.loc[images[column] != "", column].value_counts() for column in ATTRIBUTES if column in images
    }
    return Check(
        counts, attributes, len(images), images["patient"].nunique(), summary["without_patient_id"],
        _detectable(images[images["split"] == "test"], reading.classes, reading.multi_label), problems, notes,
    )  # fmt: skip


def lines_of(name: str, check: Check) -> list[str]:
    """Return a check as lines for the screen."""
    lines = [f"{name}: {check.radiographs} radiographs of {check.patients} patients", "", str(check.counts), ""]
    if check.without_patient:
        lines.append(
            f"The patient of {check.without_patient} radiographs is unknown: each counts as a patient of its own, so "
            "that two of one person may lie in training and in the test."
        )
    for attribute, counts in check.attributes.items():
        lines.append(f"{attribute}: " + ", ".join(f"{value} {count}" for value, count in counts.items()))
    if np.isfinite(check.detectable):
        lines.append(
            f"The test split shows a difference between two models' AUCs of {check.detectable:.2f} or more in "
            f"{POWER:.0%} of cases (around an AUC of {ASSUMED_AREA}); smaller gains will look like chance."
        )
    for title, found in (("To look at:", check.notes), ("To mend:", check.problems)):
        lines += ["", title] if found else []
        for problem in found:
            lines.append(f"- {problem.in_short}")
            lines += [f"    {example}" for example in problem.examples[:SHOWN]]
    return lines if check.problems else [*lines, "", "Nothing to mend."]


def _unreadable(summary: dict) -> list[Problem]:
    reasons = {kind: count for kind, count in summary["skipped"].items() if kind != "total"}
    found = tuple(f"{kind}: {count}" for kind, count in reasons.items())
    return (
        [Problem("kinds of images that cannot be read", found, "replace or remove those named above")] if found else []
    )


def _left_out(summary: dict) -> list[Problem]:
    """Return radiographs that are in no split, because their patients are in two."""
    count = summary["leaked_into_official_test"]
    what = "radiographs that are left out, because their patients are in the test or validation split as well"
    return [Problem(what, (f"{count} radiographs",), "correct the column of splits")] if count else []


def _large_patients(images: pd.DataFrame) -> list[Problem]:
    """Return patients with so many radiographs that they may be several: placeholders of an anonymizer, for example."""
    counts = images["patient"].value_counts()
    large = counts[(counts > MANY_OF_ONE) & (counts > MANY_SHARE * len(images))]
    found = tuple(f"{patient}: {count} radiographs" for patient, count in large.items())
    remedy = "look whether they are one person: all of a patient's radiographs are in one split"
    return [Problem("patients with very many radiographs", found, remedy)] if found else []


def _unusual(images: pd.DataFrame) -> list[Problem]:
    """Return what DICOM files state that is unusual for a frontal chest radiograph."""
    if "unusual" not in images:
        return []
    stated = images["unusual"].str.split("|").explode()
    found = {what: tuple(rows.index) for what, rows in stated.groupby(stated) if what}
    return [Problem(what, names, "look at them") for what, names in sorted(found.items())]


def _outliers(splits: dict[str, Arrays]) -> list[Problem]:
    """Return the images that are far from the others in the out-of-distribution score."""
    images = np.concatenate([part.images for part in splits.values()])
    names = np.concatenate([part.names for part in splits.values()])
    with np.errstate(invalid="ignore"):  # empty images have an infinite score
        scores = fit_out_of_distribution(images, images).score(images)
    lower, upper = np.quantile(scores[np.isfinite(scores)], [0.25, 0.75])
    rows = np.flatnonzero(scores > upper + _FAR * (upper - lower))
    found = tuple(str(name) for name in names[rows[np.argsort(-scores[rows], kind="stable")]])
    remedy = "look at them: lateral views, negatives, photographs and empty images do not belong here"
    return [Problem("images that look unlike the others", found, remedy)] if found else []


def _copies(splits: dict[str, Arrays], images: pd.DataFrame) -> list[Problem]:
    """Return pairs of images that show the same radiograph and have different labels, or different patients."""
    names = np.concatenate([part.names for part in splits.values()])
    prints = np.concatenate([image_fingerprints(part.images) for part in splits.values()])
    rows = images.loc[names]
    labels, patients = rows["labels"].to_numpy(str), rows["patient"].to_numpy(str)
    is_unknown = rows["unknown"].to_numpy(str) != "" if "unknown" in rows else np.zeros(len(rows), bool)
    contradictory, twice = [], []
    for row, fingerprint in enumerate(prints):
        for other in row + 1 + np.flatnonzero(prints[row + 1 :] @ fingerprint > SAME_IMAGE):
            pair = f"{names[row]} ({labels[row] or 'nothing'}) and {names[other]} ({labels[other] or 'nothing'})"
            if labels[row] != labels[other] and not (is_unknown[row] or is_unknown[other]):
                contradictory.append(pair)
            elif patients[row] != patients[other]:
                twice.append(pair)
    problems = {
        "pairs of one radiograph with different labels": (contradictory, "correct the table"),
        "pairs of one radiograph under two patients": (twice, "they leak from training into the test: remove one"),
    }
    return [Problem(what, tuple(found), remedy) for what, (found, remedy) in problems.items() if found]


def _patients_by_class(images: pd.DataFrame, classes: tuple[str, ...], split: str = "") -> dict[str, int]:
    rows = images[images["split"] == split] if split else images
    has_class = {
        label: rows["labels"].str.split("|").map(lambda labels, label=label: label in labels) for label in classes
    }
    return {label: rows.loc[has_class[label], "patient"].nunique() for label in classes}


def _small_classes(images: pd.DataFrame, classes: tuple[str, ...]) -> list[Problem]:
    few = {
        "classes with too few patients to learn from": ("train", FEWEST_TO_LEARN),
        "classes with too few patients for a narrow interval": ("test", FEW_PATIENTS),
    }
    problems = []
    for what, (split, fewest) in few.items():
        patients = _patients_by_class(images, classes, split)
        found = tuple(f"{label}: {count} ({fewest} or more)" for label, count in patients.items() if count < fewest)
        if found:
            problems.append(Problem(what, found, "add patients, or join classes"))
    return problems


def _detectable(test: pd.DataFrame, classes: tuple[str, ...], multi_label: bool) -> float:
    """Return the smallest difference of two models' areas that a test of this size finds in `POWER` of cases.

    Variances by Hanley and McNeil (Radiology 143, 1982, 29-36), of a difference on the same patients by their second
    paper (Radiology 148, 1983, 839-843); NaN where there are several classes.
    """
    if multi_label or len(classes) != 2:
        return float("nan")
    healthy, ill = (test.loc[test["labels"] == label, "patient"].nunique() for label in classes)
    if min(healthy, ill) < 2:
        return float("nan")
    area, q1, q2 = ASSUMED_AREA, ASSUMED_AREA / (2 - ASSUMED_AREA), 2 * ASSUMED_AREA**2 / (1 + ASSUMED_AREA)
    variance = area * (1 - area) + (ill - 1) * (q1 - area**2) + (healthy - 1) * (q2 - area**2)
    deviation = np.sqrt(2 * (1 - ASSUMED_CORRELATION) * variance / (ill * healthy))
    return float((norm.ppf(1 - SIGNIFICANCE / 2) + norm.ppf(POWER)) * deviation)
