"""One's own radiographs: tables as spreadsheet programs save them, class folders, DICOM, and what is refused."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import PATIENT_NAME, dicom, grey, make_zip

from chest_transfer.data.archives import Archive
from chest_transfer.data.catalog import dataset_named
from chest_transfer.data.image_matching import match_images
from chest_transfer.data.listing import read_listing
from chest_transfer.data.own_archive import write_own_archive
from chest_transfer.data.own_section import Own, check_own_section
from chest_transfer.data.patient_keys import patient_key
from chest_transfer.data.radiographs import decode_image
from chest_transfer.errors import ChestTransferError

IMAGES = [f"2024-0{1 + number % 9}/{number:04d}.png" for number in range(12)]
LABELS = ["Normal", "Pneumonia"] * 6
COLUMNS = {"image": "File", "label": "Diagnosis"}
PLAIN = "File,Diagnosis\n" + "".join(f"{image},{label}\n" for image, label in zip(IMAGES, LABELS, strict=True))


@pytest.fixture
def ward(tmp_path) -> Path:
    for number, image in enumerate(IMAGES):
        (tmp_path / "ward" / image).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "ward" / image).write_bytes(grey(number))
    return tmp_path / "ward"


def packed(ward: Path, table: str | bytes | None = None, name: str = "labels.csv", table_path="", **entry):
    """Write the archive of a ward, and return what was read and the archive's path."""
    if table_path:
        entry["table"] = table_path
    if table is not None:
        entry = COLUMNS | {"table": str(ward.parent / name)} | entry
        Path(entry["table"]).write_bytes(table.encode() if isinstance(table, str) else table)
    target = ward.parent / "own.zip"
    reading = write_own_archive("ward", Own.model_validate({"images": str(ward)} | entry), target)
    return reading, target


def labels_of(archive: Path) -> dict[str, tuple[str, ...]]:
    with Archive(archive) as opened:
        listing = read_listing(dataset_named("ward").layout, opened)
    return {radiograph.name: radiograph.labels for radiograph in listing.radiographs}


def sheet(table: pd.DataFrame, **options) -> bytes:
    buffer = io.BytesIO()
    table.to_excel(buffer, index=False, **options)
    return buffer.getvalue()


FRAME = pd.read_csv(io.StringIO(PLAIN), dtype=str)
AS_SAVED = {
    "commas": PLAIN,
    "semicolons": PLAIN.replace(",", ";"),
    "tabs": PLAIN.replace(",", "\t"),
    "bars": PLAIN.replace(",", "|"),
    "carriage returns": PLAIN.replace("\n", "\r\n"),
    "a byte order mark": b"\xef\xbb\xbf" + PLAIN.encode(),
    "UTF-16": PLAIN.encode("utf-16"),
    "Windows-1252": PLAIN.replace("Diagnosis", "Diagnosis;\xdcbersicht".replace(";", " ")).encode("cp1252"),
    "a line that states the separator": "sep=;\n" + PLAIN.replace(",", ";"),
    "everything quoted": FRAME.to_csv(index=False, quoting=1),
    "blanks around cells": PLAIN.replace(",", " , "),
    "no-break spaces": PLAIN.replace(",", "\N{NO-BREAK SPACE},\N{NO-BREAK SPACE}"),
    "separators at the end of each line": PLAIN.replace("\n", ",,,\n"),
    "empty rows": PLAIN.replace("\n", "\n,\n"),
    "a title above": "Ward 7, 2024\n\n".replace(",", "") + PLAIN,
    "a header in capitals": PLAIN.replace("File,Diagnosis", "FILE ,DIAGNOSIS"),
    "labels in other case": PLAIN.replace("Normal", "NORMAL", 2),
    "Windows paths": PLAIN.replace("2024-0", "C:\\Users\\Ward\\2024-0").replace("/", "\\"),
    "paths in another folder": PLAIN.replace("2024-0", "export/ward/2024-0"),
    "names without their suffix": PLAIN.replace(".png", ""),
    "names without their folder": "\n".join(line.split("/")[-1] for line in PLAIN.splitlines()),
    "numbers without leading zeros": "File,Diagnosis\n" + "".join(f"{n},{label}\n" for n, label in enumerate(LABELS)),
    "other suffixes": PLAIN.replace(".png", ".dcm"),
    "an empty column": PLAIN.replace(",", ",,"),
    "a row twice": PLAIN + PLAIN.splitlines()[3] + "\n",
}


