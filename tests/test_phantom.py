"""Phantoms: archives in each dataset's own layout, reproducible to the byte; only the lungs reveal the disease."""

import io
import itertools
from collections import Counter
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

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
from chest_transfer.data.findings import NIH_FINDINGS as NIH_CLASSES
from chest_transfer.data.listing import read_listing
from chest_transfer.data.radiographs import decode_square
from chest_transfer.phantom.archive import write_archive
from chest_transfer.phantom.cohorts import COHORTS, NIH_FINDING_COUNTS, NIH_IMAGES, nih_findings
from chest_transfer.phantom.detector import SCANNERS
from chest_transfer.phantom.findings import FINDINGS
from chest_transfer.phantom.patients import Patient, Pose
from chest_transfer.phantom.pretraining import fresh_patients
from chest_transfer.phantom.radiograph import SimulatedRadiograph, radiograph
from chest_transfer.settings import Phantom

SETTINGS = Phantom(seed=1, patients=60, image_size=48)


def sample_patient_and_pose(seed: int, ages: tuple[int, int] = (30, 60)) -> tuple[Patient, Pose]:
    rng = np.random.default_rng(seed)
    patient = Patient.random(rng, ages)
    return patient, Pose.random(rng, patient)


def simulate(seed: int, *findings: str, severity: float = 0.9, size: int = 96) -> SimulatedRadiograph:
    """A radiograph of the same patient in the same pose and exposure, whatever the findings."""
    patient, pose = sample_patient_and_pose(seed)
    return radiograph(patient, findings, np.random.default_rng(seed), (size, size), "nih", pose, severity)


# Archives


@pytest.fixture(scope="module")
def archive_of(tmp_path_factory) -> Callable[[str], Path]:
    """A function from the name of a dataset to its simulated archive, which is written once for all tests."""
    folder = tmp_path_factory.mktemp("archives")

    def archive(name: str) -> Path:
        path = folder / f"{name}.zip"
        if not path.exists():
            write_archive(CATALOG[name], SETTINGS, path)
        return path

    return archive


@pytest.mark.parametrize("name", CATALOG)
def test_each_dataset_layout_reads_its_simulated_archive(name, archive_of):
    dataset = CATALOG[name]
    with Archive(archive_of(name)) as archive:
        listing = read_listing(dataset.layout, archive)
        image = decode_square(archive.read(listing.radiographs[0].member), 48)
    assert image.std() > 20
    labels = {label for radiograph in listing.radiographs for label in radiograph.labels}
    assert labels <= set(dataset.classes)
    if name in ("pneumonia", "tuberculosis", "covid", "mendeley"):
        assert labels == set(dataset.classes)
        assert len({radiograph.patient or radiograph.name for radiograph in listing.radiographs}) == 60


def test_equal_settings_give_equal_bytes_and_another_seed_does_not(archive_of, tmp_path):
    for name, seed in (("again", 1), ("other", 2)):
        write_archive(CATALOG["covid"], SETTINGS.model_copy(update={"seed": seed}), tmp_path / name)
    first, again, other = (path.read_bytes() for path in (archive_of("covid"), tmp_path / "again", tmp_path / "other"))
    assert first == again != other


@pytest.mark.parametrize("name", ["pneumonia", "nih"])
def test_the_archive_does_not_depend_on_the_number_of_processes(name, archive_of, tmp_path):
    write_archive(CATALOG[name], SETTINGS, tmp_path / "by_three", processes=3)
    assert (tmp_path / "by_three").read_bytes() == archive_of(name).read_bytes()  # which one process wrote


def test_datasets_share_patients_only_where_the_catalog_says_so(archive_of):
    def images(name: str) -> set[bytes]:
        with Archive(archive_of(name)) as archive:
            return {archive.read(member) for member in archive.members if member.endswith((".png", ".jpeg"))}

    assert images("pneumonia") == images("mendeley")
    assert images("nih") == images("nih_top15")
    assert not images("tuberculosis") & images("covid")


def test_the_archive_has_the_pitfalls_of_the_public_one(archive_of):
    with Archive(archive_of("pneumonia")) as archive:
        raw = archive._zip.namelist()
        listing = read_listing(CATALOG["pneumonia"].layout, archive)
        modes = {
            (radiograph.labels[0], Image.open(io.BytesIO(archive.read(radiograph.member))).mode)
            for radiograph in listing.radiographs
        }
    assert any(name.startswith("__MACOSX/") for name in raw)
    assert any(name.endswith(".DS_Store") for name in raw)
    assert listing.not_used["nested_copy"] > 0
    assert modes == {("NORMAL", "L"), ("PNEUMONIA", "L"), ("PNEUMONIA", "RGB")}
    assert max(Counter(radiograph.patient for radiograph in listing.radiographs).values()) > 1


