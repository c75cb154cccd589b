"""Phantoms: archives in each dataset's own layout, the same bytes each time; only the lungs tell the disease."""

import io
import itertools
from collections import Counter
from multiprocessing import get_context

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.phantoms import peak_memory
from chest_transfer.data.archives import Archive
from chest_transfer.data.catalog import CATALOG
from chest_transfer.data.layouts import FINDINGS as NIH
from chest_transfer.data.radiographs import decode
from chest_transfer.phantom.archive import write_archive
from chest_transfer.phantom.cohorts import COHORTS, NIH_FINDINGS, NIH_IMAGES, nih_findings
from chest_transfer.phantom.detector import SCANNERS
from chest_transfer.phantom.findings import FINDINGS
from chest_transfer.phantom.patients import Patient, Pose
from chest_transfer.phantom.pretraining import fresh_patients
from chest_transfer.phantom.radiograph import radiograph
from chest_transfer.settings import Phantom

SETTINGS = Phantom(seed=1, patients=60, image_size=48)


def someone(seed: int, ages: tuple[int, int] = (30, 60)) -> tuple[Patient, Pose]:
    random = np.random.default_rng(seed)
    patient = Patient.random(random, ages)
    return patient, Pose.random(random, patient)


def shown(seed: int, *findings: str, severity: float = 0.9, size: int = 96):
    """The same person in the same pose and exposure, whatever the findings."""
    patient, pose = someone(seed)
    return radiograph(patient, findings, np.random.default_rng(seed), (size, size), "nih", pose, severity)


# Archives


@pytest.mark.parametrize("name", CATALOG)
def test_every_dataset_has_phantoms_that_its_own_layout_reads(name, tmp_path):
    dataset = CATALOG[name]
    write_archive(dataset, SETTINGS, tmp_path / "a.zip")
    with Archive(tmp_path / "a.zip") as archive:
        listing = dataset.layout.read(archive)
        image = decode(archive.read(listing.radiographs[0].member), 48)
    assert image.std() > 20
    labels = {label for radiograph in listing.radiographs for label in radiograph.labels}
    assert labels <= set(dataset.classes)
    if name in ("pneumonia", "tuberculosis", "covid", "mendeley"):
        assert labels == set(dataset.classes)
        assert len({radiograph.patient or radiograph.name for radiograph in listing.radiographs}) == 60