@pytest.mark.parametrize("form", AS_SAVED)
def test_a_table_is_read_however_it_was_saved(ward, form):
    table = AS_SAVED[form]
    label = "Diagnosis \xdcbersicht" if form == "Windows-1252" else "Diagnosis"
    reading, archive = packed(ward, table, label=label)
    assert reading.classes == ("Normal", "Pneumonia")
    assert labels_of(archive) == {image: (label,) for image, label in zip(IMAGES, LABELS, strict=True)}


@pytest.mark.parametrize(
    ("form", "table"),
    [
        ("text", FRAME),
        ("numbers as numbers", FRAME.assign(File=range(12))),
        ("numbers with decimals", FRAME.assign(File=np.arange(12.0))),
        ("booleans", FRAME.assign(Diagnosis=[False, True] * 6)),
    ],
)
def test_an_excel_file_is_read(ward, form, table):
    classes = {} if form != "booleans" else {"classes": {"Normal": ["false"], "Pneumonia": ["true"]}}
    _, archive = packed(ward, sheet(table), name="labels.xlsx", **classes)
    assert labels_of(archive) == {image: (label,) for image, label in zip(IMAGES, LABELS, strict=True)}


def test_what_was_guessed_about_a_table_is_mentioned(ward):
    reading, _ = packed(ward, AS_SAVED["Windows-1252"], label="Diagnosis \xdcbersicht")
    assert [note.examples for note in reading.notes] == [("it is not UTF-8, and was read as Windows-1252",)]
    buffer = io.BytesIO()
    with pd.ExcelWriter(buffer) as writer:
        FRAME.to_excel(writer, sheet_name="2024", index=False)
        FRAME.head(2).to_excel(writer, sheet_name="2025", index=False)
    reading, _ = packed(ward, buffer.getvalue(), name="labels.xlsx")
    assert [note.examples for note in reading.notes] == [("of 2 sheets the first visible one was read, '2024'",)]


def test_a_title_above_the_table_in_excel_is_no_header(ward):
    _, archive = packed(ward, sheet(FRAME, startrow=3), name="labels.xlsx")
    assert len(labels_of(archive)) == 12


REFUSED_TABLES = {
    "empty": ("", {}, "is empty"),
    "no table at all": (b"\x89PNG\r\n\x1a\n\0\0", {}, "it contains NUL bytes"),
    "damaged Excel": (b"PK\x03\x04 nothing", {"name": "labels.xlsx"}, "cannot be read as an Excel file"),
    "a Word document": (PLAIN, {"name": "labels.docx"}, "is no table (allowed: .csv"),
    "a column of another name": (PLAIN, {"image": "Image"}, "no column 'Image'"),
    "a misspelt column": (PLAIN, {"label": "Diagnosys"}, "did you mean 'Diagnosis'? (it has: File, Diagnosis)"),
    "two columns of one name": (PLAIN.replace("File,Diagnosis", "File,File"), {}, "two columns 'File'"),
    "text with a separator": (PLAIN.replace("Normal", "Normal, but old", 1), {}, "row 2 has 3 cells"),
    "one class": (PLAIN.replace("Pneumonia", "Normal"), {}, "1 different labels ('Normal', ...)"),
    "free text": (
        "File,Diagnosis\n" + "".join(f"{n},report {n}\n" for n in range(60)), {}, "60 different labels",
    ),
    "labels that are joined": (PLAIN.replace("Normal", "A;B").replace("Pneumonia", "A|C"), {}, "separator: '|'"),
    "a class that nobody has": (PLAIN, {"classes": {"Normal": [], "TB": ["tb"]}}, "has the class 'TB'"),
    "no file at all": (PLAIN.replace("/0", "/x0"), {}, "no row of"),
    "names that occur twice": (
        "File,Diagnosis\n" + "".join(f"same.png,{label}\n" for label in LABELS), {}, "no row of",
    ),
    "a split of another name": (
        PLAIN.replace("Normal", "Normal,first").replace("Pneumonia", "Pneumonia,second").replace("nosis", "nosis,Part"),
        {"split": "Part"}, "row 2 has 'first' (allowed: train, val, test",
    ),
    "a pattern that fits nothing": (PLAIN, {"patient": {"column": "File", "pattern": "patient(\\d+)"}}, "finds nobody"),
    "neither 0 nor 1": (PLAIN, {"label": ["Diagnosis"]}, "row 2 has 'Normal' where 1, 0, yes, no"),
    "an unclosed quote": (PLAIN.replace("Normal", '"Normal', 1), {}, "cannot be read as a table"),
}  # fmt: skip


