"""docs/phantoms.png: every finding that is simulated, each beside the same patient without it.

    python -m docs.phantoms

The same code gives the same bytes.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from chest_transfer.phantom.findings import FINDINGS
from chest_transfer.phantom.patients import Patient, Pose
from chest_transfer.phantom.radiograph import radiograph

CHILDREN = ("bacterial_pneumonia", "viral_pneumonia")
SIZE, PAIRS = 320, 4


def pair(number: int, finding: str) -> tuple[np.ndarray, np.ndarray]:
    """One patient in one pose, without and with a finding."""
    seed = [number, 4]
    random = np.random.default_rng(seed)
    patient = Patient.random(random, (2, 5) if finding in CHILDREN else (25, 80))
    pose = Pose.random(random, patient)
    scanner = "pneumonia" if finding in CHILDREN else "tuberculosis"
    return tuple(
        radiograph(patient, shown, np.random.default_rng([*seed, 1]), (SIZE, SIZE), scanner, pose, 0.75).pixels
        for shown in ((), (finding,))
    )


def main() -> None:
    rows = -(-len(FINDINGS) // PAIRS)
    figure, axes = plt.subplots(
        rows, PAIRS, figsize=(PAIRS * 4.1, rows * 2.25), layout="constrained", facecolor="#111111"
    )
    for axis in axes.flat:
        axis.set_axis_off()
    for number, (finding, axis) in enumerate(zip(FINDINGS, axes.flat, strict=False)):
        axis.imshow(np.hstack(pair(number, finding)), cmap="gray", vmin=0, vmax=255)
        name = finding.replace("_", " ").capitalize().replace("Covid", "COVID")
        axis.set_title(f"normal   |   {name}", fontsize=10, color="#eeeeee", pad=3)
    figure.savefig("docs/phantoms.png", dpi=100, metadata={"Software": None})
    print("docs/phantoms.png")


if __name__ == "__main__":
    main()
