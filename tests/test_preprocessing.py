"""From an archive to arrays: streams, memory maps, counts of what was not used, and nothing half-written."""

import json
import random
import zipfile
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded, grey, make_zip, stage

from chest_transfer.data import decoding
from chest_transfer.data.arrays import open_arrays, write_arrays
from chest_transfer.data.catalog import CATALOG
from chest_transfer.data.descriptions import read_images
from chest_transfer.data.preprocessing import preprocess
from chest_transfer.data.splits import SPLITS
from chest_transfer.errors import ChestTransferError
from chest_transfer.settings import read_settings

SETTINGS = read_settings().preprocess.model_copy(update={"max_skipped": 3})


ROOT = "TB_Chest_Radiography_Database"


def tuberculosis(count: int = 40) -> dict[str, bytes]:
    """The members of an archive: so many radiographs of each class, each of its own gray level."""
    members = {f"{ROOT}/Normal/Normal-{n}.png": grey(n) for n in range(count)}
    return members | {f"{ROOT}/Tuberculosis/Tuberculosis-{n}.png": grey(1000 + n) for n in range(count)}


@pytest.fixture
def small_archives_in_several_processes(monkeypatch):
    """An archive of a few radiographs is decoded by several processes, as a large one is."""
    monkeypatch.setattr(decoding, "IMAGES_PER_PROCESS", 20)


def arrays_of(tmp_path: Path, members: dict, dataset: str = "tuberculosis", processes: int = 2, **changes):
    archive = make_zip(tmp_path / "in.zip", members)
    target = tmp_path / "out"
    settings = SETTINGS.model_copy(update=changes)
    return target, preprocess(CATALOG[dataset], archive, target, settings, 32, processes)


def test_the_arrays_contain_the_images_of_the_archive(tmp_path):
    target, summary = arrays_of(tmp_path, tuberculosis())
    assert summary["images"] == {"train": 48, "val": 8, "test": 24}
    assert summary["classes"]["test"] == {"Normal": 12, "Tuberculosis": 12}
    assert summary["without_patient_id"] == 80
    names = []
    for split in ("train", "val", "test"):
        arrays = open_arrays(target / f"{split}.npz")
        assert isinstance(arrays.images, np.memmap)
        assert arrays.images.shape == (summary["images"][split], 32, 32)
        assert arrays.images.dtype == np.uint8
        assert arrays.classes.tolist() == ["Normal", "Tuberculosis"]
        for image, label, name in zip(arrays.images, arrays.labels, arrays.names, strict=True):
            kind, number = name.removesuffix(".png").split("/")[1].split("-")
            assert kind == arrays.classes[label]
            assert abs(int(image.mean()) - ((int(number) + 1000 * label) % 200 + 20)) < 5
        names += arrays.names.tolist()
    assert len(set(names)) == 80


def test_numpy_reads_the_files_without_pickles(tmp_path):
    target, _ = arrays_of(tmp_path, tuberculosis())
    with np.load(target / "val.npz", allow_pickle=False) as members:
        assert sorted(members) == ["classes", "images", "labels", "names", "patients"]
        assert (members["images"] == open_arrays(target / "val.npz").images).all()