@pytest.mark.parametrize("problem", REFUSED_TABLES)
def test_a_table_that_does_not_fit_is_refused_in_one_line_with_what_helps(ward, problem):
    table, entry, message = REFUSED_TABLES[problem]
    with pytest.raises(ChestTransferError) as caught:
        packed(ward, table, **entry)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(ward.parent.glob("own.zip*"))


def test_a_missing_table_or_folder_is_refused(ward):
    with pytest.raises(ChestTransferError, match=r"no table at '/nowhere\.csv'; correct `table`"):
        packed(ward, table_path="/nowhere.csv", **COLUMNS)
    with pytest.raises(ChestTransferError, match=r"no radiographs at '/nowhere'; correct own\.ward\.images"):
        packed(ward, images="/nowhere")


def test_two_files_that_a_row_may_mean_are_named(ward):
    (ward / "copies").mkdir()
    (ward / "copies/0003.png").write_bytes(grey(99))
    table = "File,Diagnosis\n" + "".join(
        f"{Path(image).name},{label}\n" for image, label in zip(IMAGES, LABELS, strict=True)
    )
    with pytest.raises(ChestTransferError, match=r"row 5 '0003\.png': 2024-04/0003\.png or copies/0003\.png"):
        packed(ward, table)


class TestProblems:
    """What is left out is counted, and named with its first examples."""

    def test_rows_without_a_file_and_files_without_a_row(self, ward):
        reading, _ = packed(ward, PLAIN.replace("0004", "gone").replace("0005", "lost"))
        assert reading.not_used == {"listed_but_absent": 2, "absent_from_table": 2}
        assert [str(problem) for problem in reading.problems] == [
            "rows that name no file: 2 (row 6 '2024-05/gone.png', row 7 '2024-06/lost.png'); correct column 'File', "
            "or add the files",
            "images that are in no row: 2 (2024-05/0004.png, 2024-06/0005.png); add rows, or leave them out",
        ]

    def test_rows_that_contradict_each_other(self, ward):
        reading, archive = packed(ward, PLAIN + f"{IMAGES[0]},Pneumonia\n")
        assert reading.not_used == {"contradictory_rows": 1}
        assert IMAGES[0] not in labels_of(archive)
        assert len(labels_of(archive)) == 11

    def test_labels_of_no_class_and_empty_ones(self, ward):
        rows = PLAIN.replace("Normal", "abscess", 1).replace("Pneumonia", "?", 1).replace("Normal", "", 1)
        reading, archive = packed(ward, rows, classes={"Normal": [], "Pneumonia": []})
        assert reading.not_used == {"without_label": 3}
        assert len(labels_of(archive)) == 9
        assert any("labels that are of no class: 1 ('abscess' in 1 rows)" in str(p) for p in reading.problems)
        assert any("rows without a label: 3 (row 2" in str(p) for p in reading.problems)

    def test_views_that_are_not_kept(self, ward):
        views = ["PA", "AP", "lateral"] * 4
        rows = "".join(f"{i},{label},{v}\n" for i, label, v in zip(IMAGES, LABELS, views, strict=True))
        view = {"column": "View", "keep": ["pa", "ap"]}
        reading, archive = packed(ward, "File,Diagnosis,View\n" + rows, view=view)
        assert reading.not_used == {"other_view": 4}
        assert len(labels_of(archive)) == 8

    def test_ages_that_nobody_has(self, ward):
        ages = ["44", "7,5", "0,5", "044Y", "414", "-3", "unknown", "", "99", "12", "120", "2024"]
        rows = "".join(f"{i};{label};{age}\n" for i, label, age in zip(IMAGES, LABELS, ages, strict=True))
        reading, _ = packed(ward, "File;Diagnosis;Age\n" + rows, age="Age")
        assert list(reading.rows.loc[IMAGES[:4], "age"]) == ["40-59", "0-17", "0-17", "40-59"]
        problem = next(str(p) for p in reading.problems if p.what == "impossible ages")
        assert problem.startswith("impossible ages: 4 (2024-03/0011.png: '2024', 2024-05/0004.png: '414'")


