"""From an archive to arrays: streams, memory maps, counts of what was left out, and nothing half-written."""

import json
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded, grey, make_zip, stage

from chest_transfer.data import decoding
from chest_transfer.data.arrays import open_arrays, write_arrays
from chest_transfer.data.catalog import CATALOG
from chest_transfer.data.preprocessing import preprocess
from chest_transfer.errors import ChestTransferError
from chest_transfer.settings import Preprocess

SETTINGS = Preprocess(fit="squeeze", test_share=0.2, validation_share=0.15, split_seed=1, max_skipped=3)


def tuberculosis(count: int = 40) -> dict[str, bytes]:
    root = "TB_Chest_Radiography_Database"
    members = {f"{root}/Normal/Normal-{n}.png": grey(n) for n in range(count)}
    return members | {f"{root}/Tuberculosis/Tuberculosis-{n}.png": grey(1000 + n) for n in range(count)}


@pytest.fixture
def each_process_is_worth_it(monkeypatch):
    """So that an archive of a few radiographs is decoded by several processes, as a large one is."""
    monkeypatch.setattr(decoding, "SHARE", 20)


def arrays_of(tmp_path: Path, members: dict, dataset: str = "tuberculosis", processes: int = 2, **changes):
    archive = make_zip(tmp_path / "in.zip", members)
    target = tmp_path / "out"
    settings = SETTINGS.model_copy(update=changes)
    return target, preprocess(CATALOG[dataset], archive, target, settings, 32, processes)


def test_arrays_hold_what_the_archive_holds(tmp_path):
    target, summary = arrays_of(tmp_path, tuberculosis())
    assert summary["images"] == {"train": 55, "val": 9, "test": 16}
    assert summary["classes"]["test"] == {"Normal": 8, "Tuberculosis": 8}
    assert summary["without_patient_id"] == 80
    seen = []
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
        seen += arrays.names.tolist()
    assert len(set(seen)) == 80


def test_numpy_itself_reads_the_files_without_pickles(tmp_path):
    target, _ = arrays_of(tmp_path, tuberculosis())
    with np.load(target / "val.npz", allow_pickle=False) as members:
        assert sorted(members) == ["classes", "images", "labels", "names", "patients"]
        assert (members["images"] == open_arrays(target / "val.npz").images).all()


@pytest.mark.usefixtures("each_process_is_worth_it")
def test_neither_the_order_of_files_nor_the_number_of_processes_changes_a_byte(tmp_path):
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
    assert test.labels.dtype == np.uint8
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


@pytest.mark.usefixtures("each_process_is_worth_it")
def test_more_unreadable_images_than_allowed_fail_and_leave_nothing(tmp_path):
    members = tuberculosis()
    for number in range(5):
        members[f"TB_Chest_Radiography_Database/Normal/Normal-{number}.png"] = b"no image"
    with pytest.raises(ChestTransferError, match=r"more than 3 images .* are unreadable, .* preprocess.max_skipped"):
        arrays_of(tmp_path, members)
    assert [path.name for path in tmp_path.iterdir()] == ["in.zip"]


def test_an_archive_without_one_readable_image_is_refused_in_one_line(tmp_path):
    members = dict.fromkeys(tuberculosis(1), b"no image")
    with pytest.raises(ChestTransferError, match=r"no readable image .* fetch the archive again"):
        arrays_of(tmp_path, members)
    assert [path.name for path in tmp_path.iterdir()] == ["in.zip"]


def test_duplicates_are_counted_and_stay_together(tmp_path):
    members = tuberculosis()
    root = "TB_Chest_Radiography_Database/Normal/Normal"
    members[f"{root}-7.png"] = members[f"{root}-3.png"]
    target, summary = arrays_of(tmp_path, members)
    assert summary["duplicates"] == 1
    assert sum(summary["patients"].values()) == 79
    where = [{split for name in open_arrays(target / f"{split}.npz").names if name == f"Normal/Normal-{n}.png"}
             for split in ("train", "val", "test") for n in (3, 7)]  # fmt: skip
    assert sorted(map(len, where)) == [0, 0, 0, 0, 1, 1]
    assert len(set.union(*where)) == 1


def test_an_empty_split_can_be_written_and_read(tmp_path):
    columns = {"labels": np.empty(0, np.int64), "patients": np.empty(0, "U1"), "names": np.empty(0, "U1")}
    write_arrays(tmp_path / "none.npz", "images", "uint8", (0, 8, 8), [], classes=np.array(["a", "b"]), **columns)
    assert open_arrays(tmp_path / "none.npz").images.shape == (0, 8, 8)


def test_arrays_that_are_missing_compressed_or_cut_are_refused(tmp_path):
    target, _ = arrays_of(tmp_path, tuberculosis())
    with zipfile.ZipFile(target / "val.npz") as whole, zipfile.ZipFile(tmp_path / "small.npz", "w", 8) as small:
        for name in whole.namelist():
            small.writestr(name, whole.read(name))
    (tmp_path / "cut.npz").write_bytes((target / "val.npz").read_bytes()[:2000])
    for name, told in (
        ("absent.npz", "no arrays at"),
        ("small.npz", "is compressed"),
        ("cut.npz", "holds no array of images"),
    ):
        with pytest.raises(ChestTransferError, match=f"{told}.*run: dvc repro"):
            open_arrays(tmp_path / name)


def test_explore_tracks_the_summary(project):
    stage(project, "download", "pneumonia")
    stage(project, "preprocess", "pneumonia")
    stage(project, "explore", "pneumonia")
    tracked = json.loads((project / "metrics/data/pneumonia.json").read_text())
    summary = json.loads((project / "data/arrays/pneumonia/summary.json").read_text())
    assert {key: tracked[key] for key in summary} == summary
