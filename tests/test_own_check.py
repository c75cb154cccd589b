"""`chest-transfer check`: what is read of one's own radiographs, and what should be mended."""

import re

import numpy as np
import pandas as pd
import pytest
from conftest import change_settings, dicom, encoded, refused, run
from PIL import Image
from ward import write_ward

OWN = {"images": "../ward", "table": "../ward.csv", "image": "File", "label": "Diagnosis", "patient": "MRN"}


@pytest.fixture
def table(project) -> pd.DataFrame:
    return write_ward(project.parent / "ward", 60)


def check(project, table: pd.DataFrame, expected: int, **entry) -> str:
    table.to_csv(project.parent / "ward.csv", index=False)
    change_settings(project / "params.yaml", own={"ward": OWN | entry})
    done = run(project, "chest-transfer", "check", "ward", check=False)
    assert done.returncode == expected, done.stdout + done.stderr
    assert not list(project.glob("data/*"))  # it leaves nothing behind
    return done.stdout


def of_problem(output: str, what: str) -> list[str]:
    """The lines about one problem, without what to do about it."""
    block = re.search(rf"^- {re.escape(what)}: (\d+);.*\n((?:    .*\n?)*)", output, re.MULTILINE)
    assert block, output
    return [block[1], *(line.strip() for line in block[2].splitlines())]


def test_it_counts_classes_splits_patients_and_attributes(project, table):
    output = check(project, table, 0, sex="Sex", view="View")
    assert output.startswith("ward: 72 radiographs of 60 patients\n")
    assert re.search(r"pneumonia +\d+ +\d+ +\d+ +30", output)
    assert output.endswith("Nothing to mend.\n")
    assert re.search(r"sex: [MF] \d+, [MF] \d+", output)
    assert re.search(r"AUCs of 0\.\d\d or more in 80% of cases", output)
    assert of_problem(output, "classes with too few patients for a narrow interval")[0] == "2"


def test_the_patients_that_nobody_named_are_mentioned(project, table):
    output = check(project, table, 0, patient=None)
    assert "The patient of 72 radiographs is unknown" in output


def test_one_radiograph_twice(project, table):
    ward = project.parent / "ward"
    for number, file in enumerate(table["File"][:2]):
        small = Image.open(ward / file).resize((60, 60)).resize((64, 64))
        (ward / f"copy{number}.png").write_bytes(encoded(small))
    rows = [("copy0.png", "pneumonia", 1000), ("copy1.png", "Normal", 9999)]
    table = pd.concat([table, pd.DataFrame(rows, columns=["File", "Diagnosis", "MRN"])])
    output = check(project, table, 2)
    [first, second] = table["File"][:2]
    contradictory = of_problem(output, "pairs of one radiograph with different labels")
    assert contradictory == ["1", f"{first} (Normal) and copy0.png (pneumonia)"]
    assert of_problem(output, "pairs of one radiograph under two patients") == [
        "1", f"{second} (Normal) and copy1.png (Normal)",
    ]  # fmt: skip


def test_what_is_no_frontal_radiograph(project, table):
    ward = project.parent / "ward"
    negative = 255 - np.asarray(Image.open(ward / table["File"][0]))
    (ward / "negative.png").write_bytes(encoded(negative))
    (ward / "black.png").write_bytes(encoded(np.zeros((64, 64), np.uint8)))
    pixels = np.asarray(Image.open(ward / table["File"][3]))
    (ward / "lateral.dcm").write_bytes(dicom(pixels, ViewPosition="LL"))
    rows = [(name, "Normal", 5000 + n) for n, name in enumerate(["negative.png", "black.png", "lateral.dcm"])]
    table = pd.concat([table, pd.DataFrame(rows, columns=["File", "Diagnosis", "MRN"])])
    output = check(project, table, 2)
    assert of_problem(output, "the file states a view that is not frontal") == ["1", "lateral.dcm"]
    assert {"negative.png", "black.png"} <= set(of_problem(output, "images that look unlike the others"))


def test_what_cannot_be_read_is_an_error(project, table):
    table.to_csv(project.parent / "ward.csv", index=False)
    change_settings(project / "params.yaml", own={"ward": OWN | {"label": "Diagnose"}})
    message = refused(run(project, "chest-transfer", "check", "ward", check=False))
    assert "did you mean 'Diagnosis'? (it has: File, Diagnosis, MRN, Sex, Age, View)" in message
    message = refused(run(project, "chest-transfer", "check", "wards", check=False))
    assert message == (
        "error: unknown dataset of your own 'wards'; did you mean 'ward'? (allowed: ward); "
        "describe it under `own` in params.yaml"
    )
