"""Public datasets that come with tables: each layout, simulated, from its archive to arrays; and the traps of each."""

import gzip

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, change_settings, dicom, encoded, grey, make_zip, refused, stage

from chest_transfer.data.catalog import CATALOG, dataset_named
from chest_transfer.data.descriptions import read_images
from chest_transfer.data.findings import NIH_FINDINGS
from chest_transfer.data.own_archive import write_public_archive
from chest_transfer.data.preprocessing import preprocess
from chest_transfer.data.public_sets import public_sets
from chest_transfer.errors import ChestTransferError
from chest_transfer.phantom.public_layouts import LAYOUTS, write_public_layout
from chest_transfer.settings import Phantom, Preprocess

SETTINGS = Preprocess(
    region="whole", outside_lungs="keep", fit="squeeze",
    test_share=0.2, validation_share=0.15, split_seed=1, splits="archive", folders={},
    duplicates="keep",
    max_skipped=0,
)  # fmt: skip
# Of 60 simulated patients, 80 radiographs: those that are used, the patients, and why others are not.
EXPECTED = {
    "chexpert": (76, 60, {"other_view": 4}),
    "mimic_cxr": (76, 60, {"other_view": 4}),
    "padchest": (70, 55, {"other_view": 4, "without_label": 6}),
    "vindr_cxr": (80, 80, {}),
    "rsna_pneumonia": (80, 80, {"listed_twice": 20}),
    "siim_pneumothorax": (80, 80, {"listed_twice": 40}),
    "nih_google": (80, 60, {}),
    "montgomery": (80, 80, {}),
    "shenzhen": (80, 80, {}),
    "tbx11k": (70, 70, {"other_folder": 10}),
}


def test_every_set_has_a_simulated_layout_and_says_where_it_comes_from():
    assert set(public_sets()) == set(LAYOUTS) == set(EXPECTED)
    assert not set(public_sets()) & set(CATALOG)
    for entry in public_sets().values():
        assert entry.home.startswith("https://")
        assert entry.terms


def test_findings_have_the_names_of_nihs():
    shared = {name for entry in public_sets().values() for name in entry.classes} & set(NIH_FINDINGS)
    assert len(shared) >= 13


@pytest.fixture(scope="module", params=sorted(EXPECTED))
def simulated(request, tmp_path_factory):
    """A set's name, what was read of its simulated archive, and its arrays."""
    name, folder = request.param, tmp_path_factory.mktemp(request.param)
    write_public_layout(name, Phantom(seed=1, patients=60, image_size=40), folder / "simulated.zip")
    reading = write_public_archive(name, public_sets()[name], str(folder / "simulated.zip"), folder / "raw.zip")
    summary = preprocess(dataset_named(name), folder / "raw.zip", folder / "arrays", SETTINGS, 32, 1)
    return name, reading, summary, read_images(folder / "arrays")


def test_a_simulated_archive_is_read(simulated):
    name, reading, summary, images = simulated
    used, patients, not_used = EXPECTED[name]
    assert len(reading.rows) == len(images) == used
    assert images["patient"].nunique() == patients
    assert {reason: reading.not_used[reason] for reason in reading.not_used} == not_used
    assert summary["skipped"]["total"] == 0
    assert set(images["split"]) == {"train", "val", "test"}
    if not reading.multi_label:
        assert images["labels"].nunique() == len(reading.classes)
    else:
        assert images["labels"].ne("").any()


def test_patients_are_in_one_split(simulated):
    _, _, _, images = simulated
    assert images.groupby("patient")["split"].nunique().max() == 1


def read(tmp_path, name: str, members: dict):
    reading = write_public_archive(
        name, public_sets()[name], str(make_zip(tmp_path / "a.zip", members)), tmp_path / "b.zip"
    )
    return reading.rows


