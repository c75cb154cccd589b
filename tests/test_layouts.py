"""The layout of each public archive, and its pitfalls."""

import hashlib

import pytest
from conftest import grey, make_zip

from chest_transfer.data.archives import Archive
from chest_transfer.data.catalog import CATALOG, dataset_named
from chest_transfer.data.descriptions import age_band
from chest_transfer.data.findings import NIH_FINDINGS, NO_FINDING
from chest_transfer.data.layouts import Prepared, pneumonia_patient
from chest_transfer.data.listing import read_listing
from chest_transfer.errors import ChestTransferError

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)


def read(tmp_path, dataset: str, members: dict):
    with Archive(make_zip(tmp_path / "archive.zip", members)) as archive:
        return read_listing(CATALOG[dataset].layout, archive)


def nih(rows: list[str], header: str = HEADER, **changes) -> dict:
    """An NIH archive of these table rows; the first image is in the test list, the others in the training list."""
    names = [row.split(",")[0] for row in rows]
    members = {f"images_{1 + i % 12:03d}/images/{name}": grey(i) for i, name in enumerate(names)}
    members |= {"Data_Entry_2017.csv": "\n".join([header, *rows]) + "\n"}
    members |= {"test_list.txt": names[0], "train_val_list.txt": "\n".join(names[1:])}
    return members | changes


class TestPneumonia:
    TREE = {  # noqa: RUF012
        "chest_xray/train/NORMAL/IM-0115-0001.jpeg": b"1",
        "chest_xray/train/PNEUMONIA/person1_bacteria_1.jpeg": b"2",
        "chest_xray/val/NORMAL/NORMAL2-IM-1427-0001.jpeg": b"3",
        "chest_xray/test/PNEUMONIA/person1_virus_6.jpeg": b"4",
        "chest_xray/test/NORMAL/IM-0001-0001.jpeg": b"5",
    }

    def test_the_nested_second_copy_is_not_read_twice(self, tmp_path):
        copy = {
            name.replace("chest_xray/", "chest_xray/chest_xray/", 1): content for name, content in self.TREE.items()
        }
        listing = read(tmp_path, "pneumonia", self.TREE | copy)
        assert len(listing.radiographs) == 5
        assert listing.not_used == {"nested_copy": 5}
        assert all(radiograph.member.count("chest_xray/") == 1 for radiograph in listing.radiographs)

    def test_resource_forks_beside_the_images_are_ignored(self, tmp_path):
        forks = {
            "chest_xray/__MACOSX/train/NORMAL/._IM-0115-0001.jpeg": b"",
            "__MACOSX/chest_xray/train/NORMAL/._IM-0115-0001.jpeg": b"",
            "chest_xray/train/NORMAL/.DS_Store": b"",
        }
        listing = read(tmp_path, "pneumonia", self.TREE | forks)
        assert len(listing.radiographs) == 5
        assert not listing.not_used

    def test_the_official_test_split_is_kept_and_the_small_validation_split_joins_train(self, tmp_path):
        splits = {r.name: r.split for r in read(tmp_path, "pneumonia", self.TREE).radiographs}
        assert splits["test/NORMAL/IM-0001-0001.jpeg"] == "test"
        assert splits["val/NORMAL/NORMAL2-IM-1427-0001.jpeg"] == "train"

    def test_mendeley_has_the_same_children_without_a_validation_split(self, tmp_path):
        tree = {name: content for name, content in self.TREE.items() if "/val/" not in name}
        assert len(read(tmp_path, "mendeley", tree).radiographs) == 4
        assert CATALOG["mendeley"].same_patients_as == "pneumonia"

    @pytest.mark.parametrize(
        ("stem", "patient"),
        [
            ("person1_bacteria_1", "bacteria-1"),
            ("person1_virus_6", "virus-1"),  # another child than person1_bacteria
            ("person447_virus_921_1", "virus-447"),
            ("IM-0115-0001", "IM-0115"),
            ("IM-0115-0001-0002", "IM-0115"),
            ("NORMAL2-IM-0115-0001", "NORMAL2-IM-0115"),  # another child than IM-0115
            ("BACTERIA-1008087-0001", "BACTERIA-1008087"),
            ("NORMAL-1003233-0001", "NORMAL-1003233"),
            ("scan", None),
        ],
    )
    def test_patients_with_one_number_are_different_for_each_subtype_and_prefix(self, stem, patient):
        assert pneumonia_patient(stem) == patient

    def test_of_two_copies_side_by_side_one_is_read_and_two_different_archives_are_refused(self, tmp_path):
        twice = {name.replace("chest_xray", root): data for name, data in self.TREE.items() for root in ("a", "b")}
        listing = read(tmp_path, "pneumonia", twice)
        assert (len(listing.radiographs), listing.not_used) == (5, {"nested_copy": 5})
        twice["b/test/NORMAL/IM-0001-0001.jpeg"] = b"another"
        with pytest.raises(
            ChestTransferError, match=r"radiographs of all classes in two places, a/.* and b/test/NORMAL"
        ):
            read(tmp_path, "pneumonia", twice)

    def test_the_archive_of_another_dataset_is_refused(self, tmp_path):
        with pytest.raises(ChestTransferError, match=r"no radiographs of Tuberculosis; .* chest_xray/test/NORMAL"):
            read(tmp_path, "tuberculosis", self.TREE | {"README.txt": ""})
        with pytest.raises(ChestTransferError, match=r"holds no TB_Chest_Radiography_Database/Normal\|Tuberculosis"):
            read(tmp_path, "tuberculosis", {"x/COVID/a.png": b""})