@pytest.mark.usefixtures("small_archives_in_several_processes")
def test_neither_the_order_of_files_nor_the_number_of_processes_changes_the_result(tmp_path):
    members = tuberculosis()
    shuffled = list(members.items())
    random.Random(1).shuffle(shuffled)
    first, _ = arrays_of(tmp_path / "a", members, processes=1)
    second, _ = arrays_of(tmp_path / "b", dict(shuffled), processes=3)
    for name in ("train.npz", "val.npz", "test.npz", "summary.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_multi_label_arrays(tmp_path):
    from test_layouts import nih

    findings = ["No Finding", "Mass|Nodule", "Hernia"]
    rows = [f"{n:08d}_000.png,{findings[n % 3]},0,{n},50,M,PA,1,1,1,1," for n in range(1, 61)]
    members = nih(rows)
    members["test_list.txt"] = "\n".join(row[:16] for row in rows[:12])
    members["train_val_list.txt"] = "\n".join(row[:16] for row in rows[12:])
    target, summary = arrays_of(tmp_path, members, "nih")
    test = open_arrays(target / "test.npz")
    assert test.labels.shape == (12, 14)
    assert test.labels.dtype == np.int8
    assert dict(zip(test.classes, test.labels.sum(axis=0), strict=True))["Nodule"] == 4
    assert summary["official_test"] is True
    assert "Data_Entry_2017.csv" in summary["tables"]


def test_unreadable_images_are_skipped_counted_and_named(tmp_path):
    members = tuberculosis()
    noise = np.random.default_rng(0).integers(0, 255, (99, 99), np.uint8)
    members["TB_Chest_Radiography_Database/Normal/Normal-1.png"] = encoded(noise)[:-500]
    members["TB_Chest_Radiography_Database/Normal/Normal-2.png"] = b"no image"
    _, summary = arrays_of(tmp_path, members)
    assert summary["skipped"] == {"truncated": 1, "broken": 1, "total": 2}
    assert set(summary["skipped_images"]) == {"Normal/Normal-1.png", "Normal/Normal-2.png"}
    assert sum(summary["images"].values()) == 78


@pytest.mark.usefixtures("small_archives_in_several_processes")
def test_more_unreadable_images_than_allowed_are_an_error_that_leaves_nothing(tmp_path):
    members = tuberculosis()
    for number in range(5):
        members[f"TB_Chest_Radiography_Database/Normal/Normal-{number}.png"] = b"no image"
    with pytest.raises(ChestTransferError, match=r"more than 3 images .* are unreadable, .* preprocess.max_skipped"):
        arrays_of(tmp_path, members)
    assert [path.name for path in tmp_path.iterdir()] == ["in.zip"]


def test_an_archive_without_a_readable_image_is_refused_in_one_line(tmp_path):
    members = dict.fromkeys(tuberculosis(1), b"no image")
    with pytest.raises(ChestTransferError, match=r"no readable image .* fetch the archive again"):
        arrays_of(tmp_path, members)
    assert [path.name for path in tmp_path.iterdir()] == ["in.zip"]


def splits_of(target: Path) -> dict[str, str]:
    """The split of each radiograph in the arrays."""
    return {str(name): split for split in SPLITS for name in open_arrays(target / f"{split}.npz").names}


def with_copies(copies: dict[int, int]) -> dict[str, bytes]:
    """An archive in which some normal radiographs are copies: number of the copy -> number of the original."""
    members = tuberculosis()
    for copy, original in copies.items():
        members[f"{ROOT}/Normal/Normal-{copy}.png"] = members[f"{ROOT}/Normal/Normal-{original}.png"]
    return members


def test_duplicates_that_are_kept_are_counted_and_in_one_split(tmp_path):
    target, summary = arrays_of(tmp_path, with_copies({7: 3, 8: 3, 31: 30}), duplicates="keep")
    assert summary["duplicates"] == 3
    assert summary["duplicates_left_out"] == 0
    assert sum(summary["images"].values()) == 80
    assert sum(summary["patients"].values()) == 77
    split_of = splits_of(target)
    assert len(split_of) == 80
    assert len({split_of[f"Normal/Normal-{number}.png"] for number in (3, 7, 8)}) == 1
    assert split_of["Normal/Normal-30.png"] == split_of["Normal/Normal-31.png"]


def test_of_duplicates_that_are_dropped_the_first_remains(tmp_path):
    target, summary = arrays_of(tmp_path, with_copies({7: 3, 8: 3, 31: 30}), duplicates="drop")
    assert summary["duplicates"] == 3
    assert summary["duplicates_left_out"] == 3
    assert summary["leaked_into_official_test"] == 0
    assert sum(summary["images"].values()) == 77
    assert sum(summary["patients"].values()) == 77
    split_of = splits_of(target)
    dropped = {f"Normal/Normal-{number}.png" for number in (7, 8, 31)}
    assert not dropped & split_of.keys()
    assert {"Normal/Normal-3.png", "Normal/Normal-30.png"} <= split_of.keys()
    files = read_images(target)  # a row for each readable image; the split of a dropped one is empty
    assert len(files) == 80
    assert set(files.index[files["split"] == ""]) == dropped
    assert files.loc[list(split_of), "split"].to_dict() == split_of


def children() -> dict[str, bytes]:
    """The members of an archive with an official split: forty children in train and forty in test."""
    members = {}
    for number, (split, kind) in enumerate(product(("train", "test"), ("NORMAL", "PNEUMONIA"))):
        for child in range(20):
            stem = f"{'NORMAL' if kind == 'NORMAL' else 'VIRUS'}-{100 * number + child}-0001"
            members[f"chest_xray/{split}/{kind}/{stem}.jpeg"] = grey(100 * number + child)
    return members


@pytest.mark.parametrize(("duplicates", "left_out", "leaked"), [("keep", 0, 2), ("drop", 2, 1)])
def test_dropped_duplicates_and_leaks_into_an_official_test_split_are_counted_apart(
    tmp_path, duplicates, left_out, leaked
):
    members, train = children(), "chest_xray/train/NORMAL/NORMAL"
    members[f"{train}-3-0001.jpeg"] = members[f"{train}-2-0001.jpeg"]
    # A child with two radiographs, of which one is in the test split too, under another name.
    members[f"{train}-1-0002.jpeg"] = grey(777)
    members[f"{train}-1-0001.jpeg"] = members["chest_xray/test/NORMAL/NORMAL-205-0001.jpeg"]
    target, summary = arrays_of(tmp_path, members, "pneumonia", duplicates=duplicates)
    assert summary["duplicates"] == 2
    assert summary["duplicates_left_out"] == left_out
    assert summary["leaked_into_official_test"] == leaked
    assert summary["images"]["test"] == 40
    assert sum(summary["images"].values()) == 81 - left_out - leaked
    split_of = splits_of(target)
    assert split_of["test/NORMAL/NORMAL-205-0001.jpeg"] == "test"
    assert not {f"train/NORMAL/NORMAL-1-000{number}.jpeg" for number in (1, 2)} & split_of.keys()


def test_an_empty_split_can_be_written_and_read(tmp_path):
    columns = {"labels": np.empty(0, np.int64), "patients": np.empty(0, "U1"), "names": np.empty(0, "U1")}
    write_arrays(tmp_path / "none.npz", "images", "uint8", (0, 8, 8), [], classes=np.array(["a", "b"]), **columns)
    assert open_arrays(tmp_path / "none.npz").images.shape == (0, 8, 8)


def test_missing_compressed_or_truncated_arrays_are_refused(tmp_path):
    target, _ = arrays_of(tmp_path, tuberculosis())
    with zipfile.ZipFile(target / "val.npz") as original, zipfile.ZipFile(tmp_path / "small.npz", "w", 8) as small:
        for name in original.namelist():
            small.writestr(name, original.read(name))
    (tmp_path / "cut.npz").write_bytes((target / "val.npz").read_bytes()[:2000])
    for name, message in (
        ("absent.npz", "no arrays at"),
        ("small.npz", "is compressed"),
        ("cut.npz", "holds no array of images"),
    ):
        with pytest.raises(ChestTransferError, match=f"{message}.*run: dvc repro"):
            open_arrays(tmp_path / name)


def test_the_metrics_of_explore_contain_the_summary(project):
    stage(project, "download", "pneumonia")
    stage(project, "preprocess", "pneumonia")
    stage(project, "profile", "pneumonia")
    stage(project, "shortcuts", "pneumonia")
    stage(project, "explore", "pneumonia")
    metrics = json.loads((project / "metrics/data/pneumonia.json").read_text())
    summary = json.loads((project / "data/arrays/pneumonia/summary.json").read_text())
    assert {key: metrics[key] for key in summary} == summary
