"""Leaks, shortcuts and subgroups: each one that is planted is found, and none in a clean dataset."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import encoded, make_zip, stages
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.special import logit

from chest_transfer.analysis.exploration import exploration_plots, explore
from chest_transfer.analysis.overlap import shared_images
from chest_transfer.analysis.shortcuts import SCORED_SPLITS, SHORTCUTS, fit_shortcuts
from chest_transfer.data.archives import Archive
from chest_transfer.data.arrays import open_arrays, write_arrays, write_npz
from chest_transfer.data.catalog import dataset_named
from chest_transfer.data.covariates import WITHOUT_DISEASE, write_covariates
from chest_transfer.data.descriptions import read_attributes, read_box_list, read_boxes, read_images
from chest_transfer.data.fingerprints import split_fingerprints
from chest_transfer.data.listing import read_listing
from chest_transfer.data.preprocessing import preprocess
from chest_transfer.data.radiographs import decode_square
from chest_transfer.data.splits import SPLITS
from chest_transfer.data.squares import box_in_square
from chest_transfer.evaluation.calibrated_predictions import CalibratedPredictions
from chest_transfer.evaluation.subgroups import subgroup_scores
from chest_transfer.phantom.archive import write_archive
from chest_transfer.settings import read_settings

SIZE = 64


@pytest.fixture(scope="module")
def settings():
    return read_settings("params.yaml")


def simulate(name: str, folder: Path, settings, patients: int) -> Path:
    """Return the folder of arrays of simulated patients."""
    phantoms = settings.phantom.model_copy(update={"patients": patients, "image_size": SIZE})
    archive, arrays = folder / f"{name}.zip", folder / name
    write_archive(dataset_named(name), phantoms, archive, processes=2)
    preprocess(dataset_named(name), archive, arrays, settings.preprocess, SIZE, 2)
    return arrays


@pytest.fixture(scope="module")
def clean(tmp_path_factory, settings):
    """The arrays of 400 simulated children."""
    return simulate("pneumonia", tmp_path_factory.mktemp("clean"), settings, patients=400)


def copy_with(clean, folder, change=lambda split, columns: None):
    """Copy the arrays with something planted: `change` edits a split's columns in place."""
    folder.mkdir()
    for split in SPLITS:
        arrays = open_arrays(clean / f"{split}.npz")
        columns = {
            name: np.array(getattr(arrays, name)) for name in ("images", "labels", "patients", "names", "classes")
        }
        change(split, columns)
        images = columns.pop("images")
        write_arrays(folder / f"{split}.npz", "images", "uint8", images.shape, [images], **columns)
    for name in ("summary.json", "images.csv", "fingerprints.npz"):
        (folder / name).write_bytes((clean / name).read_bytes())
    return folder


def write_fingerprints(folder: Path, path: Path) -> Path:
    """Write the fingerprints of the arrays in a folder."""
    write_npz(path, split_fingerprints(folder, {split: open_arrays(folder / f"{split}.npz") for split in SPLITS}))
    return path


def summary_of(folder: Path, tmp_path: Path) -> dict:
    fingerprints = write_fingerprints(folder, tmp_path / "fingerprints.npz")
    train, *others = (open_arrays(folder / f"{split}.npz") for split in ("train", *SCORED_SPLITS))
    parts = dict(zip(SCORED_SPLITS, others, strict=True))
    covariates = fit_shortcuts(train, parts, read_images(folder))
    shortcuts = tmp_path / "shortcuts.npz"
    write_covariates(shortcuts, {split: part.names for split, part in parts.items()}, covariates)
    return explore(folder, fingerprints, shortcuts, resamples=200, seed=1)


def test_a_clean_dataset_has_no_leak_and_no_shortcut(clean, tmp_path):
    summary = summary_of(clean, tmp_path)
    assert set(summary["leaks"]["patients"].values()) == {0}
    assert set(summary["leaks"]["images"].values()) == {0}
    assert set(summary["shortcuts"]) == set(SHORTCUTS) - {"source"}  # all are of one
    for name in set(WITHOUT_DISEASE) - {"source"}:
        assert summary["shortcuts"][name]["auc_low"] < 0.6, name


def test_a_corner_mark_on_one_class_is_found_by_the_border(clean, tmp_path):
    def mark(split, columns):
        columns["images"][columns["labels"] == 1, -5:, :5] = 255

    shortcuts = summary_of(copy_with(clean, tmp_path / "marked", mark), tmp_path)["shortcuts"]
    assert shortcuts["border"]["auc"] > 0.99
    assert shortcuts["border"]["auc_low"] > 0.9