def test_class_frequencies_match_the_public_archive(tmp_path):
    write_archive(CATALOG["tuberculosis"], Phantom(seed=1, patients=120, image_size=32), tmp_path / "a.zip")
    with Archive(tmp_path / "a.zip") as archive:
        counts = Counter(
            radiograph.labels[0] for radiograph in read_listing(CATALOG["tuberculosis"].layout, archive).radiographs
        )
    assert counts["Tuberculosis"] / 120 == pytest.approx(700 / 4200, abs=0.02)


def test_covid_has_lung_masks_and_metadata_sheets(tmp_path):
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


def test_nih_has_tables_and_boxes_for_test_images_only(archive_of):
    with Archive(archive_of("nih")) as archive:
        boxes = pd.read_csv(io.BytesIO(archive.read("BBox_List_2017.csv")), header=None, skiprows=1)
        test = set(archive.read("test_list.txt").decode().split())
        table = pd.read_csv(io.BytesIO(archive.read("Data_Entry_2017.csv")), header=None, skiprows=1)
    assert len(boxes) > 10
    assert set(boxes[0]) <= test
    assert "Infiltration" not in set(boxes[1])  # NIH's list of boxes spells it Infiltrate
    assert (boxes[[2, 3]] >= 0).all(axis=None)
    assert (boxes[2] + boxes[4] <= SETTINGS.image_size).all()
    assert set(table[6]) == {"PA", "AP"}


def test_findings_and_their_combinations_are_as_frequent_as_in_nih():
    rng = np.random.default_rng(0)
    samples = [nih_findings(rng) for _ in range(20_000)]
    counts = Counter(finding for findings in samples for finding in findings)
    for finding in ("Infiltration", "Effusion", "Atelectasis", "Nodule", "Pneumothorax"):
        expected = NIH_FINDING_COUNTS[finding] / NIH_IMAGES
        assert counts[finding] / len(samples) == pytest.approx(expected, rel=0.15), finding
    assert sum(not findings for findings in samples) / len(samples) == pytest.approx(60361 / NIH_IMAGES, rel=0.03)
    together = sum({"Effusion", "Infiltration"} <= set(findings) for findings in samples)
    assert together / len(samples) == pytest.approx(3990 / NIH_IMAGES, rel=0.3)
    assert set(counts) == set(NIH_CLASSES)


def test_memory_does_not_grow_with_the_number_of_patients():
    assert peak_memory(300, 32) - peak_memory(30, 32) < 30  # MB


# Radiographs


@pytest.mark.parametrize("scanner", SCANNERS)
@pytest.mark.parametrize("ages", [(1, 1), (5, 5), (18, 18), (89, 89)])
def test_any_patient_at_any_image_size_gives_a_plausible_radiograph(scanner, ages):
    for seed, shape in enumerate([(32, 32), (61, 97), (128, 64)]):
        rng = np.random.default_rng(seed)
        simulated = radiograph(Patient.random(rng, ages), (), rng, shape, scanner)
        assert simulated.pixels.shape == simulated.lung_mask.shape == shape
        assert simulated.pixels.dtype == np.uint8
        assert simulated.pixels.std() > 15
        assert 0.08 < simulated.lung_mask.mean() < 0.75


def test_the_lungs_are_darker_than_the_mediastinum():
    darker = 0
    for seed in range(12):
        simulated = simulate(seed)
        inside = simulated.pixels[simulated.lung_mask].mean()
        darker += inside < simulated.pixels[30:80, 44:52].mean() - 15
    assert darker >= 11


@pytest.mark.parametrize("finding", FINDINGS)
def test_every_finding_changes_the_same_exposure(finding):
    for seed in range(3):
        normal, abnormal = simulate(seed), simulate(seed, finding)
        change = np.abs(normal.pixels.astype(int) - abnormal.pixels)
        assert change.max() > 12, seed
    assert simulate(0, finding).pixels.tobytes() == simulate(0, finding).pixels.tobytes()


@pytest.mark.parametrize("finding", FINDINGS)
def test_a_severe_finding_changes_more_than_a_subtle_one(finding):
    def change(severity: float) -> float:
        pairs = [(simulate(seed), simulate(seed, finding, severity=severity)) for seed in range(6)]
        return float(np.mean([np.abs(a.pixels.astype(int) - b.pixels).mean() for a, b in pairs]))

    assert change(1.0) > change(0.05)


