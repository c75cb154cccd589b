"""Class folders in layouts that people make of an archive: each is read in full, or refused with what helps."""

import io
import os
import re
import shutil
import tarfile
import time
import zipfile

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, change_settings, dicom, grey, make_zip
from dvc.utils.hydra import apply_overrides
from test_archives_as_found import CHILDREN, classes, preprocessed, total

from chest_transfer.data.archive_packing import pack
from chest_transfer.data.archives import Archive
from chest_transfer.data.preprocess_summary import lines_about
from chest_transfer.errors import ChestTransferError
from chest_transfer.settings import read_settings
from chest_transfer.yaml_files import read_yaml

OWN, MADE_HERE = True, False  # whose test split


def inner_zip(tmp_path, members: dict[str, bytes]) -> bytes:
    return make_zip(tmp_path / "inner.zip", members).read_bytes()


def split_classes(form: str, splits=("train", "test"), names=("Normal", "Tuberculosis")) -> dict[str, bytes]:
    """Images of two classes in two splits; `form` is their folder, such as `data/{split}/{name}`."""
    members = {}
    for index, split in enumerate(splits):
        for number, name in enumerate(names):
            folder = form.format(split=split, name=name)
            members |= classes(folder, images=20, seed=10_000 * index + 500 * number)
    return members


class TestSplitFolders:
    """The split above the class or below it, under any of its names."""

    @pytest.mark.parametrize(
        "form",
        [
            "{split}/{name}",
            "data/{split}/{name}",
            "{split}_set/{name}",
            "{split}ing_set/{name}",
            "{split}-data/{name}",
            "{split} images/{name}",
            "{name}/{split}",
            "data/{name}/{split}",
            "{name}/{split}_set",
            "{split}/{split}/{name}",  # an archive of each split
            "{split}/chest/{name}",
            "{split}/{name}/{name}",  # an archive of each class in each split
            "{name}/{name}/{split}",
        ],
    )
    def test_the_split_is_kept(self, tmp_path, form):
        summary = preprocessed(tmp_path, "tuberculosis", make_zip(tmp_path / "a.zip", split_classes(form)))
        assert summary["official_test"] is OWN
        assert summary["images"]["test"] == 40
        assert summary["classes"]["test"] == {"Normal": 20, "Tuberculosis": 20}
        names = pd.read_csv(tmp_path / "arrays/images.csv")["name"]
        assert names.is_unique

    @pytest.mark.parametrize("form", ["{name}", "data/{name}", "{name}/{name}", "data/{name}/{name}"])
    def test_without_a_split_one_is_made(self, tmp_path, form):
        source = make_zip(tmp_path / "a.zip", split_classes(form, splits=("one",)))
        summary = preprocessed(tmp_path, "tuberculosis", source)
        assert summary["official_test"] is MADE_HERE
        assert "cautions" not in summary
        assert sum(summary["images"].values()) == 40

    def test_a_zip_of_each_class(self, tmp_path):
        zips = {
            f"{name}.zip": inner_zip(tmp_path, classes(name, seed=100 * index))
            for index, name in enumerate(("Normal", "Tuberculosis"))
        }
        summary = preprocessed(tmp_path, "tuberculosis", make_zip(tmp_path / "a.zip", zips))
        assert total(summary, "Normal") == total(summary, "Tuberculosis") == 30

    def test_a_folder_of_a_zip_of_each_split(self, tmp_path):
        for index, split in enumerate(("train", "test")):
            members = split_classes("{split}/{name}", splits=(split,))
            shifted = {name: grey(10_000 * index + number) for number, name in enumerate(members)}
            make_zip(tmp_path / f"folder/{split}.zip", shifted)
        summary = preprocessed(tmp_path, "tuberculosis", tmp_path / "folder")
        assert (summary["official_test"], summary["images"]["test"]) == (OWN, 40)

    def test_children_without_split_folders_are_read_with_a_caution(self, tmp_path):
        flat = {"/".join(name.split("/")[2:]): content for name, content in CHILDREN.items()}
        summary = preprocessed(tmp_path, "pneumonia", make_zip(tmp_path / "a.zip", flat))
        assert summary["official_test"] is MADE_HERE
        caution = "unlike the public archive, this one has no test split; one was made here"
        assert summary["cautions"] == [caution]
        assert f"CAUTION: {caution}" in lines_about(summary)

    def test_only_a_test_split_is_refused_or_pooled(self, tmp_path):
        source = make_zip(tmp_path / "a.zip", split_classes("{split}/{name}", splits=("test",)))
        with pytest.raises(
            ChestTransferError, match=r"has split folders, but none for training; .*preprocess.splits=pooled"
        ):
            preprocessed(tmp_path, "tuberculosis", source)
        summary = preprocessed(tmp_path, "tuberculosis", source, splits="pooled")
        assert summary["official_test"] is MADE_HERE
        assert min(summary["images"].values()) > 0

    def test_class_folders_beside_their_split_copy_are_refused(self, tmp_path):
        members = split_classes("data/{split}/{name}") | split_classes("data/{name}", splits=("one",))
        with pytest.raises(
            ChestTransferError, match=r"all classes in two places, data/.* and data/.*; keep one of them"
        ):
            preprocessed(tmp_path, "tuberculosis", make_zip(tmp_path / "a.zip", members))