class TestCovid:
    CLASSES = ("COVID", "Lung_Opacity", "Normal", "Viral_Pneumonia")
    WITHOUT_IMAGES_FOLDER = {f"D/{name.replace('Viral_', 'Viral ')}/{name}-1.png": b"" for name in CLASSES}  # noqa: RUF012

    def test_masks_are_ignored_and_names_may_contain_spaces(self, tmp_path):
        root = "COVID-19_Radiography_Dataset"
        listing = read(
            tmp_path,
            "covid",
            {
                f"{root}/Viral Pneumonia/images/Viral Pneumonia-1.png": b"1",
                f"{root}/Viral Pneumonia/masks/Viral Pneumonia-1.png": b"2",
                f"{root}/COVID/images/COVID-1.png": b"3",
                f"{root}/COVID/masks/COVID-1.png": b"4",
                f"{root}/COVID.metadata.xlsx": b"5",
                f"{root}/Normal/images/Normal-1.png": b"6",
                f"{root}/Lung_Opacity/images/Lung_Opacity-1.png": b"7",
            },
        )
        assert [radiograph.labels[0] for radiograph in listing.radiographs] == list(self.CLASSES)
        assert listing.not_used == {"other_folder": 2}

    def test_early_releases_without_an_images_folder_are_read(self, tmp_path):
        assert len(read(tmp_path, "covid", self.WITHOUT_IMAGES_FOLDER).radiographs) == 4

    def test_patients_are_unknown(self, tmp_path):
        listing = read(tmp_path, "covid", self.WITHOUT_IMAGES_FOLDER)
        assert [radiograph.patient for radiograph in listing.radiographs] == [None] * 4