class TestMatching:
    """One path has to be the end of the other, and an exact one comes first."""

    @pytest.mark.parametrize(
        ("cell", "members", "found"),
        [
            ("p1/view.jpg", ["p2/view.jpg", "p3/view.jpg"], set()),
            ("B/100.png", ["C/100.png", "A/0.png"], set()),
            ("renamed/p1/view.jpg", ["ward/p1/view.jpg", "ward/p2/view.jpg"], {"ward/p1/view.jpg"}),
            ("C:\\ward\\p1\\view.jpg", ["p1/view.jpg", "p2/view.jpg"], {"p1/view.jpg"}),
            ("p1/view.jpg", ["export/p1/view.jpg"], {"export/p1/view.jpg"}),
            ("a/x.png", ["a/x.png", "backup/a/x.png"], {"a/x.png"}),
            ("x.PNG", ["x.png", "x.PNG"], {"x.PNG"}),
            ("12", ["00012.png", "00120.png"], {"00012.png"}),
            ("chest PA 0.png", ["chest  PA\N{NO-BREAK SPACE}0.png"], {"chest  PA\N{NO-BREAK SPACE}0.png"}),
            ("M\u00fcller.png", ["Mu\u0308ller.png"], {"Mu\u0308ller.png"}),
            ("view.jpg", ["p1/view.jpg", "p2/view.jpg"], {"p1/view.jpg", "p2/view.jpg"}),
        ],
    )
    def test_a_cell_means_a_file(self, cell, members, found):
        assert match_images([cell], members) == [found]


@pytest.mark.parametrize(
    ("cell", "key"),
    [
        ("MRN-1", "MRN-1"), ("mrn-1 ", "MRN-1"), ("001000", "1000"), ("12.0", "12"), ("1.000", "1.000"), ("NA", ""),
        ("?", ""), ("ANONYMOUS", ""), ("0", ""), ("A001", "A001"), ("A-001", "A-1"),
    ],
)  # fmt: skip
def test_a_patient_has_one_key(cell, key):
    assert patient_key(cell) == key


def test_patients_that_a_spreadsheet_rounded_are_reported(ward):
    rows = "".join(f"{i};{label};1.23457E+11\n" for i, label in zip(IMAGES, LABELS, strict=True))
    reading, _ = packed(ward, "File;Diagnosis;MRN\n" + rows, patient="MRN")
    assert any(problem.what == "patients that were rounded" for problem in reading.problems)


class TestHealthyFirst:
    def test_stated_classes_are_ordered(self, ward):
        reading, _ = packed(ward, PLAIN, classes={"Pneumonia": [], "Normal": []})
        assert reading.classes == ("Normal", "Pneumonia")

    @pytest.mark.parametrize(
        "healthy", ["unauff\u00e4llig", "ohne Befund", "Non-COVID", "no pneumonia", "\u2212", "-", "Control"]
    )
    def test_words_for_it_are_known(self, ward, healthy):
        reading, _ = packed(ward, PLAIN.replace("Normal", healthy))
        assert reading.classes == (healthy, "Pneumonia")

    def test_where_no_word_is_known_it_is_asked_for(self, ward):
        with pytest.raises(
            ChestTransferError, match="none of the labels of column 'Diagnosis' is known to mean healthy"
        ):
            packed(ward, PLAIN.replace("Normal", "Alpha"))
        reading, _ = packed(ward, PLAIN.replace("Normal", "Alpha"), classes=["Alpha", "Pneumonia"])
        assert reading.classes == ("Alpha", "Pneumonia")

    def test_a_word_of_two_classes_is_refused(self):
        entry = Own.model_validate({"images": "a", "classes": {"Normal": ["ok", "TB"], "TB": []}})
        with pytest.raises(ChestTransferError, match=r"own\.ward\.classes has 'tb' in two classes"):
            check_own_section("ward", entry)


