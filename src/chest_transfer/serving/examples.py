"""Simulated radiographs to try a model on."""

from functools import cache

import numpy as np

from chest_transfer.phantom.cohorts import COHORTS
from chest_transfer.phantom.patients import Patient, Pose
from chest_transfer.phantom.radiograph import radiograph
from chest_transfer.serving.overlays import png

SIDE = 512
EXAMPLES = {
    "healthy child": ("pneumonia", ()),
    "child with pneumonia": ("pneumonia", ("bacterial_pneumonia",)),
    "healthy adult": ("tuberculosis", ()),
    "tuberculosis": ("tuberculosis", ("tuberculosis",)),
    "COVID": ("covid", ("covid",)),
    "pleural effusion": ("nih", ("Effusion",)),
}


@cache
def example(name: str) -> bytes:
    """The PNG of one of `EXAMPLES`, always the same; of a patient whom no model has seen."""
    cohort, findings = EXAMPLES[name]
    random = np.random.default_rng([0x6170706C, list(EXAMPLES).index(name)])
    patient = Patient.random(random, COHORTS[cohort].ages_of(random))
    pose = Pose.random(random, patient)
    shape = round(SIDE * pose.aspect**0.5), round(SIDE / pose.aspect**0.5)
    return png(radiograph(patient, findings, random, shape, COHORTS[cohort].scanner_of(random), pose, 0.8).pixels)
