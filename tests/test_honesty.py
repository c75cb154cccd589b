"""Leaks, shortcuts and subgroups: each planted one is found, and none on the clean set."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import encoded, make_zip, stage
from PIL import Image

from chest_transfer.data.archives import Archive
from chest_transfer.data.arrays import open_arrays, write_arrays
from chest_transfer.data.catalog import dataset_named
from chest_transfer.data.descriptions import boxes, described, read_images
from chest_transfer.data.preprocessing import preprocess
from chest_transfer.data.radiographs import decode, in_square
from chest_transfer.evaluation.exploration import explored, plots, shared_pictures
from chest_transfer.evaluation.metrics import Judged
from chest_transfer.evaluation.shortcuts import PROBES
from chest_transfer.evaluation.subgroups import subgroup_scores
from chest_transfer.phantom.archive import write_archive
from chest_transfer.reporting.cautions import WITHOUT_DISEASE
from chest_transfer.settings import read_settings

SIZE = 64


@pytest.fixture(scope="module")
def settings():
    return read_settings("params.yaml")


@pytest.fixture(scope="module")
def clean(tmp_path_factory, settings):
    """The arrays of 300 simulated children."""
    folder = tmp_path_factory.mktemp("clean")
    phantoms = settings.phantom.model_copy(update={"patients": 300, "image_size": SIZE})
    write_archive(dataset_named("pneumonia"), phantoms, folder / "pneumonia.zip", processes=2)
    preprocess(dataset_named("pneumonia"), folder / "pneumonia.zip", folder / "pneumonia", settings.preprocess, SIZE, 2)
    return folder / "pneumonia"


def copied(clean, folder, change=lambda split, columns: None):
    """The same arrays with something planted: `change` edits a split's columns in place."""
    folder.mkdir()
    for split in ("train", "val", "test"):
        arrays = open_arrays(clean / f"{split}.npz")
        columns = {
            name: np.array(getattr(arrays, name)) for name in ("images", "labels", "patients", "names", "classes")
        }
        change(split, columns)
        images = columns.pop("images")
        write_arrays(folder / f"{split}.npz", "images", "uint8", images.shape, [images], **columns)
    for name in ("summary.json", "images.csv"):
        (folder / name).write_bytes((clean / name).read_bytes())
    return folder


def told(folder, multi_label=False):
    return explored(folder, multi_label, rounds=200, seed=1)


def test_the_clean_set_has_no_leak_and_no_shortcut(clean):
    summary = told(clean)
    assert set(summary["leaks"]["patients"].values()) == {0}
    assert set(summary["leaks"]["pictures"].values()) == {0}
    assert set(summary["shortcuts"]) == set(PROBES)
    for name in WITHOUT_DISEASE:
        assert summary["shortcuts"][name]["auc_low"] < 0.6, name


def test_a_corner_mark_on_one_class_is_found_by_the_border(clean, tmp_path):
    def marked(split, columns):
        columns["images"][columns["labels"] == 1, -5:, :5] = 255

    shortcuts = told(copied(clean, tmp_path / "marked", marked))["shortcuts"]
    assert shortcuts["border"]["auc"] > 0.99
    assert shortcuts["border"]["auc_low"] > 0.98


def test_a_patient_in_two_splits_is_found(clean, tmp_path):
    someone = open_arrays(clean / "train.npz").patients[0]

    def leaked(split, columns):
        if split == "test":
            columns["patients"] = columns["patients"].astype("U40")
            columns["patients"][3] = someone

    leaks = told(copied(clean, tmp_path / "leaked", leaked))["leaks"]
    assert leaks["patients"] == {"train_val": 0, "train_test": 1, "val_test": 0}


def test_a_picture_in_two_splits_is_found_though_it_was_encoded_anew(clean, tmp_path):
    source = open_arrays(clean / "train.npz").images[5]
    other = Image.fromarray(source).resize((200, 200), Image.Resampling.BICUBIC)
    again = decode(encoded(other, "JPEG", quality=60), SIZE)

    def leaked(split, columns):
        if split == "test":
            columns["images"][2] = again

    leaks = told(copied(clean, tmp_path / "leaked", leaked))["leaks"]
    assert leaks["pictures"] == {"train_val": 0, "train_test": 1, "val_test": 0}


def test_a_radiograph_that_two_datasets_share_is_found(clean, tmp_path, settings):
    phantoms = settings.phantom.model_copy(update={"patients": 100, "image_size": SIZE})
    archive, own = tmp_path / "tuberculosis.zip", tmp_path / "tuberculosis"
    write_archive(dataset_named("tuberculosis"), phantoms, archive, processes=2)
    preprocess(dataset_named("tuberculosis"), archive, own, settings.preprocess, SIZE, 2)
    table = shared_pictures({"pneumonia": clean, "tuberculosis": own})
    assert table["also_in_other"].tolist() == [0, 0]
    source = Image.fromarray(open_arrays(clean / "train.npz").images[7])
    again = decode(encoded(source.resize((150, 150)), "JPEG", quality=70), SIZE)

    def republished(split, columns):
        if split == "test":
            columns["images"][0] = again

    table = shared_pictures({"pneumonia": clean, "tuberculosis": copied(own, tmp_path / "republished", republished)})
    found = table.set_index("dataset")
    assert found["also_in_other"].to_dict() == {"pneumonia": 1, "tuberculosis": 1}
    assert found["test_learnt_by_other"].to_dict() == {"pneumonia": 0, "tuberculosis": 1}


