"""Simulated radiographs for trying out a model."""

from functools import cache

import numpy as np

from chest_transfer.phantom.cohorts import COHORTS
from chest_transfer.phantom.patients import Patient, Pose
from chest_transfer.phantom.radiograph import radiograph
from chest_transfer.serving.overlays import encode_png

SIDE = 512  # pixels, the side of a square with as many pixels as an example
SEED = 0x6170706C
EXAMPLES = {  # name -> (cohort, findings)
    "healthy child": ("pneumonia", ()),
    "child with pneumonia": ("pneumonia", ("bacterial_pneumonia",)),
    "healthy adult": ("tuberculosis", ()),
    "tuberculosis": ("tuberculosis", ("tuberculosis",)),
    "COVID": ("covid", ("covid",)),
    "pleural effusion": ("nih", ("Effusion",)),
}


@cache
def example(name: str) -> bytes:
    """Draw one of `EXAMPLES` as PNG: always the same image, of a patient who is in no training set."""
    cohort_name, findings = EXAMPLES[name]
    cohort = COHORTS[cohort_name]
    rng = np.random.default_rng([SEED, list(EXAMPLES).index(name)])
    patient = Patient.random(rng, cohort.sample_age_range(rng))
    pose = Pose.random(rng, patient)
    shape = round(SIDE * pose.aspect**0.5), round(SIDE / pose.aspect**0.5)
    scanner = cohort.sample_scanner(rng)
    return encode_png(radiograph(patient, findings, rng, shape, scanner, pose, severity=0.8).pixels)