def test_the_same_settings_give_the_same_bytes_and_another_seed_others(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_archive(CATALOG["covid"], SETTINGS.model_copy(update={"seed": seed}), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != (tmp_path / "c").read_bytes()


@pytest.mark.parametrize("name", ["pneumonia", "nih"])
def test_the_number_of_processes_changes_nothing(name, tmp_path):
    for processes in (1, 2, 3):
        write_archive(CATALOG[name], SETTINGS, tmp_path / str(processes), processes)
    assert len({(tmp_path / str(processes)).read_bytes() for processes in (1, 2, 3)}) == 1


def test_datasets_show_other_people_unless_the_catalog_says_the_same(tmp_path):
    def images(name: str) -> set[bytes]:
        write_archive(CATALOG[name], SETTINGS, tmp_path / name)
        with Archive(tmp_path / name) as archive:
            return {archive.read(member) for member in archive.members if member.endswith((".png", ".jpeg"))}

    assert images("pneumonia") == images("mendeley")
    assert images("nih") == images("nih_top15")
    assert not images("tuberculosis") & images("covid")


def test_the_traps_of_the_public_archives_are_there(tmp_path):
    write_archive(CATALOG["pneumonia"], SETTINGS, tmp_path / "a.zip")
    with Archive(tmp_path / "a.zip") as archive:
        raw = archive._zip.namelist()
        listing = CATALOG["pneumonia"].layout.read(archive)
        modes = {
            (radiograph.labels[0], Image.open(io.BytesIO(archive.read(radiograph.member))).mode)
            for radiograph in listing.radiographs
        }
    assert any(name.startswith("__MACOSX/") for name in raw)
    assert any(name.endswith(".DS_Store") for name in raw)
    assert listing.left_aside["nested_copy"] > 0
    assert modes == {("NORMAL", "L"), ("PNEUMONIA", "L"), ("PNEUMONIA", "RGB")}
    assert max(Counter(radiograph.patient for radiograph in listing.radiographs).values()) > 1


def test_class_ratios_are_those_of_the_public_archive(tmp_path):
    write_archive(CATALOG["tuberculosis"], Phantom(seed=1, patients=120, image_size=32), tmp_path / "a.zip")
    with Archive(tmp_path / "a.zip") as archive:
        counts = Counter(
            radiograph.labels[0] for radiograph in CATALOG["tuberculosis"].layout.read(archive).radiographs
        )
    assert counts["Tuberculosis"] / 120 == pytest.approx(700 / 4200, abs=0.02)


def test_covid_has_masks_of_the_lungs_and_metadata_sheets(tmp_path):
    write_archive(CATALOG["covid"], Phantom(seed=1, patients=30, image_size=299), tmp_path / "a.zip")
    with Archive(tmp_path / "a.zip") as archive:
        masks = [member for member in archive.members if "/masks/" in member]
        mask = np.asarray(Image.open(io.BytesIO(archive.read(masks[0]))))
        sheet = pd.read_excel(io.BytesIO(archive.read("COVID-19_Radiography_Dataset/COVID.metadata.xlsx")))
        stems = {member.split("/")[-1].removesuffix(".png") for member in archive.members if "/COVID/images/" in member}
    assert len(masks) == 30
    assert mask.shape == (256, 256)
    assert set(np.unique(mask)) == {0, 255}
    assert 0.15 < (mask > 0).mean() < 0.6
    assert list(sheet.columns) == ["FILE NAME", "FORMAT", "SIZE", "URL"]
    assert set(sheet["FILE NAME"]) == stems


def test_nih_has_tables_with_boxes_of_test_images_only(tmp_path):
    write_archive(CATALOG["nih"], Phantom(seed=1, patients=150, image_size=64), tmp_path / "a.zip")
    with Archive(tmp_path / "a.zip") as archive:
        boxes = pd.read_csv(io.BytesIO(archive.read("BBox_List_2017.csv")), header=None, skiprows=1)
        test = set(archive.read("test_list.txt").decode().split())
        table = pd.read_csv(io.BytesIO(archive.read("Data_Entry_2017.csv")), header=None, skiprows=1)
    assert len(boxes) > 10
    assert set(boxes[0]) <= test
    assert "Infiltration" not in set(boxes[1])  # the list of boxes spells it Infiltrate
    assert (boxes[[2, 3]] >= 0).all(axis=None)
    assert (boxes[2] + boxes[4] <= 64).all()
    assert set(table[6]) == {"PA", "AP"}


def test_findings_come_as_often_and_as_often_together_as_in_nih():
    random = np.random.default_rng(0)
    drawn = [nih_findings(random) for _ in range(20_000)]
    counts = Counter(finding for findings in drawn for finding in findings)
    for finding in ("Infiltration", "Effusion", "Atelectasis", "Nodule", "Pneumothorax"):
        assert counts[finding] / len(drawn) == pytest.approx(NIH_FINDINGS[finding] / NIH_IMAGES, rel=0.15), finding
    assert sum(not findings for findings in drawn) / len(drawn) == pytest.approx(60361 / NIH_IMAGES, rel=0.03)
    together = sum({"Effusion", "Infiltration"} <= set(findings) for findings in drawn)
    assert together / len(drawn) == pytest.approx(3990 / NIH_IMAGES, rel=0.3)
    assert set(counts) == set(NIH)


def test_memory_stays_flat_in_the_number_of_patients():
    assert peak_memory(300, 32) - peak_memory(30, 32) < 30  # MB


# Radiographs


@pytest.mark.parametrize("scanner", SCANNERS)
@pytest.mark.parametrize("ages", [(1, 1), (5, 5), (18, 18), (89, 89)])
def test_any_patient_at_any_size_gives_a_whole_picture(scanner, ages):
    for seed, shape in enumerate([(32, 32), (61, 97), (128, 64)]):
        random = np.random.default_rng(seed)
        made = radiograph(Patient.random(random, ages), (), random, shape, scanner)
        assert made.pixels.shape == made.lung_mask.shape == shape
        assert made.pixels.dtype == np.uint8
        assert made.pixels.std() > 15
        assert 0.08 < made.lung_mask.mean() < 0.75


def test_the_lungs_are_darker_than_what_lies_between_and_below():
    darker = 0
    for seed in range(12):
        made = shown(seed)
        inside = made.pixels[made.lung_mask].mean()
        darker += inside < made.pixels[30:80, 44:52].mean() - 15
    assert darker >= 11


@pytest.mark.parametrize("finding", FINDINGS)
def test_every_finding_changes_the_lungs_of_the_same_exposure(finding):
    for seed in range(3):
        plain, ill = shown(seed), shown(seed, finding)
        change = np.abs(plain.pixels.astype(int) - ill.pixels)
        assert change.max() > 12, seed
    assert shown(0, finding).pixels.tobytes() == shown(0, finding).pixels.tobytes()


@pytest.mark.parametrize("finding", FINDINGS)
def test_a_severe_finding_shows_more_than_a_subtle_one(finding):
    def change(severity: float) -> float:
        pairs = [(shown(seed), shown(seed, finding, severity=severity)) for seed in range(6)]
        return float(np.mean([np.abs(a.pixels.astype(int) - b.pixels).mean() for a, b in pairs]))

    assert change(1.0) > change(0.05)


def test_a_wide_heart_is_more_than_half_the_chest_and_a_normal_one_less():
    def width(*findings: str) -> float:
        made = [shown(seed, *findings, size=128) for seed in range(8)]
        ratios = []
        for image in made:
            rows = np.flatnonzero(image.lung_mask.sum(axis=1) > 20)
            chest = max(np.ptp(np.flatnonzero(image.lung_mask[row])) for row in rows)
            # The widest gap between the lungs, from their middle to the domes.
            lower = rows[len(rows) // 2 : int(0.9 * len(rows))]
            gaps = [np.diff(np.flatnonzero(image.lung_mask[row])).max() for row in lower]
            ratios.append(max(gaps) / chest)
        return float(np.median(ratios))

    assert width("Cardiomegaly") > 0.5 > width()


def test_what_lies_beyond_a_pneumothorax_is_darker():
    for seed in range(4):
        plain, ill = shown(seed, size=128), shown(seed, "Pneumothorax", severity=1.0, size=128)
        x, y, width, height = ill.boxes["Pneumothorax"]
        darkest = [np.percentile(image.pixels[y : y + height, x : x + width], 10) for image in (plain, ill)]
        assert darkest[1] < darkest[0], seed
        assert plain.boxes == {}


def test_boxes_hold_what_a_finding_adds():
    # Not of those that move the heart or a dome as well: the picture changes everywhere.
    for finding in ("Nodule", "Mass", "Effusion", "Consolidation", "Pleural_Thickening", "Hernia"):
        for seed in range(4):
            plain, ill = shown(seed), shown(seed, finding)
            x, y, width, height = ill.boxes[finding]
            change = np.abs(plain.pixels.astype(float) - ill.pixels)
            inside = change[y : y + height, x : x + width].mean()
            assert inside > 1.3 * change.mean(), (finding, seed)


def test_fresh_patients_do_not_depend_on_the_number_of_processes():
    one, two = (fresh_patients(100, 3, 48, processes) for processes in (1, 2))
    for a, b in zip(one, two, strict=True):
        assert a.images.tobytes() == b.images.tobytes()
        assert (a.labels == b.labels).all()
    train, val = one
    assert (len(train.images), len(val.images)) == (90, 10)
    assert train.labels.sum(axis=0).min() > 0
    assert not set(train.patients) & set(val.patients)


# No cheap tell

PAIRS = [
    (name, pair)
    for name, cohort in COHORTS.items()
    for pair in itertools.combinations([tuple(findings) for _, findings in cohort.classes.values()], 2)
]  # fmt: skip
PAIRS += [("nih", ((), (finding,))) for finding in NIH]
IMAGES = 160


def _drawn(name: str, findings: tuple[str, ...], number: int) -> np.ndarray:
    cohort, random = COHORTS[name], np.random.default_rng([len(str(findings)), number])
    patient = Patient.random(random, cohort.ages_of(random))
    chosen = (findings[number % len(findings)],) if findings else ()
    return radiograph(patient, chosen, random, (64, 64), cohort.scanner_of(random)).pixels


def simple_measures(images: np.ndarray) -> dict[str, np.ndarray]:
    """What a glance without looking sees: mean, spread, histogram, and the pixels of the border."""
    border = [np.concatenate([i[:2].mean(0), i[-2:].mean(0), i[:, :2].mean(1), i[:, -2:].mean(1)]) for i in images]
    return {
        "mean": images.mean(axis=(1, 2))[:, np.newaxis],
        "standard deviation": images.std(axis=(1, 2))[:, np.newaxis],
        "histogram": np.stack([np.histogram(image, 24, (0, 256))[0] for image in images]) / 64**2,
        "border": np.stack(border).reshape(len(images), -1, 8).mean(axis=2),
    }


@pytest.fixture(scope="module")
def measures():
    kinds = sorted({(name, findings) for name, pair in PAIRS for findings in pair})
    with get_context("spawn").Pool(2) as pool:
        images = {
            kind: np.stack(pool.starmap(_drawn, [(*kind, number) for number in range(IMAGES)], chunksize=20))
            for kind in kinds
        }
    return {kind: simple_measures(found) for kind, found in images.items()}


@pytest.mark.parametrize(("name", "pair"), PAIRS, ids=lambda value: str(value).replace("'", ""))
def test_no_two_classes_are_told_apart_without_looking_at_the_lungs(measures, name, pair):
    truth = np.repeat([0, 1], IMAGES)
    for measure in measures[name, ()] if (name, ()) in measures else measures[name, pair[0]]:
        values = np.concatenate([measures[name, findings][measure] for findings in pair])
        if values.shape[1] == 1:
            auc = roc_auc_score(truth, values[:, 0])
            auc = max(auc, 1 - auc)
        else:
            model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
            auc = roc_auc_score(truth, cross_val_predict(model, values, truth, cv=5, method="predict_proba")[:, 1])
        assert auc < 0.65 + 0.04, (measure, auc)  # 0.04: the standard error at this number of images