def test_blurred_radiographs_of_one_class_are_found_by_their_sharpness(clean, tmp_path):
    def blur(split, columns):
        ill = columns["labels"] == 1
        columns["images"][ill] = gaussian_filter(columns["images"][ill], (0, 0.7, 0.7))

    shortcuts = summary_of(copy_with(clean, tmp_path / "blurred", blur), tmp_path)["shortcuts"]
    assert shortcuts["sharpness"]["auc_low"] > 0.9
    assert shortcuts["noise"]["auc_low"] > 0.8
    assert shortcuts["border"]["auc_low"] < 0.8


def test_a_patient_in_two_splits_is_found(clean, tmp_path):
    patient = open_arrays(clean / "train.npz").patients[0]

    def leak(split, columns):
        if split == "test":
            columns["patients"] = columns["patients"].astype("U40")
            columns["patients"][3] = patient

    leaks = summary_of(copy_with(clean, tmp_path / "leaked", leak), tmp_path)["leaks"]
    assert leaks["patients"] == {"train_val": 0, "train_test": 1, "val_test": 0}


def test_an_image_in_two_splits_is_found_even_if_it_was_resized_and_encoded_again(clean, tmp_path):
    source = open_arrays(clean / "train.npz").images[5]
    other = Image.fromarray(source).resize((200, 200), Image.Resampling.BICUBIC)
    again = decode_square(encoded(other, "JPEG", quality=60), SIZE)

    def leak(split, columns):
        if split == "test":
            columns["images"][2] = again

    leaks = summary_of(copy_with(clean, tmp_path / "leaked", leak), tmp_path)["leaks"]
    assert leaks["images"] == {"train_val": 0, "train_test": 1, "val_test": 0}


def test_a_radiograph_that_two_datasets_share_is_found(clean, tmp_path, settings):
    own = simulate("tuberculosis", tmp_path, settings, patients=100)
    files = {
        "pneumonia": write_fingerprints(clean, tmp_path / "pneumonia.npz"),
        "tuberculosis": write_fingerprints(own, tmp_path / "tuberculosis.npz"),
    }
    assert shared_images(files)["also_in_other"].tolist() == [0, 0]
    source = Image.fromarray(open_arrays(clean / "train.npz").images[7])
    again = decode_square(encoded(source.resize((150, 150)), "JPEG", quality=70), SIZE)

    def republish(split, columns):
        if split == "test":
            columns["images"][0] = again

    write_fingerprints(copy_with(own, tmp_path / "republished", republish), files["tuberculosis"])
    found = shared_images(files).set_index("dataset")
    assert found["also_in_other"].to_dict() == {"pneumonia": 1, "tuberculosis": 1}
    assert found["test_in_training"].to_dict() == {"pneumonia": 0, "tuberculosis": 1}


def test_tables_to_draw_count_every_radiograph(clean):
    images = read_images(clean)
    tables = exploration_plots(images)
    assert tables["counts"]["images"].sum() == len(images)
    assert tables["sizes"]["images"].sum() == len(images)
    assert (tables["patients"]["radiographs"] * tables["patients"]["patients"]).sum() == len(images)
    assert tables["brightness"].groupby("class")["share"].sum().round(2).tolist() == [1, 1]


def test_explore_and_overlap_write_metrics_in_the_project(project, clean):
    (project / "data/arrays").mkdir(parents=True)
    (project / "data/arrays/pneumonia").symlink_to(clean)
    stages(project, ("profile", "pneumonia"), ("shortcuts", "pneumonia"), ("explore", "pneumonia"), ("overlap",))
    tracked = json.loads((project / "metrics/data/pneumonia.json").read_text())
    assert tracked["files"]["NORMAL"]["modes"]["L"] > 0
    assert list(pd.read_csv(project / "metrics/plots/pneumonia/counts.csv")) == ["class", "split", "images"]
    assert list(pd.read_csv(project / "metrics/overlap.csv"))[:2] == ["dataset", "other"]


def test_simulated_boxes_lie_on_the_disease(clean):
    table = read_boxes(clean)
    assert set(table["finding"]) == {"PNEUMONIA"}
    assert (table[["left", "top"]] >= 0).all().all()
    assert (table[["right", "bottom"]] <= 1).all().all()
    assert table["name"].nunique() > 0.9 * (read_images(clean)["labels"] == "PNEUMONIA").sum()


