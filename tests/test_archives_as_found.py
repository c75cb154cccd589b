"""Archives as people have them: renamed, nested, split by somebody else, in part, from another distributor."""

import io
import json
import tarfile
import zipfile

import numpy as np
import pandas as pd
import pytest
from conftest import dicom, grey, make_zip
from PIL import Image

from chest_transfer.data.archive_packing import pack
from chest_transfer.data.arrays import open_arrays
from chest_transfer.data.catalog import CATALOG
from chest_transfer.data.preprocess_summary import lines_about
from chest_transfer.data.preprocessing import preprocess
from chest_transfer.errors import ChestTransferError
from chest_transfer.phantom.archive import write_archive
from chest_transfer.settings import Phantom, read_settings


def preprocessed(tmp_path, dataset: str, source, **changes) -> dict:
    """The summary of a source that is packed and preprocessed as the stages do it."""
    settings = read_settings("params.yaml").preprocess.model_copy(update=changes)
    pack(source, tmp_path / "packed.zip")
    return preprocess(CATALOG[dataset], tmp_path / "packed.zip", tmp_path / "arrays", settings, 32, 1)


def classes(*folders: str, images: int = 30, prefix: str = "", suffix: str = ".png", seed: int = 0) -> dict:
    """Different images in each folder."""
    return {
        f"{prefix}{folder}/{folder.lower().replace('/', '-')}-{number}{suffix}": grey(seed + 1000 * index + number)
        for index, folder in enumerate(folders)
        for number in range(images)
    }


def total(summary: dict, name: str) -> int:
    return sum(summary["classes"][split][name] for split in ("train", "val", "test"))


CHILDREN = {
    f"chest_xray/{split}/{name}/{stem}{100 * index + number}{end}": grey(10_000 * index + number)
    for index, (split, name, stem, end) in enumerate((
        ("train", "NORMAL", "IM-", "-0001.jpeg"), ("train", "PNEUMONIA", "person", "_bacteria_1.jpeg"),
        ("test", "NORMAL", "NORMAL2-IM-", "-0001.jpeg"), ("test", "PNEUMONIA", "person", "_virus_1.jpeg"),
    ))
    for number in range(20)
}  # fmt: skip


