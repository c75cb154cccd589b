"""Several rows of one image: boxes of findings, or several readers, become one row."""

import pandas as pd

from chest_transfer.data.own_labels import NOT_PRESENT, PRESENT, UNKNOWN


def combined_rows(rows: pd.DataFrame, labels: list[str], readers: pd.Series | None, how: str) -> pd.DataFrame:
    """Return one row for each image: a finding is present if any row says so, or the majority of its readers.

    A reader who marks a finding in one of several rows has found it. An even vote is unknown.

    Args:
        rows: DataFrame with the column `member`, and one of `1`, `0` or empty for each label.
        labels: list of str, the columns of labels.
        readers: Series of str, who wrote each row; None where all rows of an image are of one reader.
        how: `any` or `majority`.
    """
    votes = rows[labels].replace({PRESENT: 1.0, NOT_PRESENT: 0.0, UNKNOWN: float("nan")}).astype(float)
    reader = pd.Series("", index=rows.index) if readers is None else readers.loc[rows.index]
    of_reader = votes.groupby([rows["member"], reader]).max()
    of_image = of_reader.groupby(level=0)
    shares = of_image.max() if how == "any" else of_image.mean()
    combined = shares.map(lambda share: PRESENT if share > 0.5 else NOT_PRESENT if share < 0.5 else UNKNOWN)
    first = rows.drop_duplicates("member").set_index("member").drop(columns=labels)
    return first.join(combined).reset_index()