class TestNih:
    ROWS = (
        "00000001_000.png,Cardiomegaly|Emphysema,0,1,58,M,PA,2682,2749,0.143,0.143,",
        "00000002_000.png,No Finding,0,2,81,M,PA,2500,2048,0.171,0.171,",
        "00000002_001.png,Infiltration|Effusion,1,2,81,M,AP,2500,2048,0.171,0.171,",
        "00000003_000.png,Hernia,0,3,74,F,PA,2500,2048,0.168,0.168,",
    )

    def test_the_comma_inside_a_column_name_shifts_no_column(self, tmp_path):
        listing = read(tmp_path, "nih", nih(self.ROWS))
        assert [r.labels for r in listing.radiographs] == [
            ("Cardiomegaly", "Emphysema"), (), ("Effusion", "Infiltration"), ("Hernia",)
        ]  # fmt: skip
        assert [r.patient for r in listing.radiographs] == ["00000001", "00000002", "00000002", "00000003"]
        assert [r.split for r in listing.radiographs] == ["test", "train", "train", "train"]

    def test_the_other_version_of_the_table_gives_the_same_listing_and_another_hash(self, tmp_path):
        # Ages as 058Y, no trailing comma.
        rows = [row.rstrip(",").replace(",58,", ",058Y,") for row in self.ROWS]
        old, new = read(tmp_path, "nih", nih(self.ROWS)), read(tmp_path, "nih", nih(rows, HEADER.rstrip(",")))
        assert old.radiographs == new.radiographs
        assert old.tables != new.tables
        content = nih(self.ROWS)["Data_Entry_2017.csv"].encode()
        assert old.tables == {"Data_Entry_2017.csv": hashlib.sha256(content).hexdigest()}

    def test_the_table_of_2020_is_read_where_it_is_the_only_one(self, tmp_path):
        members = nih(self.ROWS)
        members["Data_Entry_2017_v2020.csv"] = members.pop("Data_Entry_2017.csv")
        assert len(read(tmp_path, "nih", members).radiographs) == 4

    def test_infiltrate_is_read_as_infiltration(self, tmp_path):
        rows = [row.replace("Infiltration|Effusion", "Infiltrate") for row in self.ROWS]
        assert read(tmp_path, "nih", nih(rows)).radiographs[2].labels == ("Infiltration",)

    def test_an_unknown_finding_is_refused(self, tmp_path):
        with pytest.raises(
            ChestTransferError, match=r"gives 00000003_000.png the finding 'Hernya' \(known: Atelectasis"
        ):
            read(tmp_path, "nih", nih([row.replace("Hernia", "Hernya") for row in self.ROWS]))

    def test_images_that_are_not_used_are_counted_by_reason(self, tmp_path):
        members = nih(self.ROWS, **{"images_009/images/00000009_000.png": grey(9)})
        members.pop("images_002/images/00000002_000.png")
        members["train_val_list.txt"] = "00000002_000.png\n00000002_001.png"
        listing = read(tmp_path, "nih", members)
        assert len(listing.radiographs) == 2
        assert listing.not_used == {"listed_but_absent": 1, "in_neither_split_list": 1, "absent_from_table": 1}

    @pytest.mark.parametrize("absent", ["Data_Entry_2017.csv", "test_list.txt", "train_val_list.txt"])
    def test_a_missing_table_is_named_in_the_error(self, tmp_path, absent):
        members = nih(self.ROWS)
        members.pop(absent)
        with pytest.raises(ChestTransferError, match=f"holds no {absent}"):
            read(tmp_path, "nih", members)

    def test_another_table_under_the_same_name_is_refused(self, tmp_path):
        with pytest.raises(
            ChestTransferError, match=r"starts with 'a,b' where 'Image Index,Finding Labels,' should be"
        ):
            read(tmp_path, "nih", nih(self.ROWS, **{"Data_Entry_2017.csv": "a,b"}))

    def test_the_classes_of_top15_are_the_most_frequent_combinations(self, tmp_path):
        listing = read(tmp_path, "nih_top15", nih(self.ROWS))
        assert [r.labels for r in listing.radiographs] == [("No Finding",), ("Effusion|Infiltration",)]
        assert listing.not_used == {"other_combination": 2}
        assert len(CATALOG["nih_top15"].classes) == 15
        assert {part for name in CATALOG["nih_top15"].classes for part in name.split("|")} <= {
            *NIH_FINDINGS,
            NO_FINDING,
        }

    def test_balanced_takes_at_most_800_of_a_class_whatever_the_order(self, tmp_path):
        rows = [f"{n:08d}_000.png,No Finding,0,{n},50,M,PA,1,1,1,1," for n in range(1, 1001)]
        rows += [f"{n:08d}_000.png,Mass,0,{n},50,M,PA,1,1,1,1," for n in range(2001, 2011)]
        listing = read(tmp_path, "nih_balanced", nih(rows))
        assert listing.not_used == {"beyond_the_cap": 200}
        assert len(listing.radiographs) == 810
        backwards = read(tmp_path, "nih_balanced", nih([rows[0], *reversed(rows[1:])]))
        assert [r.name for r in backwards.radiographs] == [r.name for r in listing.radiographs]


def test_every_entry_of_the_catalog_is_consistent():
    for dataset in CATALOG.values():
        assert len(set(dataset.classes)) == len(dataset.classes) >= 2
        assert dataset.same_patients_as is None or dataset.same_patients_as in CATALOG


def test_a_dataset_that_is_not_in_the_catalog_is_ones_own():
    assert dataset_named("pneumonia") is CATALOG["pneumonia"]
    assert dataset_named("ward").layout == Prepared()


@pytest.mark.parametrize(
    ("text", "band"),
    [
        # As DICOM writes ages: three digits and a unit.
        ("018M", "0-17"),
        ("003W", "0-17"),
        ("010D", "0-17"),
        ("216M", "18-39"),
        ("045Y", "40-59"),
        ("018Y", "18-39"),
        ("000Y", "0-17"),
        # As tables write them: years.
        ("58", "40-59"),
        ("58.0", "40-59"),
        ("17.9", "0-17"),
        ("80", "80+"),
        ("120", "80+"),
        # What no patient can be: NIH's table has ages up to 414.
        ("414", ""),
        ("121", ""),
        ("414Y", ""),
        ("", ""),
        ("abc", ""),
        ("-5", ""),
        ("58X", ""),
        ("nan", ""),
    ],
)
def test_the_age_band_of_any_notation(text, band):
    assert age_band(text) == band
