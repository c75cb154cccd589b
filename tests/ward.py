"""A made-up ward: simulated radiographs in a folder, with a table as a spreadsheet program saves it."""

from pathlib import Path

import numpy as np
import pandas as pd
from conftest import dicom, encoded

from chest_transfer.phantom.patients import Patient, Pose
from chest_transfer.phantom.radiograph import radiograph

DIAGNOSES = {"": "Normal ", "bacterial_pneumonia": "pneumonia", "tuberculosis": "TB (old)"}


def write_ward(folder: Path, patients: int, size: int = 64, as_dicom: bool = False, seed: int = 1) -> pd.DataFrame:
    """Write radiographs of healthy patients and of patients with pneumonia, one or two each, and return their table.

    Files lie in folders of dates: `2024-03-07/0012_1.png`, or `2024-03-07/IM0012` as DICOM.
    """
    rng, rows = np.random.default_rng(seed), []
    for number in range(patients):
        patient = Patient.random(rng, (20, 80))
        finding = "bacterial_pneumonia" if number % 2 else ""
        for exposure in range(1 + (number % 5 == 0)):
            pose = Pose.random(rng, patient)
            image = radiograph(patient, (finding,) * bool(finding), rng, (size, size), "tuberculosis", pose)
            date = f"2024-{1 + number % 12:02d}-{1 + number % 28:02d}"
            name = f"{date}/IM{number:04d}{exposure}" if as_dicom else f"{date}/{number:04d}_{exposure}.png"
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            facts = {"PatientID": f"MRN-{number}", "PatientSex": patient.sex, "PatientAge": f"{patient.age:03d}Y",
                     "ViewPosition": pose.view}  # fmt: skip
            path.write_bytes(dicom(image.pixels, **facts) if as_dicom else encoded(image.pixels))
            rows.append({"File": name, "Diagnosis": DIAGNOSES[finding], "MRN": 1000 + number, "Sex": patient.sex,
                         "Age": patient.age, "View": pose.view})  # fmt: skip
    return pd.DataFrame(rows)
