"""Tables of the report in HTML that screen readers can read, and numbers as text."""

from collections.abc import Sequence

import pandas as pd
from markupsafe import Markup

DASH = "\N{EN DASH}"


def with_interval(scores: dict, key: str) -> str:
    """Return a score as `0.833 (0.747 to 0.913)`, or a dash where there is none."""
    if scores.get(key) is None:
        return DASH
    if scores.get(f"{key}_low") is None:
        return decimal(scores[key])
    return f"{scores[key]:.3f} ({scores[f'{key}_low']:.3f} to {scores[f'{key}_high']:.3f})"


def decimal(value: float | None) -> str:
    """Return a number with three decimals, or a dash where there is none."""
    return DASH if value is None or pd.isna(value) else f"{value:.3f}"


def p_value(value: float | None) -> str:
    """Return a p value as papers print it, or a dash where there is none."""
    return "< 0.001" if value is not None and value < 0.001 else decimal(value)


def signed(value: float) -> str:
    """Return a number as `+0.036`, with a true minus sign."""
    return f"{value:+z.3f}".replace("-", "\N{MINUS SIGN}")


def signed_with_interval(value: float | None, low: float | None, high: float | None) -> str:
    """Return a difference as `+0.036 (+0.012 to +0.060)`, without what is unknown, or a dash."""
    if pd.isna(low):
        return DASH if pd.isna(value) else signed(value)
    return f"{signed(value)} ({signed(low)} to {signed(high)})"


def html_table(
    caption: str, heads: list[str], rows: list[list], text_columns: int = 1, best: Sequence[int] = ()
) -> Markup:
    """Return a table with a caption, and a scope for each header.

    Args:
        caption: str.
        heads: list of str, of the columns.
        rows: list of lists of cells as text.
        text_columns: int, columns from the left that contain words, not numbers.
        best: sequence of int, the rows to emphasize.
    """
    word = Markup(' class="text"')
    head = Markup("").join(
        Markup('<th scope="col"{}>{}</th>').format(word if column < text_columns else "", name)
        for column, name in enumerate(heads)
    )
    body = Markup("").join(
        Markup("<tr{}>{}</tr>").format(
            Markup(' class="best"') if line in best else "",
            Markup("").join(_cell(cell, column, text_columns) for column, cell in enumerate(row)),
        )
        for line, row in enumerate(rows)
    )
    return Markup("<table><caption>{}</caption><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(
        caption, head, body
    )


def _cell(cell: str, column: int, text_columns: int) -> Markup:
    if column == text_columns - 1:  # the last text column names the row
        return Markup('<th scope="row" class="text">{}</th>').format(cell)
    return Markup("<td{}>{}</td>").format(Markup(' class="text"') if column < text_columns else "", cell)


def confusion_table(model: str, cells: pd.DataFrame) -> Markup:
    """Return a confusion matrix: images and their share of the row, darker where there are more.

    Args:
        model: str, the caption.
        cells: table with the columns actual, predicted, images, share.
    """
    images, shares = (cells.pivot(index="actual", columns="predicted", values=key) for key in ("images", "share"))
    order = list(dict.fromkeys(cells["predicted"]))
    heads = Markup("").join(Markup('<th scope="col">{}</th>').format(f"predicted {name}") for name in order)
    body = Markup("").join(
        Markup('<tr><th scope="row" class="text">{}</th>{}</tr>').format(
            actual,
            Markup("").join(
                Markup('<td style="background: rgb(var(--cell) / {:.2f})">{} ({:.0%})</td>').format(
                    0.45 * shares.loc[actual, name], int(images.loc[actual, name]), shares.loc[actual, name]
                )
                for name in order
            ),
        )
        for actual in dict.fromkeys(cells["actual"])
    )
    return Markup("<table><caption>{}</caption><thead><tr><td></td>{}</tr></thead><tbody>{}</tbody></table>").format(
        model, heads, body
    )