class TestFolderNames:
    @pytest.mark.parametrize(
        ("dataset", "folders", "normal"),
        [
            ("tuberculosis", ("NORMAL", "TUBERCULOSIS"), "Normal"),
            ("tuberculosis", ("normal", "tuberculosis"), "Normal"),
            ("covid", ("normal", "Covid", "Lung Opacity", "VIRAL_PNEUMONIA"), "Normal"),
            ("covid", ("Normal", "COVID", "lung-opacity", "Viral Pneumonia"), "Normal"),
            ("covid", ("NORMAL", "COVID", "Lung_Opacity", "viral pneumonia"), "Normal"),
        ],
    )
    def test_match_whatever_the_case(self, tmp_path, dataset, folders, normal):
        summary = preprocessed(tmp_path, dataset, make_zip(tmp_path / "a.zip", classes(*folders)))
        assert total(summary, normal) == 30

    @pytest.mark.parametrize(
        ("dataset", "folders", "missing"),
        [
            ("tuberculosis", ("Normal", "TB"), "Tuberculosis"),
            ("covid", ("Normal", "COVID-19", "Lung_Opacity", "Viral Pneumonia"), "COVID"),
            ("pneumonia", ("train/NORMAL", "train/PNEUMONIA", "test/Normal", "test/sick"), ""),
        ],
    )  # fmt: skip
    def test_another_name_is_an_error_that_names_the_folders_and_the_cure(self, tmp_path, dataset, folders, missing):
        source = make_zip(tmp_path / "a.zip", classes(*folders))
        with pytest.raises(ChestTransferError) as error:
            preprocessed(tmp_path, dataset, source)
        other = next(folder for folder in folders if folder.split("/")[-1] in ("TB", "COVID-19", "sick"))
        assert f"{other.split('/')[-1]} (30)" in str(error.value) or missing == ""
        assert "\n" not in str(error.value)
        if missing:
            assert f"preprocess.folders={{{other}: {missing}}}" in str(error.value)
            assert total(preprocessed(tmp_path, dataset, source, folders={other: missing}), missing) == 30
        else:
            assert "PNEUMONIA" in str(error.value)
            summary = preprocessed(tmp_path, dataset, source, folders={"sick": "PNEUMONIA"})
            assert total(summary, "PNEUMONIA") == 60

    def test_a_class_without_radiographs_is_an_error_also_beside_unknown_folders(self, tmp_path):
        source = make_zip(tmp_path / "a.zip", classes("Normal", "Lung cancer", "Others"))
        with pytest.raises(ChestTransferError, match=r"no radiographs of Tuberculosis; .*Lung cancer \(30\)"):
            preprocessed(tmp_path, "tuberculosis", source)

    def test_folders_of_no_class_are_counted(self, tmp_path):
        source = make_zip(tmp_path / "a.zip", classes("Normal", "Tuberculosis") | classes("Sick but not TB", images=7))
        summary = preprocessed(tmp_path, "tuberculosis", source)
        assert summary["not_used"] == {"other_folder": 7}
        assert summary["other_folders"] == {"Sick but not TB": 7}
        lines = lines_about(summary)
        assert lines[0] == "Normal: 18 train, 3 val, 9 test"
        assert lines[-1] == "not used: 7 in other folders: Sick but not TB (7)"

    def test_a_linked_class_folder_is_read(self, tmp_path):
        disk, folder = tmp_path / "disk", tmp_path / "folder"
        for name, content in classes("Normal", "Tuberculosis").items():
            place = (disk if name.startswith("Normal") else folder) / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        (folder / "Normal").symlink_to(disk / "Normal")
        assert total(preprocessed(tmp_path, "tuberculosis", folder), "Normal") == 30

    def test_dicom_files_without_a_suffix_are_read(self, tmp_path):
        members = {
            f"{name}/{form}{index}{number:02d}": dicom(np.asarray(Image.open(io.BytesIO(grey(100 * index + number)))))
            for index, name in enumerate(("Normal", "Tuberculosis"))
            for number in range(20)
            for form in [("IM", "1.2.840.")[number % 2]]
        }
        source = make_zip(tmp_path / "a.zip", members | {"Normal/DICOMDIR": b"no image", "autorun.inf": b"x"})
        assert total(preprocessed(tmp_path, "tuberculosis", source), "Normal") == 20


class TestSplits:
    FOLDERS = ("train", "val", "test")

    def split_tuberculosis(self, tmp_path, splits=FOLDERS):
        members = {}
        for index, split in enumerate(splits):
            members |= classes("Normal", "Tuberculosis", images=20, prefix=f"data/{split}/", seed=100 * index)
        return make_zip(tmp_path / "a.zip", members)

    @pytest.mark.parametrize("names", [FOLDERS, ("Train", "Validation", "Test"), ("training", "valid", "testing")])
    def test_somebody_elses_split_is_taken_over(self, tmp_path, names):
        summary = preprocessed(tmp_path, "tuberculosis", self.split_tuberculosis(tmp_path, names))
        assert summary["images"] == {"train": 40, "val": 40, "test": 40}
        table = pd.read_csv(tmp_path / "arrays/images.csv")
        of_folder = {names[0].lower(): "train", names[1].lower(): "val", names[2].lower(): "test"}
        assert (table["name"].str.split("/").str[0].str.lower().map(of_folder) == table["split"]).all()

    def test_or_pooled_on_request(self, tmp_path):
        summary = preprocessed(tmp_path, "tuberculosis", self.split_tuberculosis(tmp_path), splits="pooled")
        assert sum(summary["images"].values()) == 120
        assert summary["images"]["test"] == pytest.approx(0.3 * 120, abs=2)

    @pytest.mark.parametrize(("names", "given"), [(("train", "test"), "test"), (("train", "val"), "val")])
    def test_what_is_missing_is_cut_from_the_training_split(self, tmp_path, names, given):
        summary = preprocessed(tmp_path, "tuberculosis", self.split_tuberculosis(tmp_path, names))
        assert summary["images"][given] == 40
        assert min(summary["images"].values()) > 0

    def test_a_patient_of_both_sides_loses_the_images_outside_of_the_test_split(self, tmp_path):
        members = dict(CHILDREN)
        members["chest_xray/train/PNEUMONIA/person300_virus_2.jpeg"] = grey(77)  # patient virus-300 of the test split
        summary = preprocessed(tmp_path, "pneumonia", make_zip(tmp_path / "a.zip", members))
        assert summary["leaked_into_official_test"] == 1

    @pytest.mark.parametrize(
        ("left_out", "message"),
        [
            (
                "test/NORMAL",
                r"the test split holds PNEUMONIA \(20\), but no radiographs of NORMAL; .*splits=pooled",
            ),
            ("train/PNEUMONIA", r"the train split holds .* no radiographs of PNEUMONIA"),
            ("test/", "has split folders, but none for test; .*splits=pooled"),
        ],
    )
    def test_a_class_or_split_that_is_missing_is_an_error(self, tmp_path, left_out, message):
        members = {name: content for name, content in CHILDREN.items() if f"/{left_out}" not in name}
        with pytest.raises(ChestTransferError, match=message) as error:
            preprocessed(tmp_path, "pneumonia", make_zip(tmp_path / "a.zip", members))
        assert "\n" not in str(error.value)

    def test_pooling_mends_a_test_split_of_one_class(self, tmp_path):
        members = {name: content for name, content in CHILDREN.items() if "/test/NORMAL" not in name}
        summary = preprocessed(tmp_path, "pneumonia", make_zip(tmp_path / "a.zip", members), splits="pooled")
        assert min(summary["classes"]["test"].values()) > 0


