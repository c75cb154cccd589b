"""What was read of one's own radiographs: a row for each image, what was not used, and what should be mended."""

from collections import Counter
from dataclasses import dataclass, field

import pandas as pd

SHOWN = 3  # examples in a message
COLUMNS = ("split", "patient", "sex", "age", "view", "source")  # of the rows, beside those of labels


@dataclass(frozen=True)
class Problem:
    """Something in one's own data that was not used, or should be looked at.

    Args:
        what: str, such as `rows that name no file`.
        examples: tuple of str; all of them.
        remedy: str.
    """

    what: str
    examples: tuple[str, ...]
    remedy: str

    @property
    def in_short(self) -> str:
        """The problem without examples, which may name patients."""
        return f"{self.what}: {len(self.examples)}; {self.remedy}"

    def __str__(self) -> str:
        more = ", ..." if len(self.examples) > SHOWN else ""
        return f"{self.what}: {len(self.examples)} ({', '.join(self.examples[:SHOWN])}{more}); {self.remedy}"


@dataclass
class OwnReading:
    """What was read of one's own radiographs.

    Args:
        classes: tuple of str.
        multi_label: bool, whether each class is present or absent by itself.
        rows: DataFrame of text by the images' names in the archive, in their order, with the columns of
            `own_labels.TableLabels.rows` and those of `COLUMNS`, empty where unknown.
        keep_views: tuple of str, the views that are used; empty for all.
        not_used: Counter, how many images or rows are not used, by reason.
        problems: list of Problem, to be mended.
        notes: list of Problem, to be known.
    """

    classes: tuple[str, ...]
    multi_label: bool
    rows: pd.DataFrame
    keep_views: tuple[str, ...] = ()
    not_used: Counter = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)
