"""The labels of several datasets as one: findings by their meaning, unknown where a dataset does not say."""

from dataclasses import dataclass

import pandas as pd

from chest_transfer.data.findings import NIH_FINDINGS, canonical_finding
from chest_transfer.data.label_words import is_healthy
from chest_transfer.data.own_labels import LABEL, NOT_PRESENT, PRESENT, UNKNOWN
from chest_transfer.errors import ChestTransferError

HEALTHY = "Normal"  # the healthy class of a pool with exclusive classes
_NIH_SPELLING = {canonical_finding(name): name for name in NIH_FINDINGS}


@dataclass(frozen=True)
class MemberLabels:
    """The labels of one dataset.

    Args:
        name: str, of the dataset.
        classes: list of str; of exclusive ones the first is the healthy one. `A|B` is the combination of two findings.
        multi_label: bool, whether these are independent.
        images: table `images.csv`.
    """

    name: str
    classes: list[str]
    multi_label: bool
    images: pd.DataFrame

    @property
    def findings(self) -> dict[str, str]:
        """How the dataset writes each of its findings, by one name for it, in the order of the classes."""
        spelling: dict[str, str] = {}
        for part in (part for name in self.classes for part in name.split("|") if not is_healthy(part)):
            spelling.setdefault(canonical_finding(part), part)
        return spelling

    def states(self, findings: list[str]) -> pd.DataFrame:
        """Return `PRESENT`, `NOT_PRESENT` or `UNKNOWN` for each image and finding.

        A finding that is among the classes is absent where it is not named. One that is not is absent in images of the
        healthy, and unknown in all others.
        """
        own, states = set(self.findings), []
        for labels, unknown in zip(_parts(self.images, "labels"), _parts(self.images, "unknown"), strict=True):
            shown, not_said = set(map(canonical_finding, labels)), set(map(canonical_finding, unknown))
            absent = set(findings) if any(map(is_healthy, labels)) else own - not_said
            states.append([
                PRESENT if finding in shown else NOT_PRESENT if finding in absent else UNKNOWN for finding in findings
            ])  # fmt: skip
        return pd.DataFrame(states, columns=findings, dtype=str)


def _parts(images: pd.DataFrame, column: str) -> list[list[str]]:
    if column not in images:
        return [[]] * len(images)
    return [[part for part in cell.split("|") if part] for cell in images[column]]


def pooled_labels(members: list[MemberLabels]) -> tuple[tuple[str, ...], bool, pd.DataFrame]:
    """Return the classes of several datasets, whether they are independent, and the labels of all images.

    The classes are the findings that images of any dataset show, each by itself. They are exclusive where there is one
    finding in all, or where every dataset has the same exclusive classes.

    Returns:
        tuple of str; bool; DataFrame with a row for each image of the members, in order: columns `label:<class>`, or
        `label`, empty where unknown.

    Raises:
        ChestTransferError: the first of several exclusive classes is not that of the healthy; nobody is ill.
    """
    for member in members:
        if not member.multi_label and not is_healthy(member.classes[0]):
            raise ChestTransferError(
                f"the first class of '{member.name}', '{member.classes[0]}', is not known to mean healthy, so its "
                "findings cannot be pooled; put that of the healthy first under `classes`, and call it Normal"
            )
    classes: dict[str, str] = {}
    for finding, written in (item for member in members for item in member.findings.items()):
        classes.setdefault(finding, _NIH_SPELLING.get(finding, written.replace(" ", "_")))
    states = pd.concat([member.states(list(classes)) for member in members], ignore_index=True)
    states = states.loc[:, (states == PRESENT).any()]
    findings = list(states)
    names = [classes[finding] for finding in findings]
    if not findings:
        raise ChestTransferError(
            f"no radiograph of {', '.join(member.name for member in members)} shows a finding; pool other datasets"
        )
    are_exclusive = len(findings) == 1 or all(
        not member.multi_label
        and set(member.findings) >= set(findings)
        and not any("|" in name for name in member.classes)
        for member in members
    )
    if not are_exclusive:
        return tuple(names), True, states.rename(columns=lambda finding: LABEL + classes[finding])
    label = pd.Series(HEALTHY, index=states.index).where((states == NOT_PRESENT).all(axis=1), UNKNOWN)
    for finding in findings:
        label = label.mask(states[finding] == PRESENT, classes[finding])
    return (HEALTHY, *names), False, pd.DataFrame({"label": label})