class TestDistributions:
    def test_zhanglabdata_has_optical_tomography_beside_the_radiographs(self, tmp_path):
        children = {f"CellData/{name}": content for name, content in CHILDREN.items()}
        oct_scans = {}
        for split in ("train", "test"):
            folders = (f"{split}/NORMAL", f"{split}/CNV", f"{split}/DME")
            oct_scans |= classes(*folders, prefix="CellData/OCT/", suffix=".jpeg", images=5, seed=50_000)
        summary = preprocessed(tmp_path, "mendeley", make_zip(tmp_path / "ZhangLabData.zip", children | oct_scans))
        assert total(summary, "NORMAL") == total(summary, "PNEUMONIA") == 40
        assert summary["not_used"] == {"other_folder": 30}

    def test_kaggles_first_layout_was_a_zip_in_a_zip(self, tmp_path):
        inner = make_zip(tmp_path / "inner.zip", CHILDREN).read_bytes()
        forks = {f"__MACOSX/{name}": b"fork" for name in CHILDREN}
        source = make_zip(tmp_path / "a.zip", {"chest_xray.zip": inner, "__MACOSX/._chest_xray.zip": b"fork"} | forks)
        assert total(preprocessed(tmp_path, "pneumonia", source), "NORMAL") == 40
        both = make_zip(tmp_path / "b.zip", {"chest_xray.zip": inner} | CHILDREN)
        summary = preprocessed(tmp_path, "pneumonia", both)
        assert total(summary, "NORMAL") == 40
        assert summary["not_used"] == {"nested_copy": 80}

    def test_names_with_backslashes(self, tmp_path):
        source = make_zip(tmp_path / "a.zip", {name.replace("/", "\\"): data for name, data in CHILDREN.items()})
        assert total(preprocessed(tmp_path, "pneumonia", source), "PNEUMONIA") == 40