class TestTraps:
    def test_chexpert_marks_uncertain_findings_and_leaves_out_what_is_not_mentioned(self, tmp_path):
        header = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding," + ",".join(public_sets()["chexpert"].label)
        blank = "," * 8
        rows = [
            f"CheXpert-v1.0/train/patient1/study1/view1_frontal.jpg,Male,60,Frontal,AP,,,1.0,-1.0,0.0{blank}",
            f"CheXpert-v1.0/train/patient1/study1/view2_lateral.jpg,Male,60,Lateral,,,,1.0,,{blank}",
        ]
        members = {row.split(",")[0].replace("v1.0", "v1.0-small"): grey(n) for n, row in enumerate(rows)}
        members |= {
            "CheXpert-v1.0-small/train.csv": "\n".join([header, *rows]),
            "CheXpert-v1.0-small/valid.csv": header,
        }
        table = read(tmp_path, "chexpert", members)
        assert len(table) == 1  # the lateral view is left out
        row = table.iloc[0]
        assert row["label:Cardiomegaly"] == "1"
        assert row["label:Lung_Opacity"] == ""  # -1: uncertain
        assert row["label:Lung_Lesion"] == "0"
        assert row["label:Fracture"] == "0"  # not mentioned

    def test_padchests_images_have_16_bits_and_its_labels_are_lists(self, tmp_path):
        pixels = np.random.default_rng(1).integers(0, 4096, (40, 40)).astype(np.uint16)
        table = pd.DataFrame({
            "ImageID": ["1.png", "2.png", "3.png"], "PatientID": ["7", "7", "8"],
            "Projection": ["PA", "AP_horizontal", "L"], "PatientSex_DICOM": ["F", "F", "M"],
            "MethodLabel": ["Physician"] * 3,
            "Labels": ["['pleural effusion', 'callus rib fracture', 'kyphosis']", "['normal']", "['pneumonia']"],
        })  # fmt: skip
        content = gzip.compress(table.to_csv().encode())
        members = {f"0/{n}.png": encoded(pixels + n) for n in (1, 2, 3)}
        rows = read(
            tmp_path, "padchest", members | {"PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz": content}
        )
        assert list(rows.index) == ["0/1.png", "0/2.png"]
        shown = [name for name in rows if name.startswith("label:") and rows.loc["0/1.png", name] == "1"]
        assert shown == ["label:Effusion", "label:Fracture"]
        assert (rows.loc["0/2.png", [name for name in rows if name.startswith("label:")]] == "0").all()

    @pytest.mark.parametrize(
        ("votes", "label"), [(["R1", "R2"], "1"), (["R1"], "0"), (["R1", "R1"], "0"), (["R1", "R2", "R3"], "1")]
    )
    def test_the_majority_of_vindrs_readers_decides(self, tmp_path, votes, label):
        rows = [f"a,Cardiomegaly,{reader}" for reader in votes]
        rows += [f"a,No finding,{reader}" for reader in ("R1", "R2", "R3") if reader not in votes]
        members = {"train/a.dicom": dicom(np.arange(900, dtype=np.uint8).reshape(30, 30))}
        table = read(tmp_path, "vindr_cxr", members | {"train.csv": "\n".join(["image_id,class_name,rad_id", *rows])})
        assert table.loc["train/a.dicom", "label:Cardiomegaly"] == label

    def test_the_masks_beside_montgomerys_radiographs_are_not_used(self, tmp_path):
        members = {f"MontgomerySet/CXR_png/MCUCXR_000{n}_{n % 2}.png": grey(n) for n in range(4)}
        members |= {f"MontgomerySet/ManualMask/leftMask/MCUCXR_000{n}_{n % 2}.png": grey(n + 50) for n in range(4)}
        assert len(read(tmp_path, "montgomery", members)) == 4

    def test_a_missing_table_is_named_with_where_to_get_it(self, tmp_path):
        with pytest.raises(
            ChestTransferError, match=r"holds no valid\.csv, a table of 'chexpert'.*get it from https://"
        ):
            read(tmp_path, "chexpert", {"train.csv": "Path\n", "a.jpg": grey(1)})


@pytest.mark.slow
def test_a_set_that_cannot_be_downloaded_says_where_to_get_it(project):
    change_settings(project / "params.yaml", datasets=["chexpert"], source="kaggle")
    message = refused(stage(project, "download", "chexpert", check=False))
    assert "no archive of 'chexpert' at 'kaggle' (allowed: phantom, or a path that exists)" in message
    assert "under its terms (Stanford University Dataset Research Use Agreement)" in message


def test_the_page_on_real_data_lists_every_set():
    text = (ROOT / "docs/real-data.md").read_text()
    for name, entry in public_sets().items():
        assert f"| `{name}` | {entry.title}" in text
