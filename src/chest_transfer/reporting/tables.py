"""Tables of the report, in HTML that screen readers can read, and figures as text."""

import pandas as pd
from markupsafe import Markup

DASH = "\N{EN DASH}"


def ranged(found: dict, key: str) -> str:
    """`0.833 (0.747 to 0.913)`, or a dash."""
    if found.get(key) is None:
        return DASH
    if found.get(f"{key}_low") is None:
        return number(found[key])
    return f"{found[key]:.3f} ({found[f'{key}_low']:.3f} to {found[f'{key}_high']:.3f})"


def number(value: float | None) -> str:
    return DASH if value is None or pd.isna(value) else f"{value:.3f}"


def table(caption: str, heads: list[str], rows: list[list], texts: int = 1, best: list[int] = ()) -> Markup:
    """A table that screen readers can read: a caption, and a scope for each header.

    Args:
        caption: what it shows.
        heads: of the columns.
        rows: cells as text.
        texts: how many columns, from the left, are words and not numbers.
        best: numbers of the rows to stress.
    """
    word = Markup(' class="text"')
    head = Markup("").join(
        Markup('<th scope="col"{}>{}</th>').format(word if column < texts else "", name)
        for column, name in enumerate(heads)
    )
    body = Markup("").join(
        Markup("<tr{}>{}</tr>").format(
            Markup(' class="best"') if line in best else "",
            Markup("").join(_cell(cell, column, texts) for column, cell in enumerate(row)),
        )
        for line, row in enumerate(rows)
    )
    return Markup("<table><caption>{}</caption><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(
        caption, head, body
    )


def _cell(cell: str, column: int, texts: int) -> Markup:
    if column == texts - 1:  # the last of the words names the row
        return Markup('<th scope="row" class="text">{}</th>').format(cell)
    return Markup("<td{}>{}</td>").format(Markup(' class="text"') if column < texts else "", cell)


def confusion(model: str, cells: pd.DataFrame) -> Markup:
    """Counts with each row's share, darker where there are more."""
    images, shares = (cells.pivot(index="actual", columns="predicted", values=key) for key in ("images", "share"))
    order = list(dict.fromkeys(cells["predicted"]))
    heads = Markup("").join(Markup('<th scope="col">{}</th>').format(f"called {name}") for name in order)
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