@pytest.fixture(scope="module")
def nih_members(tmp_path_factory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("nih") / "nih.zip"
    write_archive(CATALOG["nih"], Phantom(seed=1, patients=60, image_size=48), path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def file_name(member: str) -> str:
    return member.rsplit("/", 1)[-1]


def as_nih_distributes_it(folder, members: dict[str, bytes]):
    """Twelve tar files beside the tables, lists under NIH's own names."""
    folder.mkdir()
    for number in range(1, 13):
        with tarfile.open(folder / f"images_{number:03d}.tar.gz", "w:gz") as tar:
            for name, content in members.items():
                if name.startswith(f"images_{number:03d}/"):
                    info = tarfile.TarInfo(f"images/{file_name(name)}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
    renamed = {"Data_Entry_2017.csv": "Data_Entry_2017_v2020.csv", "test_list.txt": "test_list_NIH.txt",
               "train_val_list.txt": "train_val_list_NIH.txt"}  # fmt: skip
    for name, content in members.items():
        if not name.endswith(".png"):
            (folder / renamed.get(file_name(name), file_name(name))).write_bytes(content)
    return folder


def as_kaggles_sample(path, members: dict[str, bytes]):
    """A zip in a zip beside the table, with other headers, ages as of DICOM, and no lists."""
    table = pd.read_csv(io.BytesIO(next(data for name, data in members.items() if "Data_Entry" in name)), dtype=str)
    ages = table.iloc[:, 4].str.zfill(3) + "Y"
    sample = table.iloc[:, :7].set_axis(
        ["Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age", "Patient Gender",
         "View Position"], axis=1,
    ).assign(**{"Patient Age": ages})  # fmt: skip
    images = {f"sample/images/{file_name(name)}": data for name, data in members.items() if name.endswith(".png")}
    inner = make_zip(path.with_name("inner.zip"), images | {"sample/sample_labels.csv": sample.to_csv(index=False)})
    return make_zip(path, {"sample.zip": inner.read_bytes(), "sample_labels.csv": sample.to_csv(index=False)})


def as_224_pixel_version(path, members: dict[str, bytes]):
    """All images in one folder, made smaller than the boxes' pixels, with the lists under NIH's names."""
    changed = {}
    for name, content in members.items():
        if name.endswith(".png"):
            with Image.open(io.BytesIO(content)) as image:
                small = io.BytesIO()
                image.resize((24, 24), Image.Resampling.BOX).save(small, "PNG")
            changed[f"images-224/images-224/{file_name(name)}"] = small.getvalue()
        else:
            changed[file_name(name).replace("list.txt", "list_NIH.txt")] = content
    boxes = pd.read_csv(io.BytesIO(changed.pop("BBox_List_2017.csv")))
    in_nih_pixels = boxes.iloc[:, 2:6] * 1024 / 48  # the list refers to NIH's own files of 1024 pixels
    boxes = pd.concat([boxes.iloc[:, :2], in_nih_pixels, boxes.iloc[:, 6:]], axis=1)
    changed["BBox_List_2017_Official_NIH.csv"] = boxes.to_csv(index=False)
    return make_zip(path, changed)


@pytest.mark.parametrize("form", [as_nih_distributes_it, as_kaggles_sample, as_224_pixel_version])
def test_nih_in_another_distribution(tmp_path, nih_members, form):
    expected = preprocessed(tmp_path, "nih", make_zip(tmp_path / "a.zip", nih_members))
    (tmp_path / "arrays").rename(tmp_path / "expected")
    summary = preprocessed(tmp_path, "nih", form(tmp_path / form.__name__, nih_members))
    tables = [pd.read_csv(tmp_path / name / "images.csv", index_col="name") for name in ("expected", "arrays")]
    columns = ["labels", "patient", "sex", "age", "view"]
    if form is not as_kaggles_sample:  # it comes without lists: the split is made here
        columns.append("split")
        assert summary["images"] == expected["images"]
    else:
        assert not summary["official_test"]
        assert sum(summary["images"].values()) == sum(expected["images"].values())
    pd.testing.assert_frame_equal(tables[0][columns], tables[1][columns])
    boxes = [pd.read_csv(tmp_path / name / "boxes.csv") for name in ("expected", "arrays")]
    if form is as_224_pixel_version:
        assert len(boxes[0])
        pd.testing.assert_frame_equal(boxes[0], boxes[1], atol=1e-4)
    test = open_arrays(tmp_path / "arrays/test.npz")
    assert len(test.labels) == summary["images"]["test"]


def test_a_missing_list_is_named_with_what_is_there(tmp_path, nih_members):
    members = {name: data for name, data in nih_members.items() if file_name(name) != "test_list.txt"}
    with pytest.raises(ChestTransferError, match=r"no test_list.txt or test_list_NIH.txt, but train_val_list.txt"):
        preprocessed(tmp_path, "nih", make_zip(tmp_path / "a.zip", members))


def test_the_stage_prints_a_line_for_each_class(evaluated):
    summary = json.loads((evaluated / "data/arrays/pneumonia/summary.json").read_text())
    lines = lines_about(summary)
    assert [line.split(":")[0] for line in lines[:2]] == ["NORMAL", "PNEUMONIA"]
    assert "radiographs; " in lines[2]