def test_columns_of_labels_may_have_the_names_of_attributes(ward):
    table = "File,split,age\n" + "".join(f"{i},{n % 2},{n % 3 > 0:d}\n" for n, i in enumerate(IMAGES))
    reading, archive = packed(ward, table, label=["split", "age"])
    assert reading.classes == ("split", "age")
    assert labels_of(archive)[IMAGES[1]] == ("split", "age")


def test_views_that_dicom_files_state_count(tmp_path):
    rows = ["File,Diagnosis,View"]
    (tmp_path / "ward").mkdir()
    pixels = np.random.default_rng(1).integers(0, 255, (24, 24)).astype(np.uint8)
    for number, view in enumerate(["PA", "AP", "LL", "PA"] * 3):
        (tmp_path / f"ward/{number}.dcm").write_bytes(dicom(pixels + number, ViewPosition=view))
        rows.append(f"{number}.dcm,{LABELS[number // 2]},")
    view = {"column": "View", "keep": ["PA", "AP"]}
    reading, _ = packed(tmp_path / "ward", "\n".join(rows), view=view)
    assert reading.rows["view"].value_counts().to_dict() == {"PA": 6, "AP": 3}
    assert reading.not_used == {"other_view": 3}
    assert [str(note) for note in reading.notes] == [
        "views that are left out: 1 ('LL': 3 images); add them to view.keep if they are frontal"
    ]


class TestIndependentFindings:
    FINDINGS = ("File;Effusion;Mass\n" + "".join(f"{i};{e};{m}\n" for i, e, m in zip(
        IMAGES, ["1", "0", "", "-1", "yes", "no", "1.0", "0,0", "x", "n/a", "TRUE", "false"],
        ["0", "1", "1", "0", "?", "1", "0", "1", "0", "1", "0", "1"], strict=True,
    )))  # fmt: skip

    @pytest.mark.parametrize(
        ("uncertain", "third", "fourth"), [("ignore", "", ""), ("positive", "1", "1"), ("negative", "0", "0")]
    )
    def test_columns_of_0_and_1(self, ward, uncertain, third, fourth):
        table = self.FINDINGS
        reading, archive = packed(ward, table, label=["Effusion", "Mass"], uncertain=uncertain)
        assert reading.multi_label
        effusion = list(reading.rows.loc[IMAGES, "label:Effusion"])
        assert effusion == ["1", "0", third, fourth, "1", "0", "1", "0", "1", third, "1", "0"]
        assert labels_of(archive)[IMAGES[0]] == ("Effusion",)

    def test_unknown_findings_are_listed_as_unknown(self, ward):
        _, archive = packed(ward, self.FINDINGS, label=["Effusion", "Mass"])
        with Archive(archive) as opened:
            listing = read_listing(dataset_named("ward").layout, opened)
        unknown = {radiograph.name: radiograph.unknown for radiograph in listing.radiographs}
        assert unknown[IMAGES[2]] == ("Effusion",)
        assert unknown[IMAGES[4]] == ("Mass",)
        assert unknown[IMAGES[0]] == ()

    def test_findings_in_one_column(self, ward):
        cells = ["No Finding", "Effusion|Mass", "Mass", "effusion", "", "Normal"] * 2
        table = "File,Findings\n" + "".join(f"{i},{cell}\n" for i, cell in zip(IMAGES, cells, strict=True))
        reading, archive = packed(ward, table, label="Findings", separator="|")
        assert reading.classes == ("Effusion", "Mass")
        assert labels_of(archive)[IMAGES[1]] == ("Effusion", "Mass")
        assert labels_of(archive)[IMAGES[0]] == ()
        assert reading.not_used == {"without_label": 2}

    def test_several_columns_of_one_class(self, ward):
        table = "File,Left,Right\n" + "".join(f"{i},{n % 2},{n % 3 > 1:d}\n" for n, i in enumerate(IMAGES))
        classes = {"Effusion": ["left", "right"]}
        reading, archive = packed(ward, table, label=["Left", "Right"], classes=classes)
        assert reading.classes == ("Effusion",)
        assert [bool(labels_of(archive)[i]) for i in IMAGES] == [n % 2 == 1 or n % 3 > 1 for n in range(12)]