def test_tables_to_draw_count_every_radiograph(clean):
    files = read_images(clean)
    tables = plots(files)
    assert tables["counts"]["images"].sum() == len(files)
    assert tables["sizes"]["images"].sum() == len(files)
    assert (tables["patients"]["radiographs"] * tables["patients"]["patients"]).sum() == len(files)
    assert tables["brightness"].groupby("class")["share"].sum().round(2).tolist() == [1, 1]


def test_explore_and_overlap_write_metrics_in_the_project(project, clean):
    (project / "data/arrays").mkdir(parents=True)
    (project / "data/arrays/pneumonia").symlink_to(clean)
    stage(project, "explore", "pneumonia")
    stage(project, "overlap")
    tracked = json.loads((project / "metrics/data/pneumonia.json").read_text())
    assert tracked["files"]["NORMAL"]["modes"]["L"] > 0
    assert list(pd.read_csv(project / "metrics/plots/pneumonia/counts.csv")) == ["class", "split", "images"]
    assert list(pd.read_csv(project / "metrics/overlap.csv"))[:2] == ["dataset", "other"]


def test_simulated_boxes_lie_on_the_disease(clean):
    table = pd.read_csv(clean / "boxes.csv")
    assert set(table["finding"]) == {"PNEUMONIA"}
    assert (table[["left", "top"]] >= 0).all().all()
    assert (table[["right", "bottom"]] <= 1).all().all()
    assert len(table) > 0.9 * (read_images(clean)["labels"] == "PNEUMONIA").sum()


@pytest.mark.parametrize(
    ("fit", "expected"),
    [("squeeze", (0.25, 0.25, 0.5, 0.5)), ("pad", (0.25, 0.375, 0.5, 0.5)), ("crop", (0.0, 0.25, 0.5, 0.5))],
)
def test_a_box_follows_the_picture_into_the_square(fit, expected):
    assert in_square(50, 25, 100, 50, 200, 100, fit) == pytest.approx(expected)


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
        listing = dataset_named("nih").layout.read(archive)
        table, found = described(archive, listing.radiographs), boxes(archive, listing.radiographs)
    assert table["age"].tolist() == ["40-59", "", "0-17"]
    assert table["view"].tolist() == ["PA", "AP", ""]
    assert found.iloc[0].tolist() == ["1_0.png", "Infiltration", 5, 6, 7, 8]


def test_a_sheets_sources_are_sites_though_it_spells_names_its_own_way(tmp_path):
    sheet = pd.DataFrame({"FILE NAME": ["NORMAL-1", "NORMAL-2"], "URL": ["https://www.kaggle.com/c/rsna/data", ""]})
    sheet.to_excel(tmp_path / "sheet.xlsx", index=False)
    root = "TB_Chest_Radiography_Database"
    members = {f"{root}/Normal/Normal-{n}.png": encoded(np.full((20, 20), n, np.uint8)) for n in (1, 2)}
    members |= {f"{root}/Tuberculosis/Tuberculosis-1.png": encoded(np.full((20, 20), 9, np.uint8))}
    members |= {f"{root}/Normal.metadata.xlsx": (tmp_path / "sheet.xlsx").read_bytes()}
    with Archive(make_zip(tmp_path / "tb.zip", members)) as archive:
        listing = dataset_named("tuberculosis").layout.read(archive)
        table = described(archive, listing.radiographs)
    assert table["source"].tolist() == ["kaggle.com/c/rsna", "", ""]


def test_kinds_of_disease_are_scored_against_all_the_healthy():
    chance = np.random.default_rng(1)
    truth = np.eye(2, dtype=int)[np.repeat([0, 1], 60)]
    disease = np.clip(
        truth[:, 1] * np.r_[np.zeros(60), np.full(30, 0.6), np.full(30, 0.1)] + chance.random(120) * 0.4, 0, 1
    )
    judged = Judged(truth, np.stack([1 - disease, disease], axis=1), False, 1.0, np.array([0.5, 0.5]))
    files = pd.DataFrame({
        "subtype": np.repeat(["", "bacterial", "viral"], [60, 30, 30]), "sex": ["F", "M"] * 60,
    })  # fmt: skip
    table = subgroup_scores(judged, files, np.ones((20, 120), np.uint8)).set_index("group")
    assert table.index.tolist() == ["F", "M", "bacterial", "viral"]
    assert table.loc["bacterial", "auc"] == 1
    assert table.loc["viral", "auc"] < 0.8
    assert table.loc["bacterial", "sensitivity"] == 1
    assert np.isnan(table.loc["bacterial", "specificity"])
    assert table.loc["F", "specificity"] == 1