def test_an_enlarged_heart_is_wider_than_half_the_chest_and_a_normal_one_narrower():
    def width(*findings: str) -> float:
        ratios = []
        for image in [simulate(seed, *findings, size=128) for seed in range(8)]:
            rows = np.flatnonzero(image.lung_mask.sum(axis=1) > 20)
            chest = max(np.ptp(np.flatnonzero(image.lung_mask[row])) for row in rows)
            # The widest gap between the lungs, from their middle to the domes.
            lower = rows[len(rows) // 2 : int(0.9 * len(rows))]
            gaps = [np.diff(np.flatnonzero(image.lung_mask[row])).max() for row in lower]
            ratios.append(max(gaps) / chest)
        return float(np.median(ratios))

    assert width("Cardiomegaly") > 0.5 > width()


def test_the_pleural_space_of_a_pneumothorax_is_darker():
    for seed in range(4):
        normal, abnormal = simulate(seed, size=128), simulate(seed, "Pneumothorax", severity=1.0, size=128)
        (x, y, width, height), *_ = abnormal.boxes["Pneumothorax"]
        darkest = [np.percentile(image.pixels[y : y + height, x : x + width], 10) for image in (normal, abnormal)]
        assert darkest[1] < darkest[0], seed
        assert normal.boxes == {}


def test_boxes_enclose_what_a_finding_adds():
    # Findings that move the heart or a dome are left out: they change the whole image.
    for finding in ("Nodule", "Mass", "Effusion", "Consolidation", "Pleural_Thickening", "Hernia"):
        for seed in range(4):
            normal, abnormal = simulate(seed), simulate(seed, finding)
            change = np.abs(normal.pixels.astype(float) - abnormal.pixels)
            inside = change[_inside(abnormal.boxes[finding], change.shape)].mean()
            assert inside > 1.3 * change.mean(), (finding, seed)


def test_each_opacity_of_a_pneumonia_has_a_box_of_its_own():
    for seed in range(4):
        viral = simulate(seed, "viral_pneumonia", size=128)
        columns = _inside(viral.boxes["viral_pneumonia"], viral.pixels.shape).any(axis=0)
        first, last = np.flatnonzero(columns)[[0, -1]]
        assert not columns[first:last].all(), f"seed {seed}: a box covers the mediastinum"


def _inside(boxes: list, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) bool, the union of boxes."""
    mask = np.zeros(shape, bool)
    for x, y, width, height in boxes:
        mask[y : y + height, x : x + width] = True
    return mask


def test_fresh_patients_do_not_depend_on_the_number_of_processes():
    one, two = (fresh_patients(100, 3, 48, processes, "whole", "keep") for processes in (1, 2))
    for a, b in zip(one, two, strict=True):
        assert a.images.tobytes() == b.images.tobytes()
        assert (a.labels == b.labels).all()
    train, val = one
    assert (len(train.images), len(val.images)) == (90, 10)
    assert train.labels.sum(axis=0).min() > 0
    assert not set(train.patients) & set(val.patients)


# No shortcuts

PAIRS = [
    (name, pair)
    for name, cohort in COHORTS.items()
    for pair in itertools.combinations([tuple(findings) for _, findings in cohort.classes.values()], 2)
]  # fmt: skip
PAIRS += [("nih", ((), (finding,))) for finding in NIH_CLASSES]
IMAGES = 110


def _simulate_class_image(name: str, findings: tuple[str, ...], number: int) -> np.ndarray:
    cohort, rng = COHORTS[name], np.random.default_rng([len(str(findings)), number])
    patient = Patient.random(rng, cohort.sample_age_range(rng))
    chosen = (findings[number % len(findings)],) if findings else ()
    return radiograph(patient, chosen, rng, (64, 64), cohort.sample_scanner(rng)).pixels


def simple_measures(images: np.ndarray) -> dict[str, np.ndarray]:
    """Measures that need no look at the lungs: mean, standard deviation, histogram, and the border's pixels."""
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
            kind: np.stack(
                pool.starmap(_simulate_class_image, [(*kind, number) for number in range(IMAGES)], chunksize=20)
            )
            for kind in kinds
        }
    return {kind: simple_measures(stack) for kind, stack in images.items()}


@pytest.mark.parametrize(("name", "pair"), PAIRS, ids=lambda value: str(value).replace("'", ""))
def test_no_simple_measure_separates_two_classes(measures, name, pair):
    labels = np.repeat([0, 1], IMAGES)
    for measure in measures[name, ()] if (name, ()) in measures else measures[name, pair[0]]:
        values = np.concatenate([measures[name, findings][measure] for findings in pair])
        if values.shape[1] == 1:
            auc = roc_auc_score(labels, values[:, 0])
            auc = max(auc, 1 - auc)
        else:
            model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
            auc = roc_auc_score(labels, cross_val_predict(model, values, labels, cv=5, method="predict_proba")[:, 1])
        assert auc < 0.65 + 0.04, (measure, auc)  # 0.04 is the standard error at this number of images