def test_a_column_of_0_and_1_is_two_exclusive_classes(ward):
    table = PLAIN.replace("Normal", "0").replace("Pneumonia", "1").replace("Diagnosis", "pneumonia")
    reading, _ = packed(ward, table, label="pneumonia")
    assert reading.classes == ("no pneumonia", "pneumonia")


def test_patients_become_numbers_and_their_keys_are_nowhere_in_the_archive(ward):
    keys = [f"MRN-{n // 2}" for n in range(12)]
    rows = "".join(f"{i},{label},{key},Jane\n" for i, label, key in zip(IMAGES, LABELS, keys, strict=True))
    reading, archive = packed(ward, "File,Diagnosis,MRN,Name\n" + rows, patient="mrn")
    assert reading.rows["patient"].nunique() == 6
    content = archive.read_bytes()
    assert b"MRN-" not in content
    assert b"Jane" not in content


def test_a_patient_in_the_file_name(ward):
    reading, _ = packed(ward, PLAIN, patient={"column": "File", "pattern": r"/00(\d)"})
    assert reading.rows["patient"].nunique() == 2


class TestClassFolders:
    @pytest.mark.parametrize(
        "layout",
        [
            "{label}/{name}",
            "ward 7/{label}/{name}",
            "{label}/2024-03-01/{name}",
            "{split}/{label}/{name}",
            "{label}/{split}/{name}",
            "data/{split}/{label}/{patient}/{name}",
            "site {site}/{label}/{name}",
            "{patient}/{label}/{name}",
        ],
    )
    def test_with_or_without_splits_and_further_folders(self, tmp_path, layout):
        for number in range(24):
            path = layout.format(
                label=["healthy", "Pneumonia"][number % 2], split=["train", "Test Set"][number % 4 > 1],
                patient=f"p{number // 4}", name=f"{number}.png", site=number // 12,
            )  # fmt: skip
            (tmp_path / "ward" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "ward" / path).write_bytes(grey(number))
        reading, archive = packed(tmp_path / "ward")
        assert reading.classes == ("healthy", "Pneumonia")
        assert set(reading.rows["split"]) == ({"train", "test"} if "split" in layout else {""})
        assert sorted(labels_of(archive).values()) == [("Pneumonia",)] * 12 + [("healthy",)] * 12

    def test_a_zip_of_class_folders_with_masks(self, tmp_path):
        folders = ["Normal/images", "Normal/masks", "TB/images", "TB/masks"]
        make_zip(tmp_path / "own/ward.zip", {f"{folder}/{n}.png": grey(n) for n in range(6) for folder in folders})
        reading, _ = packed(tmp_path / "own", images=str(tmp_path / "own/ward.zip"))
        assert len(reading.rows) == 12
        assert reading.not_used == {"masks": 12}

    def test_classes_of_several_folders(self, tmp_path):
        folders = ["normal", "old normal", "tb", "scans"]
        make_zip(tmp_path / "own/ward.zip", {f"{f}/{n}.png": grey(n) for f in folders for n in range(4)})
        classes = {"Normal": ["old_normal"], "Tuberculosis": ["TB"]}
        reading, _ = packed(tmp_path / "own", images=str(tmp_path / "own/ward.zip"), classes=classes)
        assert reading.rows["label"].value_counts().to_dict() == {"Normal": 8, "Tuberculosis": 4}
        assert reading.not_used == {"other_folder": 4}

    @pytest.mark.parametrize("members", [["a.png", "b.png"], ["one/a.png", "one/b.png"], ["train/a.png", "test/b.png"]])
    def test_without_two_classes_it_is_refused(self, tmp_path, members):
        make_zip(tmp_path / "own/ward.zip", {name: grey(n) for n, name in enumerate(members)})
        with pytest.raises(ChestTransferError, match="put them into a folder for each class"):
            packed(tmp_path / "own", images=str(tmp_path / "own/ward.zip"))

    def test_a_folder_without_images_is_refused(self, tmp_path):
        make_zip(tmp_path / "own/ward.zip", {"notes.txt": "nothing"})
        with pytest.raises(ChestTransferError, match=r"no images of 'ward'; correct own\.ward\.images"):
            packed(tmp_path / "own", images=str(tmp_path / "own/ward.zip"))


