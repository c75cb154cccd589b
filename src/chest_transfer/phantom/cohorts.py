"""Who is in each simulated dataset: ages, scanners, and findings as frequent as in the public archive."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from chest_transfer.data.findings import NIH_FINDINGS
from chest_transfer.phantom.detector import SCANNERS

# NIH ChestX-ray14 (Wang et al., CVPR 2017), counted in its table Data_Entry_2017.csv.
NIH_IMAGES = 112_120
# Images by label: the most frequent combinations of findings...
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
NIH_FINDING_COUNTS = {
    "Infiltration": 19894, "Effusion": 13317, "Atelectasis": 11559, "Nodule": 6331, "Mass": 5782, "Pneumothorax": 5302,
    "Consolidation": 4667, "Pleural_Thickening": 3385, "Cardiomegaly": 2776, "Emphysema": 2516, "Edema": 2303,
    "Fibrosis": 1686, "Pneumonia": 1431, "Hernia": 227,
}  # fmt: skip
# Images that show a finding in a combination that is not among the most frequent ones.
_RARER_COMBINATIONS = {
    name: count - sum(images for combination, images in NIH_COMBINATIONS.items() if name in combination.split("|"))
    for name, count in NIH_FINDING_COUNTS.items()
}
# Number of findings in one of the rarer combinations, and its probabilities; chosen, not counted.
RARER_COUNTS, RARER_COUNT_PROBABILITIES = (1, 2, 3, 4), (0.1, 0.4, 0.35, 0.15)
# Number of findings of a patient for pretraining, and its probabilities. Each finding is then in one radiograph of
# five: with one of twelve, as many radiographs taught a network less.
FRESH_COUNTS, FRESH_COUNT_PROBABILITIES = (0, 1, 2, 3, 4, 5), (0.1, 0.15, 0.2, 0.2, 0.2, 0.15)

# Steps of two additive low-discrepancy sequences, modulo 1: the inverses of the golden ratio and of the plastic number.
INVERSE_GOLDEN_RATIO, INVERSE_PLASTIC_NUMBER = 0.6180339887498949, 0.7548776662466927


@dataclass(frozen=True)
class Cohort:
    """The patients of one dataset.

    Args:
        ages: tuple of (lowest, highest) pairs of int, years, one for each age group; groups are equally frequent.
        scanners: tuple of str, keys of `detector.SCANNERS`; equally frequent.
        classes: dict from class to (number of its images in the public archive, dict from each finding that stands for
            the class to its fraction); an empty inner dict for normal radiographs.
        findings: function that samples the findings of one image with a numpy Generator, in place of `classes`.
    """

    ages: tuple[tuple[int, int], ...]
    scanners: tuple[str, ...]
    classes: dict[str, tuple[int, dict[str, float]]] = field(default_factory=dict)
    findings: Callable[[np.random.Generator], tuple[str, ...]] | None = None

    def sample_age_range(self, rng: np.random.Generator) -> tuple[int, int]:
        """Sample an age group, (lowest, highest) in years."""
        return self.ages[rng.integers(len(self.ages))]

    def sample_scanner(self, rng: np.random.Generator) -> str:
        """Sample a scanner, a key of `detector.SCANNERS`."""
        return self.scanners[rng.integers(len(self.scanners))]


def nih_findings(rng: np.random.Generator) -> tuple[str, ...]:
    """Sample the findings of one image, sorted, as often alone and together as in NIH ChestX-ray14; () for none."""
    counts = np.array(list(NIH_COMBINATIONS.values()))
    image = int(rng.integers(NIH_IMAGES))
    if image < counts.sum():
        combination = list(NIH_COMBINATIONS)[int(np.searchsorted(np.cumsum(counts), image, side="right"))]
        return () if combination == "No Finding" else tuple(combination.split("|"))
    # One of the rarer combinations: findings as frequent as they are in all of these together.
    weights = np.array(list(_RARER_COMBINATIONS.values()), dtype=float)
    count = int(rng.choice(RARER_COUNTS, p=RARER_COUNT_PROBABILITIES))
    findings = rng.choice(list(_RARER_COMBINATIONS), count, replace=False, p=weights / weights.sum())
    return tuple(sorted(findings.tolist()))


def equally_frequent_findings(rng: np.random.Generator) -> tuple[str, ...]:
    """Sample none to three of NIH's findings, sorted, each as likely as another, so that rare ones are learned too."""
    count = int(rng.choice(FRESH_COUNTS, p=FRESH_COUNT_PROBABILITIES))
    return tuple(sorted(rng.choice(NIH_FINDINGS, count, replace=False).tolist()))


# Class sizes are those of the public archives; age ranges are approximate. Findings are keys of `findings.FINDINGS`.
_VIRAL, _BACTERIAL = "viral_pneumonia", "bacterial_pneumonia"
COHORTS = {
    "pneumonia": Cohort(
        ages=((1, 5),),
        scanners=("pneumonia",),
        classes={"NORMAL": (1583, {}), "PNEUMONIA": (4273, {_BACTERIAL: 0.65, _VIRAL: 0.35})},
    ),
    "tuberculosis": Cohort(
        ages=((15, 80),),
        scanners=("tuberculosis",),
        classes={"Normal": (3500, {}), "Tuberculosis": (700, {"tuberculosis": 1.0})},
    ),
    # In the public archive the viral pneumonias are children's; here all patients are adults, so that the age does not
    # give the class away.
    "covid": Cohort(
        ages=((18, 89),),
        scanners=("covid",),
        classes={
            "Normal": (10192, {}),
            "COVID": (3616, {"covid": 1.0}),
            "Lung_Opacity": (6012, {"lung_opacity": 1.0}),
            "Viral_Pneumonia": (1345, {_VIRAL: 1.0}),
        },
    ),
    "nih": Cohort(ages=((5, 90),), scanners=("nih",), findings=nih_findings),
}
# For pretraining: children and adults, any finding, any scanner.
FRESH = Cohort(ages=((1, 6), (10, 89)), scanners=tuple(SCANNERS), findings=equally_frequent_findings)


def class_and_finding(cohort: Cohort, number: int) -> tuple[str, str | None]:
    """The class of a cohort's patient by number, and the finding that stands for it, None for a normal radiograph.

    Two low-discrepancy sequences choose class and finding by their fractions, so that every class occurs however few
    the patients are.
    """
    images = np.array([count for count, _ in cohort.classes.values()], dtype=float)
    position = (number * INVERSE_GOLDEN_RATIO) % 1.0
    name = list(cohort.classes)[int(np.searchsorted(np.cumsum(images) / images.sum(), position, side="right"))]
    findings = cohort.classes[name][1]
    if not findings:
        return name, None
    cumulative = np.cumsum(list(findings.values()))
    position = (number * INVERSE_PLASTIC_NUMBER) % 1.0
    return name, list(findings)[int(np.searchsorted(cumulative, position, side="right"))]
