"""What a model of one disease answers for radiographs with another disease: python -m bench.other_diseases [MODEL]

Simulated patients like those of the model's dataset, each without and with one other finding, of the same severity for
all. Printed is the share that is called ill. The rule to learn: a negative answer says that one disease was not found.
"""

import argparse

import numpy as np
from PIL import Image

from chest_transfer.data.findings import NIH_FINDINGS
from chest_transfer.evaluation.intervals import proportion_interval
from chest_transfer.phantom.cohorts import COHORTS
from chest_transfer.phantom.patients import Patient, Pose
from chest_transfer.phantom.radiograph import radiograph
from chest_transfer.serving.models import model_file
from chest_transfer.serving.predictor import BATCH, Predictor
from chest_transfer.training.determinism import use_all_threads

SEED, SEVERITY = 0x6F74686572, 0.7
OTHERS = (*NIH_FINDINGS, "tuberculosis", "covid")


def images_of(predictor: Predictor, findings: tuple[str, ...], count: int) -> np.ndarray:
    """Return (count, size, size) uint8 radiographs of the same patients whatever the findings."""
    cohort, side, images = COHORTS[predictor.facts.dataset], predictor.image_size, []
    for number in range(count):
        rng = np.random.default_rng([SEED, number])
        patient = Patient.random(rng, cohort.sample_age_range(rng))
        pose, scanner = Pose.random(rng, patient), cohort.sample_scanner(rng)
        shape = round(2 * side * pose.aspect**0.5), round(2 * side / pose.aspect**0.5)
        pixels = radiograph(patient, findings, rng, shape, scanner, pose, SEVERITY).pixels
        images.append(np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BOX)))
    return np.array(images)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", nargs="?", default="pneumonia")
    parser.add_argument("--patients", type=int, default=200)
    options = parser.parse_args()
    predictor = Predictor(model_file(options.model))
    use_all_threads()
    for finding in ("", *OTHERS):
        images = images_of(predictor, (finding,) if finding else (), options.patients)
        starts = range(0, len(images), BATCH)
        answers = [answer for start in starts for answer in predictor.predict_images(images[start : start + BATCH])]
        called = float(np.mean([labels[1] for _, labels, _ in answers]))
        low, high = proportion_interval(called, options.patients)
        print(
            f"{finding or 'healthy':20} called {predictor.classes[1]}: {called:.0%} ({low:.0%} to {high:.0%})",
            flush=True,
        )


if __name__ == "__main__":
    main()