class TestDicom:
    SECRETS = (b"Secret", b"HOSP-77", b"19600229", b"Main Street", b"Dr^Who", b"Ward Seven")

    @pytest.fixture
    def pixels(self):
        return np.random.default_rng(1).integers(0, 4000, (40, 36)).astype(np.uint16)

    def write(self, folder, pixels, **changes):
        folder.mkdir()
        facts = {
            "PatientID": "HOSP-77", "PatientBirthDate": "19600229", "StudyDate": "20240228", "PatientSex": "F",
            "PatientAddress": "Main Street", "ReferringPhysicianName": "Dr^Who", "InstitutionName": "Ward Seven",
            "SeriesDescription": "Thorax p.a. Dr^Who", "BitsStored": 12, "HighBit": 11, "ViewPosition": "PA",
        }  # fmt: skip
        rows = ["File,Diagnosis"]
        for number in range(12):
            key = {"PatientID": f"HOSP-77{number // 2}"}
            (folder / f"IM{number:04d}").write_bytes(dicom(pixels + number, **facts | key | changes))
            rows.append(f"IM{number:04d},{LABELS[number]}")
        return "\n".join(rows)

    def test_nothing_that_identifies_a_patient_enters_the_archive(self, tmp_path, pixels):
        table = self.write(tmp_path / "ward", pixels)
        reading, archive = packed(tmp_path / "ward", table)
        content = archive.read_bytes()
        assert not [secret for secret in (*self.SECRETS, PATIENT_NAME.encode()) if secret in content]
        assert reading.rows["patient"].nunique() == 6
        assert set(reading.rows["sex"]) == {"F"}
        assert set(reading.rows["age"]) == {"60-79"}  # born on 29 February 1960, 63 years old
        assert set(reading.rows["view"]) == {"PA"}

    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"PhotometricInterpretation": "MONOCHROME1"},
            {"WindowCenter": 2000, "WindowWidth": 1000},
            {"RescaleSlope": 2, "RescaleIntercept": -100},
            {"PixelPaddingValue": 0},
            {"ViewPosition": "LL"},
            {"ViewPosition": None, "SeriesDescription": "Lateral, Dr^Who"},
            {"BodyPartExamined": "KNEE"},
            {"BodyPartExamined": None, "StudyDescription": "left hand of Dr^Who"},
        ],
    )
    def test_the_picture_and_what_is_unusual_stay(self, tmp_path, pixels, changes):
        table = self.write(tmp_path / "ward", pixels, **changes)
        _, archive = packed(tmp_path / "ward", table)
        before = decode_image((tmp_path / "ward/IM0003").read_bytes(), 32)
        with Archive(archive) as opened:
            after = decode_image(opened.read("IM0003"), 32)
        assert np.array_equal(np.asarray(before.gray), np.asarray(after.gray))
        assert before.warnings == after.warnings

    def test_the_archive_has_the_same_bytes_again(self, tmp_path, pixels):
        table = self.write(tmp_path / "ward", pixels)
        first = packed(tmp_path / "ward", table)[1].read_bytes()
        assert packed(tmp_path / "ward", table)[1].read_bytes() == first

    def test_a_damaged_file_is_left_out_and_named(self, tmp_path, pixels):
        table = self.write(tmp_path / "ward", pixels)
        content = (tmp_path / "ward/IM0004").read_bytes()
        (tmp_path / "ward/IM0004").write_bytes(content[:300])
        reading, archive = packed(tmp_path / "ward", table)
        assert "IM0004" not in zipfile.ZipFile(archive).namelist() or reading.not_used == {}


def test_the_facts_of_an_archive_name_no_file(ward):
    _, archive = packed(ward, PLAIN.replace("0004", "Jane Doe"))
    with zipfile.ZipFile(archive) as opened:
        facts = json.loads(opened.read("dataset.json"))
    assert facts["problems"][0] == "rows that name no file: 1; correct column 'File', or add the files"