@pytest.mark.parametrize(
    ("fit", "expected"),
    [("squeeze", (0.25, 0.25, 0.5, 0.5)), ("pad", (0.25, 0.375, 0.5, 0.5)), ("crop", (0.0, 0.25, 0.5, 0.5))],
)
def test_a_box_follows_the_image_into_the_square(fit, expected):
    assert box_in_square((50, 25, 100, 50), 200, 100, fit) == pytest.approx(expected)


def test_nihs_ages_views_and_boxes_are_read(tmp_path):
    header = (
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
        "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
    )
    rows = [
        "1_0.png,Mass,0,1,058Y,M,PA,9,9,1,1,",
        "2_0.png,No Finding,0,2,414,F,AP,9,9,1,1,",
        "3_0.png,Mass,0,3,7,F,,9,9,1,1,",
    ]
    files = {f"images_001/images/{row.split(',')[0]}": encoded(np.full((20, 20), 99, np.uint8)) for row in rows}
    tables = {
        "Data_Entry_2017.csv": "\n".join([header, *rows]),
        "BBox_List_2017.csv": "Image Index,Finding Label,Bbox [x,y,w,h],,,\n1_0.png,Infiltrate,5.0,6.0,7.0,8.0,,,\n",
        "test_list.txt": "1_0.png",
        "train_val_list.txt": "2_0.png\n3_0.png",
    }
    with Archive(make_zip(tmp_path / "nih.zip", files | tables)) as archive:
        listing = read_listing(dataset_named("nih").layout, archive)
        attributes, boxes = (read(archive, listing.radiographs) for read in (read_attributes, read_box_list))
    assert attributes["age"].tolist() == ["40-59", "", "0-17"]
    assert attributes["view"].tolist() == ["PA", "AP", ""]
    assert boxes.iloc[0].tolist() == ["1_0.png", "Infiltration", 5, 6, 7, 8]


def test_the_sources_in_a_metadata_sheet_are_found_though_it_writes_names_in_capitals(tmp_path):
    sheet = pd.DataFrame({"FILE NAME": ["NORMAL-1", "NORMAL-2"], "URL": ["https://www.kaggle.com/c/rsna/data", ""]})
    sheet.to_excel(tmp_path / "sheet.xlsx", index=False)
    root = "TB_Chest_Radiography_Database"
    members = {f"{root}/Normal/Normal-{n}.png": encoded(np.full((20, 20), n, np.uint8)) for n in (1, 2)}
    members |= {f"{root}/Tuberculosis/Tuberculosis-1.png": encoded(np.full((20, 20), 9, np.uint8))}
    members |= {f"{root}/Normal.metadata.xlsx": (tmp_path / "sheet.xlsx").read_bytes()}
    with Archive(make_zip(tmp_path / "tb.zip", members)) as archive:
        listing = read_listing(dataset_named("tuberculosis").layout, archive)
        attributes = read_attributes(archive, listing.radiographs)
    assert attributes["source"].tolist() == ["kaggle.com/c/rsna", "", ""]


def test_kinds_of_disease_are_scored_against_all_healthy_patients():
    rng = np.random.default_rng(1)
    labels = np.eye(2, dtype=int)[np.repeat([0, 1], 60)]
    # Bacterial pneumonia has a higher probability than any healthy patient, viral pneumonia hardly a higher one.
    probability = rng.random(120) * 0.4 + np.r_[np.zeros(60), np.full(30, 0.5999), np.full(30, 0.1)]
    logits = np.stack([np.zeros(120), logit(probability)], axis=1)
    thresholds = np.array([0.5, 0.5])
    predictions = CalibratedPredictions(labels, logits, ["NORMAL", "PNEUMONIA"], False, 1.0, thresholds)
    images = pd.DataFrame({
        "subtype": np.repeat(["", "bacterial", "viral"], [60, 30, 30]), "sex": ["F", "M"] * 60,
    })  # fmt: skip
    table = subgroup_scores([predictions], images, np.ones((20, 120), np.uint8)).set_index("group")
    assert table.index.tolist() == ["F", "M", "bacterial", "viral"]
    assert table.loc["bacterial", "auc"] == 1
    assert table.loc["viral", "auc"] < 0.8
    assert table.loc["bacterial", "sensitivity"] == 1
    assert np.isnan(table.loc["bacterial", "specificity"])
    assert table.loc["F", "specificity"] == 1
