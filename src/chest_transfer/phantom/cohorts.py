"""Who comes to each simulated dataset: ages, views, scanners, and what they have, as often as in the public archive."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from chest_transfer.data.layouts import FINDINGS
from chest_transfer.phantom.detector import SCANNERS

# Images of NIH ChestX-ray14 by their labels (Data_Entry_2017.csv, 112,120 images): the commonest combinations...
NIH_COMBINATIONS = {
    "No Finding": 60361, "Infiltration": 9547, "Atelectasis": 4215, "Effusion": 3955, "Nodule": 2705,
    "Pneumothorax": 2194, "Mass": 2139, "Effusion|Infiltration": 1603, "Atelectasis|Infiltration": 1350,
    "Consolidation": 1310, "Atelectasis|Effusion": 1165, "Pleural_Thickening": 1126, "Cardiomegaly": 1093,
    "Emphysema": 892, "Infiltration|Nodule": 829, "Atelectasis|Effusion|Infiltration": 737, "Fibrosis": 727,
    "Edema": 628, "Cardiomegaly|Effusion": 484, "Consolidation|Infiltration": 441, "Infiltration|Mass": 420,
    "Effusion|Pneumothorax": 403, "Effusion|Mass": 402, "Atelectasis|Consolidation": 398, "Mass|Nodule": 394,
    "Edema|Infiltration": 392, "Infiltration|Pneumothorax": 345, "Consolidation|Effusion": 337,
    "Emphysema|Pneumothorax": 337, "Pneumonia": 322,
}  # fmt: skip
# ... and all images that show a finding, alone or with others.
NIH_IMAGES = 112_120
NIH_FINDINGS = {
    "Infiltration": 19894, "Effusion": 13317, "Atelectasis": 11559, "Nodule": 6331, "Mass": 5782, "Pneumothorax": 5302,
    "Consolidation": 4667, "Pleural_Thickening": 3385, "Cardiomegaly": 2776, "Emphysema": 2516, "Edema": 2303,
    "Fibrosis": 1686, "Pneumonia": 1431, "Hernia": 227,
}  # fmt: skip

_BEYOND = {
    name: count - sum(images for combination, images in NIH_COMBINATIONS.items() if name in combination.split("|"))
    for name, count in NIH_FINDINGS.items()
}


@dataclass(frozen=True)
class Cohort:
    """The patients of one dataset.

    Args:
        ages: youngest and oldest, years; of several groups if there are several.
        scanners: keys of `detector.SCANNERS`.
        classes: class -> (images of it in the public archive, the findings that stand for it with their shares).
        findings: in place of classes, what draws the findings of one image.
    """

    ages: tuple[tuple[int, int], ...]
    scanners: tuple[str, ...]
    classes: dict[str, tuple[int, dict[str, float]]] = field(default_factory=dict)
    findings: Callable[[np.random.Generator], tuple[str, ...]] | None = None

    def ages_of(self, rng: np.random.Generator) -> tuple[int, int]:
        return self.ages[rng.integers(len(self.ages))]

    def scanner_of(self, rng: np.random.Generator) -> str:
        return self.scanners[rng.integers(len(self.scanners))]


def nih_findings(rng: np.random.Generator) -> tuple[str, ...]:
    """The findings of one image, none or several, as often together as in NIH ChestX-ray14; sorted."""
    counts = np.array(list(NIH_COMBINATIONS.values()))
    drawn = int(rng.integers(NIH_IMAGES))
    if drawn < counts.sum():
        combination = list(NIH_COMBINATIONS)[int(np.searchsorted(np.cumsum(counts), drawn, side="right"))]
        return () if combination == "No Finding" else tuple(combination.split("|"))
    # A rarer combination: one to four findings, each as likely as it is beyond the common ones.
    likely = np.array(list(_BEYOND.values()), dtype=float)
    several = int(rng.choice([1, 2, 3, 4], p=[0.1, 0.4, 0.35, 0.15]))
    return tuple(sorted(rng.choice(list(_BEYOND), several, replace=False, p=likely / likely.sum()).tolist()))


def any_findings(rng: np.random.Generator) -> tuple[str, ...]:
    """None to three of NIH's findings, each as likely as another: rare ones are taught as well; sorted."""
    several = int(rng.choice([0, 1, 2, 3], p=[0.3, 0.4, 0.2, 0.1]))
    return tuple(sorted(rng.choice(FINDINGS, several, replace=False).tolist()))


_VIRAL, _BACTERIAL = "viral_pneumonia", "bacterial_pneumonia"
COHORTS = {
    "pneumonia": Cohort(
        ((1, 5),), ("pneumonia",), {"NORMAL": (1583, {}), "PNEUMONIA": (4273, {_BACTERIAL: 0.65, _VIRAL: 0.35})}
    ),
    "tuberculosis": Cohort(
        ((15, 80),), ("tuberculosis",), {"Normal": (3500, {}), "Tuberculosis": (700, {"tuberculosis": 1.0})}
    ),
    # In the public archive the viral pneumonias are children's; here all are adults, so that age tells nothing.
    "covid": Cohort(
        ((18, 89),),
        ("covid",),
        {
            "Normal": (10192, {}),
            "COVID": (3616, {"covid": 1.0}),
            "Lung_Opacity": (6012, {"lung_opacity": 1.0}),
            "Viral_Pneumonia": (1345, {_VIRAL: 1.0}),
        },
    ),
    "nih": Cohort(((5, 90),), ("nih",), findings=nih_findings),
}
# To pretrain on: anybody, with anything, seen by any scanner.
FRESH = Cohort(((1, 6), (10, 89)), tuple(SCANNERS), findings=any_findings)


def assign_class(cohort: Cohort, number: int) -> tuple[str, str | None]:
    """The class of a cohort's patient by his number, and the finding that stands for it.

    Numbers go round robin over the cumulated shares, so that every class is there, however few the patients.
    """
    images = np.array([count for count, _ in cohort.classes.values()], dtype=float)
    position = (number * 0.6180339887498949) % 1.0
    name = list(cohort.classes)[int(np.searchsorted(np.cumsum(images) / images.sum(), position, side="right"))]
    findings = cohort.classes[name][1]
    if not findings:
        return name, None
    shares = np.cumsum(list(findings.values()))
    return name, list(findings)[int(np.searchsorted(shares, (number * 0.7548776662466927) % 1.0, side="right"))]
