"""The labels of several datasets as one: findings by their meaning, unknown where a dataset does not say."""

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from chest_transfer.data.findings import NIH_FINDINGS, canonical_finding
from chest_transfer.data.label_words import ABSENT, denied, same_text, says_healthy, says_otherwise_ill
from chest_transfer.data.label_words import PRESENT as WORDS_OF_PRESENCE
from chest_transfer.data.own_labels import LABEL, NOT_PRESENT, PRESENT, UNKNOWN
from chest_transfer.errors import ChestTransferError

HEALTHY = "Normal"  # the healthy class of a pool with exclusive classes
_NIH_SPELLING = {canonical_finding(name): name for name in NIH_FINDINGS}


@dataclass(frozen=True)
class MemberLabels:
    """The labels of one dataset.

    Args:
        name: str, of the dataset.
        classes: list of str; `A|B` is the combination of two findings.
        multi_label: bool, whether these are independent.
        images: table `images.csv`.
    """

    name: str
    classes: list[str]
    multi_label: bool
    images: pd.DataFrame

    @property
    def has_healthy_class(self) -> bool:
        """Whether one of the classes says that nothing at all was found."""
        return any(map(says_healthy, self.classes))

    @cached_property
    def findings(self) -> dict[str, str]:
        """How the dataset writes each of its findings, by one name for it, in the order of the classes.

        Classes of the healthy, of those without another class (`no pneumothorax`), and of other illnesses are none.
        """
        parts = [part for name in self.classes for part in name.split("|")]
        names = {canonical_finding(part) for part in parts}
        spelling: dict[str, str] = {}
        for part in parts:
            is_denial = same_text(part) in ABSENT or canonical_finding(denied(part)) in names
            if not (says_healthy(part) or is_denial or says_otherwise_ill(part)):
                spelling.setdefault(canonical_finding(part), part)
        return spelling

    def states(self, findings: list[str]) -> pd.DataFrame:
        """Return `PRESENT`, `NOT_PRESENT` or `UNKNOWN` for each image and finding.

        A finding of this dataset is absent where it is not named. One of another dataset is absent in images of which
        this one says that they are healthy, and unknown in all others.
        """
        own, states = set(self.findings), []
        for labels, unknown in zip(_parts(self.images, "labels"), _parts(self.images, "unknown"), strict=True):
            shown = set(map(canonical_finding, labels))
            absent = set(findings) if any(map(says_healthy, labels)) else own
            absent = absent - set(map(canonical_finding, unknown))
            states.append([
                PRESENT if finding in shown else NOT_PRESENT if finding in absent else UNKNOWN for finding in findings
            ])  # fmt: skip
        return pd.DataFrame(states, columns=findings, dtype=str)


def _parts(images: pd.DataFrame, column: str) -> list[list[str]]:
    if column not in images:
        return [[]] * len(images)
    return [[part for part in cell.split("|") if part] for cell in images[column]]


def pooled_states(members: list[MemberLabels]) -> pd.DataFrame:
    """Return `PRESENT`, `NOT_PRESENT` or `UNKNOWN` for each image of the members, in order, and each of their findings.

    Raises:
        ChestTransferError: a class is called `positive` or the like, which is no finding.
    """
    names: dict[str, str] = {}
    for member in members:
        for finding, written in member.findings.items():
            if same_text(written) in WORDS_OF_PRESENCE:
                raise ChestTransferError(
                    f"the class '{written}' of '{member.name}' names no finding, so it cannot be pooled; call it by "
                    f"its finding: own.{member.name}.classes in params.yaml"
                )
            names.setdefault(finding, _NIH_SPELLING.get(finding, written.replace(" ", "_")))
    states = pd.concat([member.states(list(names)) for member in members], ignore_index=True)
    return states.rename(columns=names)


def as_classes(members: list[MemberLabels], states: pd.DataFrame) -> tuple[tuple[str, ...], bool, pd.DataFrame]:
    """Return the classes of a pool, whether they are independent, and its labels as a table has them.

    The classes are the findings that some image shows, each by itself. They are exclusive where there is one finding in
    all, or where every dataset has the same exclusive classes.

    Args:
        members: list of MemberLabels.
        states: table of `pooled_states`, or some of its rows.

    Returns:
        tuple of str; bool; DataFrame with the rows of the states: columns `label:<class>`, or `label`, empty where
        unknown.

    Raises:
        ChestTransferError: no image shows a finding.
    """
    states = states.loc[:, (states == PRESENT).any()]
    names, findings = list(states), set(map(canonical_finding, states))
    if not names:
        raise ChestTransferError(
            f"no radiograph of {', '.join(member.name for member in members)} shows a finding; pool other datasets"
        )
    are_exclusive = [not member.multi_label and member.has_healthy_class for member in members]
    have_the_same = all(
        findings <= set(member.findings)
        and len(member.classes) == len(member.findings) + 1
        and not any("|" in name for name in member.classes)
        for member in members
    )
    if len(names) == 1:
        absent = HEALTHY if all(are_exclusive) else f"No_{names[0]}"
    elif all(are_exclusive) and have_the_same:
        absent = HEALTHY
    else:
        return tuple(names), True, states.rename(columns=lambda name: LABEL + name)
    label = pd.Series(absent, index=states.index).where((states == NOT_PRESENT).all(axis=1), UNKNOWN)
    for name in names:
        label = label.mask(states[name] == PRESENT, name)
    return (absent, *names), False, pd.DataFrame({"label": label})
