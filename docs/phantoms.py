"""docs/phantoms.png: every finding that is simulated, each beside the same patient without it.

    python -m docs.phantoms

The same code gives the same bytes.
"""

from dataclasses import replace

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from chest_transfer.phantom.findings import FINDINGS
from chest_transfer.phantom.patients import Patient, Pose
from chest_transfer.phantom.radiograph import SimulatedRadiograph, radiograph

SMALL = ("Atelectasis", "Mass", "Nodule", "Pleural_Thickening", "Hernia")  # shown with their box
# Patients to show in place of those whose first one shows little of it.
OTHERS = {"bacterial_pneumonia": 37, "lung_opacity": 37, "Mass": 36, "Nodule": 22, "Consolidation": 31,
          "Emphysema": 31, "Fibrosis": 39}  # fmt: skip
CHILDREN = ("bacterial_pneumonia", "viral_pneumonia")
SIZE, PAIRS = 320, 4


def pair(number: int, finding: str) -> tuple[SimulatedRadiograph, SimulatedRadiograph]:
    """One patient in one pose, without and with a finding."""
    seed = [OTHERS.get(finding, number), 3]
    random = np.random.default_rng(seed)
    patient = Patient.random(random, (2, 5) if finding in CHILDREN else (25, 80))
    pose = replace(Pose.random(random, patient), width=2.6, shift=(0.0, 0.0))
    scanner = "pneumonia" if finding in CHILDREN else "tuberculosis"
    return tuple(
        radiograph(patient, shown, np.random.default_rng([*seed, 1]), (SIZE, SIZE), scanner, pose, 0.85)
        for shown in ((), (finding,))
    )


def corners(axis, box: tuple[int, int, int, int]) -> None:
    """The corners of a finding's box, on the right one of two radiographs."""
    x, y, width, height = box
    x, y, width, height = x + SIZE - 6, y - 6, width + 12, height + 12
    reach = 0.25 * min(width, height)
    for left, top, right, down in (
        (x, y, 1, 1),
        (x + width, y, -1, 1),
        (x, y + height, 1, -1),
        (x + width, y + height, -1, -1),
    ):
        axis.plot([left + right * reach, left, left], [top, top, top + down * reach], color="#ffd166", linewidth=1.1)


def main() -> None:
    rows = -(-len(FINDINGS) // PAIRS)
    size = (PAIRS * 4.1, rows * 2.25)
    figure, axes = plt.subplots(rows, PAIRS, figsize=size, layout="constrained", facecolor="#111111")
    for axis in axes.flat:
        axis.set_axis_off()
    for number, (finding, axis) in enumerate(zip(FINDINGS, axes.flat, strict=False)):
        plain, ill = pair(number, finding)
        axis.imshow(np.hstack([plain.pixels, ill.pixels]), cmap="gray", vmin=0, vmax=255)
        if finding in SMALL:
            for box in ill.boxes[finding]:
                corners(axis, box)
        axis.set(xlim=(0, 2 * SIZE), ylim=(SIZE, 0))
        name = finding.replace("_", " ").capitalize().replace("Covid", "COVID")
        axis.set_title(f"normal   |   {name}", fontsize=10, color="#eeeeee", pad=3)
    figure.savefig("docs/phantoms.png", dpi=100, metadata={"Software": None})
    print("docs/phantoms.png")


if __name__ == "__main__":
    main()