class TestSeveralPlaces:
    """Radiographs in two places: copies count once, and nothing else is dropped in silence."""

    @pytest.mark.parametrize(
        ("form", "splits"),
        [
            ("test/{split}/{name}", ("train", "test")),
            ("training_data/{split}/{name}", ("train", "val", "test")),
            ("data_{split}/{name}", ("train", "test")),
            ("chest xray {split}/{name}", ("train", "test")),
            ("DB-{split}/data/{name}", ("train", "test")),
        ],
    )
    def test_a_split_word_elsewhere_loses_no_split(self, tmp_path, form, splits):
        source = make_zip(tmp_path / "a.zip", split_classes(form, splits))
        summary = preprocessed(tmp_path, "tuberculosis", source)
        assert summary["official_test"] is OWN
        assert summary["images"] == {"val": 6, "train": 34} | dict.fromkeys(splits, 40) | (
            {} if "val" in splits else {"train": 34, "val": 6}
        )
        assert not summary["not_used"]

    @pytest.mark.parametrize(
        ("form", "old", "new", "copies"),
        [
            ("{name}", "Normal/", "Normal/Normal/", 20),
            ("{name}", "", "data/", 40),
            ("data/{name}", "data/", "more/", 40),
            ("{split}/{name}", "train/", "train/train/", 40),
            ("{split}/{name}", "", "copy/", 80),
            ("{name}/{name}", "Normal/Normal/", "Normal/", 20),
        ],
    )
    def test_copies_are_read_once(self, tmp_path, form, old, new, copies):
        members = split_classes(form, ("train", "test") if "split" in form else ("one",))
        again = {new + name.removeprefix(old): data for name, data in members.items() if name.startswith(old)}
        summary = preprocessed(tmp_path, "tuberculosis", make_zip(tmp_path / "a.zip", members | again))
        assert sum(summary["images"].values()) == len(members)
        assert summary["not_used"] == {"nested_copy": copies}

    @pytest.mark.parametrize("form", ["eval/{name}", "holdout/{name}", "{name}/test", "other/deeper/{name}"])
    def test_other_radiographs_of_all_classes_are_refused(self, tmp_path, form):
        members = split_classes("{name}", ("one",)) | split_classes(form, ("one", "two"))
        with pytest.raises(ChestTransferError, match="radiographs of all classes in two places"):
            preprocessed(tmp_path, "tuberculosis", make_zip(tmp_path / "a.zip", members))

    def test_those_of_some_classes_are_counted_and_their_folder_is_named(self, tmp_path):
        members = split_classes("{name}", ("one",)) | classes("more/Tuberculosis", images=7, seed=9_000)
        summary = preprocessed(tmp_path, "tuberculosis", make_zip(tmp_path / "a.zip", members))
        assert lines_about(summary)[-1] == "not used: 7 in other folders: more/Tuberculosis (7)"

    @pytest.mark.parametrize("folders", [("a/Normal", "b/Tuberculosis"), ("Normal-001/Normal", "TB-001/Tuberculosis")])
    def test_class_folders_in_different_folders_are_all_named(self, tmp_path, folders):
        source = make_zip(tmp_path / "a.zip", classes(*folders))
        with pytest.raises(
            ChestTransferError, match=r"has class folders in different folders; .*; put them into one"
        ) as error:
            preprocessed(tmp_path, "tuberculosis", source)
        assert all(f"{folder} (30)" in str(error.value) for folder in folders)

    def test_folders_of_patients_below_a_class_are_named(self, tmp_path):
        source = make_zip(tmp_path / "a.zip", classes("Normal", "Tuberculosis/p3", "Tuberculosis/p4"))
        with pytest.raises(
            ChestTransferError, match=r"of Tuberculosis lie in folders below .*Tuberculosis/p3.*: move them up"
        ):
            preprocessed(tmp_path, "tuberculosis", source)

    @pytest.mark.parametrize(
        "images", ["{name}/images", "{name}/images/{split}", "{name}/{split}/images", "{split}/{name}/images"]
    )
    def test_the_images_folder_of_covid_and_a_split(self, tmp_path, images):
        names, members = ("Normal", "COVID", "Lung_Opacity", "Viral Pneumonia"), {}
        for form in (images, images.replace("images", "masks")):
            members |= split_classes(form, ("train", "test") if "split" in images else ("one",), names)
        summary = preprocessed(tmp_path, "covid", make_zip(tmp_path / "a.zip", members))
        assert sum(summary["images"].values()) == len(members) // 2
        assert summary["official_test"] is ("split" in images)
        assert summary["not_used"] == {"other_folder": len(members) // 2}

    @pytest.mark.parametrize("form", ["{name}/images", "{name}"])
    def test_an_early_release_of_covid_lacks_a_class(self, tmp_path, form):
        names = ("Normal", "COVID", "Viral Pneumonia")
        members = split_classes(form, ("one",), names) | split_classes("{name}/masks", ("one",), names)
        summary = preprocessed(tmp_path, "covid", make_zip(tmp_path / "a.zip", members))
        assert summary["cautions"] == ["the archive holds no radiographs of Lung_Opacity"]
        assert total(summary, "Lung_Opacity") == 0
        assert total(summary, "COVID") == 20

    def test_the_remedy_for_covid_names_the_class_folder(self, tmp_path):
        names = ("Normal", "COVID-19", "Lung_Opacity", "Viral Pneumonia")
        members = split_classes("{name}/images", ("one",), names) | classes("Normal/masks", images=9)
        with pytest.raises(ChestTransferError, match=r"preprocess.folders=\{COVID-19: COVID\}"):
            preprocessed(tmp_path, "covid", make_zip(tmp_path / "a.zip", members))


COVID_NAMES = ("Normal", "COVID", "Lung_Opacity", "Viral Pneumonia")


class TestPartsOfAnArchive:
    """What was downloaded in parts is never taken for the whole."""

    @pytest.mark.parametrize(
        "parts",
        [
            {"a/{name}": COVID_NAMES[:2], "b/{name}": COVID_NAMES[2:]},
            {"data/{name}": COVID_NAMES[:3], "data-001/{name}": COVID_NAMES[3:]},
            {"{name}": COVID_NAMES[:3], "more/{name}": COVID_NAMES[2:]},
            {"{name}/images": COVID_NAMES[:3], "{name}/masks": COVID_NAMES},
            {"{name}": COVID_NAMES[:3], "{name}/batch1": COVID_NAMES[3:]},
        ],
    )
    def test_a_class_that_lies_elsewhere_is_not_left_out(self, tmp_path, parts):
        members = {}
        for number, (form, names) in enumerate(parts.items()):
            for index, name in enumerate(names):
                members |= classes(form.format(name=name), images=12, seed=9000 * number + 600 * index)
        with pytest.raises(ChestTransferError):
            preprocessed(tmp_path, "covid", make_zip(tmp_path / "a.zip", members))

    @pytest.mark.parametrize("form", ["01 {split}/{name}", "{split}/chest/{name}", "{split}/chest/{split}/{name}"])
    @pytest.mark.parametrize("names", [COVID_NAMES, COVID_NAMES[:3]])
    def test_splits_are_kept_with_and_without_all_classes(self, tmp_path, form, names):
        source = make_zip(tmp_path / "a.zip", split_classes(form, ("train", "test"), names))
        summary = preprocessed(tmp_path, "covid", source)
        assert (summary["official_test"], summary["images"]["test"]) == (OWN, 20 * len(names))

    def test_splits_in_folders_of_their_own_are_named(self, tmp_path):
        members = split_classes("part1/{split}/{name}", ("train",)) | split_classes("part2/{split}/{name}", ("test",))
        with pytest.raises(
            ChestTransferError, match=r"split folders in different folders; .*part2/test/N.*put them into one"
        ):
            preprocessed(tmp_path, "pneumonia", make_zip(tmp_path / "a.zip", split_children(members)))

    @pytest.mark.parametrize("place", ["", "all/", "whole/"])
    def test_of_a_split_and_its_copy_without_folders_the_split_is_read(self, tmp_path, place):
        members = split_classes("split/{split}/{name}")
        flat = {f"{place}{name.split('/')[2]}/{name.split('/')[3]}": data for name, data in members.items()}
        summary = preprocessed(tmp_path, "tuberculosis", make_zip(tmp_path / "a.zip", members | flat))
        assert (summary["official_test"], summary["images"]["test"]) == (OWN, 40)
        assert summary["not_used"] == {"nested_copy": 80}

    @pytest.mark.parametrize(("old", "new"), [("/test/", "/train/"), ("Normal", "Tuberculosis")])
    def test_copies_in_another_split_or_class_are_refused(self, tmp_path, old, new):
        members = split_classes("fold1/{split}/{name}")
        other = {}
        for name, content in members.items():
            swapped = name.replace(old, "|").replace(new, old).replace("|", new)
            other[swapped.replace("fold1", "fold2")] = content
        with pytest.raises(ChestTransferError, match="in two places"):
            preprocessed(tmp_path, "tuberculosis", make_zip(tmp_path / "a.zip", members | other))

    def test_a_stray_image_beside_splits_is_counted(self, tmp_path):
        members = split_classes("c/{split}/{name}") | {"c/Normal/stray.png": grey(77)}
        summary = preprocessed(tmp_path, "tuberculosis", make_zip(tmp_path / "a.zip", members))
        assert summary["not_used"] == {"other_folder": 1}
        assert summary["other_folders"] == {"c/Normal": 1}

    def test_a_top_folder_may_be_called_like_a_class(self, tmp_path):
        source = make_zip(tmp_path / "a.zip", split_classes("tuberculosis/{name}/{name}", ("one",)))
        assert sum(preprocessed(tmp_path, "tuberculosis", source)["images"].values()) == 40

    def test_many_folders_are_refused_within_seconds(self, tmp_path):
        members = {f"p{number}/{('Normal', 'Other')[number % 2]}/1.png": b"x" for number in range(20_000)}
        start = time.monotonic()
        with pytest.raises(ChestTransferError, match="no radiographs of Tuberculosis"):
            preprocessed(tmp_path, "tuberculosis", make_zip(tmp_path / "a.zip", members))
        assert time.monotonic() - start < 60


def split_children(members: dict[str, bytes]) -> dict[str, bytes]:
    names = {"Normal": "NORMAL", "Tuberculosis": "PNEUMONIA"}
    return {re.sub("|".join(names), lambda match: names[match[0]], name): data for name, data in members.items()}


class TestOtherNames:
    """`preprocess.folders` and the errors that lead to it."""

    @pytest.mark.parametrize(
        ("folder", "remedy"),
        [
            ("TB", "-S '+preprocess.folders={TB: Tuberculosis}'"),
            ("TB positive", "-S '+preprocess.folders={TB positive: Tuberculosis}'"),
            ("1", """in params.yaml under preprocess: 'folders: {"1": Tuberculosis}'"""),
            ("sick, treated", """in params.yaml under preprocess: 'folders: {"sick, treated": Tuberculosis}'"""),
            ("Krank (neu)", """in params.yaml under preprocess: 'folders: {"Krank (neu)": Tuberculosis}'"""),
            ("Größer", """in params.yaml under preprocess: 'folders: {"Größer": Tuberculosis}'"""),
            ("null", """in params.yaml under preprocess: 'folders: {"null": Tuberculosis}'"""),
        ],
    )
    def test_the_remedy_works_as_it_is_written(self, tmp_path, folder, remedy):
        source = make_zip(tmp_path / "a.zip", classes("Normal", folder))
        with pytest.raises(ChestTransferError) as error:
            preprocessed(tmp_path, "tuberculosis", source)
        assert remedy in str(error.value)
        folders = {folder: "Tuberculosis"}
        assert total(preprocessed(tmp_path, "tuberculosis", source, folders=folders), "Tuberculosis") == 30
        if remedy.startswith("-S '"):  # as DVC reads it
            shutil.copy(ROOT / "params.yaml", tmp_path)
            apply_overrides(tmp_path / "params.yaml", [remedy.removeprefix("-S ").strip("'")])
            assert read_yaml(tmp_path / "params.yaml")["preprocess"]["folders"] == folders

    def test_with_several_candidates_none_is_proposed(self, tmp_path):
        source = make_zip(tmp_path / "a.zip", classes("Normal", "Lung cancer", "Others"))
        with pytest.raises(ChestTransferError, match=r"preprocess.folders=\{FOLDER: Tuberculosis\}"):
            preprocessed(tmp_path, "tuberculosis", source)

    @pytest.mark.parametrize(
        ("folders", "mapping"),
        [
            (("Normal", "TB/images"), {"TB": "Tuberculosis"}),
            (("Normal/Training", "TB/Training", "Normal/test", "TB/test"), {"TB": "Tuberculosis"}),
        ],
    )
    def test_the_remedy_names_the_folder_of_the_class(self, tmp_path, folders, mapping):
        source = make_zip(tmp_path / "a.zip", classes(*folders))
        with pytest.raises(ChestTransferError, match=r"-S '\+preprocess.folders={TB: Tuberculosis}'"):
            preprocessed(tmp_path, "tuberculosis", source)
        if "images" not in folders[1]:
            assert total(preprocessed(tmp_path, "tuberculosis", source, folders=mapping), "Tuberculosis") == 60

    def test_images_in_no_folder_are_to_be_put_into_one(self, tmp_path):
        members = classes("Normal") | {f"{number}.png": grey(900 + number) for number in range(20)}
        with pytest.raises(ChestTransferError, match="put the images that lie in no folder into one of their class"):
            preprocessed(tmp_path, "tuberculosis", make_zip(tmp_path / "a.zip", members))

    def test_if_no_folder_is_a_class_the_mapping_is_a_remedy_too(self, tmp_path):
        source = make_zip(tmp_path / "a.zip", classes("0", "1"))
        with pytest.raises(ChestTransferError, match=r"FOLDER: Normal, FOLDER: Tuberculosis"):
            preprocessed(tmp_path, "tuberculosis", source)
        folders = {"0": "Normal", "1": "Tuberculosis"}
        assert total(preprocessed(tmp_path, "tuberculosis", source, folders=folders), "Normal") == 30

    def test_the_archive_of_another_dataset_is_recognized(self, tmp_path):
        source = make_zip(tmp_path / "a.zip", CHILDREN)
        with pytest.raises(
            ChestTransferError, match=r"check `sources` .*'PNEUMONIA' is a class of mendeley, pneumonia\), or"
        ):
            preprocessed(tmp_path, "tuberculosis", source)

    def test_all_missing_classes_are_in_the_remedy(self, tmp_path):
        source = make_zip(tmp_path / "a.zip", classes("Normal", "A", "B", "C"))
        with pytest.raises(ChestTransferError, match=r"FOLDER: COVID, FOLDER: Lung_Opacity, FOLDER: Viral_Pneumonia"):
            preprocessed(tmp_path, "covid", source)

    @pytest.mark.parametrize("name", ["Tuberculosis", "tuberculosis", "viral pneumonia", "Viral_Pneumonia"])
    def test_classes_are_known_whatever_their_case(self, project, name):
        change_settings(project / "params.yaml", preprocess__folders={"TB": name})
        assert read_settings(project / "params.yaml").preprocess.folders == {"TB": name}

    def test_an_unknown_class_is_refused(self, project):
        change_settings(project / "params.yaml", preprocess__folders={"TB": "Tuberkulosis"})
        with pytest.raises(
            ChestTransferError, match=r"unknown class in preprocess.folders 'Tuberkulosis'; did you mean"
        ):
            read_settings(project / "params.yaml")

    def test_a_folder_may_be_a_number(self, project):
        change_settings(project / "params.yaml", preprocess__folders={0: "NORMAL", 1: "PNEUMONIA"})
        assert read_settings(project / "params.yaml").preprocess.folders == {"0": "NORMAL", "1": "PNEUMONIA"}


class TestNotUsed:
    def test_files_in_class_folders_that_are_no_images_are_counted(self, tmp_path):
        members = classes("Normal", "Tuberculosis") | {
            "Normal/Thumbs.db": b"x", "Normal/1.avif": b"x", "Tuberculosis/1.png.part": b"x", "README.txt": b"x",
        }  # fmt: skip
        summary = preprocessed(tmp_path, "tuberculosis", make_zip(tmp_path / "a.zip", members))
        assert summary["not_used"] == {"not_an_image": 3}

    @pytest.mark.parametrize(
        ("attribute", "value", "caution"),
        [
            ("ViewPosition", "LL", "the file states a view that is not frontal"),
            ("SeriesDescription", "THORAX LATERAL", "the file states a view that is not frontal"),
            ("BodyPartExamined", "HAND", "the file states another body part"),
            ("StudyDescription", "ABDOMEN", "the file states another body part"),
            ("Modality", "CT", "the file states a modality other than radiography"),
        ],
    )
    def test_what_dicom_files_state_is_counted(self, tmp_path, attribute, value, caution):
        def file(index: int) -> bytes:
            pixels = np.random.default_rng(index).integers(0, 255, (24, 24)).astype(np.uint8)
            unstated = {"ViewPosition": None, "BodyPartExamined": None}
            return dicom(pixels, **(unstated | {attribute: value} if index < 4 else {}))

        members = {
            f"{name}/{number}.dcm": file(100 * index + number)
            for index, name in enumerate(("Normal", "Tuberculosis"))
            for number in range(20)
        }
        summary = preprocessed(tmp_path, "tuberculosis", make_zip(tmp_path / "a.zip", members))
        assert summary["cautions"] == [f"{caution}: 4 radiographs"]

    def test_a_file_in_two_classes_is_counted(self, tmp_path):
        members = classes("Normal", "Tuberculosis")
        members |= {f"Tuberculosis/also-{number}.png": members[f"Normal/normal-{number}.png"] for number in range(3)}
        summary = preprocessed(tmp_path, "tuberculosis", make_zip(tmp_path / "a.zip", members))
        assert summary["cautions"] == ["the same file has different labels: 3 radiographs"]


class TestPacking:
    @pytest.mark.parametrize("kind", ["gz", "xz", "bz2"])
    def test_damage_inside_a_compressed_tar_is_noticed(self, tmp_path, kind):
        noise = np.random.default_rng(0).integers(0, 256, 2_400_000).astype(np.uint8).tobytes()
        path = tmp_path / f"a.tar.{kind}"
        with tarfile.open(path, f"w:{kind}") as tar:
            info = tarfile.TarInfo("Normal/1.jpg")
            info.size = len(noise)
            tar.addfile(info, io.BytesIO(noise))
        content = bytearray(path.read_bytes())
        content[1_900_000:1_900_020] = bytes(20)
        path.write_bytes(content)
        with pytest.raises(ChestTransferError, match=r"is not a complete archive .*; fetch it again"):
            pack(path, tmp_path / "b.zip")

    def test_a_damaged_directory_of_a_zip_is_one_line(self, tmp_path):
        path = make_zip(tmp_path / "a.zip", {"inner.zip": inner_zip(tmp_path, {"1.png": b"x"})})
        content = path.read_bytes().replace(b"PK\x01\x02", b"PK\x01\x07")
        path.write_bytes(content)
        with pytest.raises(ChestTransferError, match=r"is not a complete archive|cut short"):
            pack(path, tmp_path / "b.zip")

    def test_links_in_a_circle_end(self, tmp_path):
        folder = tmp_path / "folder"
        for name, content in classes("Normal", "Tuberculosis").items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        (folder / "Normal/other").symlink_to(folder / "Tuberculosis")
        (folder / "Tuberculosis/other").symlink_to(folder / "Normal")
        pack(folder, tmp_path / "a.zip")
        with Archive(tmp_path / "a.zip") as archive:
            assert len(archive.members) == 120  # each is reached by its own path and by one link

    @pytest.mark.parametrize(
        ("name", "member"),
        [
            ("/data/1.png", "data/1.png"),  # tar -P
            ("./data/1.png", "data/1.png"),
            ("data\\train\\1.png", "data/train/1.png"),
            ("data/train\\1.png", "data/train/1.png"),
            (os.fsdecode(b"M\xe4dchen/1.png"), "Mädchen/1.png"),  # Latin-1
            (os.fsdecode(b"M\xc3\xa4dchen/1.png"), "Mädchen/1.png"),
        ],
    )
    def test_names_in_tar_files(self, tmp_path, name, member):
        with tarfile.open(tmp_path / "a.tar", "w") as tar:
            info = tarfile.TarInfo(name)
            info.size = 3
            tar.addfile(info, io.BytesIO(b"abc"))
        pack(tmp_path / "a.tar", tmp_path / "a.zip")
        with Archive(tmp_path / "a.zip") as archive:
            assert archive.members == [member]

    def test_an_archive_beside_what_was_unpacked_from_it(self, tmp_path):
        content = inner_zip(tmp_path, {"train/1.png": b"x"})
        source = make_zip(tmp_path / "a.zip", {"data.zip": content, "data/train/1.png": b"x"})
        with pytest.raises(
            ChestTransferError, match=r"two files 'data/train/1.png', such as in an archive and unpacked"
        ):
            pack(source, tmp_path / "b.zip")

    @pytest.mark.parametrize(("flag", "kind"), [("flag_bits", "encrypted"), ("compress_type", "Python cannot read")])
    def test_what_python_cannot_read_is_named_before_a_member_is_read(self, tmp_path, flag, kind):
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("Normal/1.png", grey())
            setattr(archive.filelist[0], flag, 1 if flag == "flag_bits" else 9)  # 9: Deflate64
        with pytest.raises(ChestTransferError, match=f"'Normal/1.png', .*{kind}; unpack .*, and name the folder"):
            Archive(path)
        both = make_zip(tmp_path / "b.zip", {"inner.zip": path.read_bytes()})
        with pytest.raises(ChestTransferError, match=r"'inner' cannot be read .*; unpack it, and name the folder"):
            pack(both, tmp_path / "c.zip")


HEADER = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,a,b,c,d,"


def nih_as(change) -> dict[str, bytes | str]:
    """Forty images with NIH's table and lists; `change` renames or replaces members."""
    names = [f"{number:08d}_000.png" for number in range(40)]
    finding = ("Effusion", "No Finding")
    rows = [f"{name},{finding[n % 2]},0,{n},0{30 + n}Y,M,PA,1,1,1,1," for n, name in enumerate(names)]
    members = {f"images/{name}": grey(number) for number, name in enumerate(names)}
    members |= {"Data_Entry_2017.csv": "\n".join([HEADER, *rows]) + "\n"}
    members |= {"test_list.txt": "\n".join(names[:10]), "train_val_list.txt": "\n".join(names[10:])}
    return change(members)


def renamed(old: str, new: str):
    return lambda members: {name.replace(old, new): content for name, content in members.items()}


def with_copies(members: dict, change=lambda content: content) -> dict:
    return members | {f"more/{name}": change(data) for name, data in members.items() if name.endswith(".png")}


def without_lists(members: dict) -> dict:
    return {name: content for name, content in members.items() if not name.endswith(".txt")}


class TestNihTables:
    @pytest.mark.parametrize(
        ("change", "not_used"),
        [
            (renamed("_000.png", "_000.jpg"), {}),
            (renamed("_000.png", "_000.PNG"), {}),
            (renamed("_000.png", "_000.jpeg"), {}),
            (renamed("images/", "images_001/images/"), {}),
            (renamed("Data_Entry_2017.csv", "data_entry_2017_v2020.CSV"), {}),
            (renamed("_list.txt", "_List.txt"), {}),
            (
                lambda members: members | {"a/logo.png": grey(1), "b/logo.png": grey(2)},
                {"absent_from_table": 2},
            ),
            (with_copies, {"nested_copy": 40}),
            (lambda members: members | {"masks/00000001_000_mask.png": grey(99)}, {"absent_from_table": 1}),
            (lambda members: members | {"copy/Data_Entry_2017.csv": members["Data_Entry_2017.csv"]}, {}),
        ],
    )
    def test_every_image_is_found(self, tmp_path, change, not_used):
        summary = preprocessed(tmp_path, "nih", make_zip(tmp_path / "a.zip", nih_as(change)))
        assert sum(summary["images"].values()) == 40
        assert (summary["official_test"], summary["images"]["test"]) == (OWN, 10)
        assert summary["not_used"] == not_used
        table = pd.read_csv(tmp_path / "arrays/images.csv")
        assert list(table["age"].unique()) == ["18-39", "40-59", "60-79"]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                lambda members: with_copies(members, lambda data: data + b"0"),
                "two different images of one name, images/0",
            ),
            (
                lambda members: members | {"sample_labels.csv": members["Data_Entry_2017.csv"] + "\n"},
                "tables of labels that differ: Data_Entry_2017.csv, sample_labels.csv; keep one of them",
            ),
            (renamed("2017.csv", "2017.xlsx"), "holds no Data_Entry_2017.csv; save Data_Entry_2017.xlsx as CSV"),
            (without_lists, "or make the splits here: -S preprocess.splits=pooled"),
            (
                lambda members: members | {"folds/test_list.txt": "x.png"},
                "lists that differ: folds/test_list.txt, test_l",
            ),
            (lambda members: members | {"test_list_NIH.txt": "x.png"}, "holds lists that differ"),
        ],
    )
    def test_what_is_ambiguous_or_missing_is_refused(self, tmp_path, change, message):
        with pytest.raises(ChestTransferError, match=message):
            preprocessed(tmp_path, "nih", make_zip(tmp_path / "a.zip", nih_as(change)))

    def test_without_lists_the_splits_are_made_on_request(self, tmp_path):
        source = make_zip(tmp_path / "a.zip", nih_as(without_lists))
        summary = preprocessed(tmp_path, "nih", source, splits="pooled")
        assert summary["official_test"] is MADE_HERE
        assert summary["images"]["test"] == 12
