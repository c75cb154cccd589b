"""Text, tables and references as LaTeX."""

import re
from importlib.resources import files

from chest_transfer.reporting.paper.table import Table

# Braces first: the replacements of other characters contain some.
_SPECIAL = {
    "\\": "\0", "{": r"\{", "}": r"\}", "\0": r"\textbackslash{}", "%": r"\%", "&": r"\&", "_": r"\_", "#": r"\#",
    "$": r"\$", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "\N{MINUS SIGN}": "$-$", "\N{PLUS-MINUS SIGN}": r"$\pm$", "\N{DEGREE SIGN}": r"$^\circ$",
    "\N{EN DASH}": "--", "\N{MULTIPLICATION SIGN}": r"$\times$",
}  # fmt: skip
_CITATION = re.compile(r"\[(@\w+(?:; @\w+)*)\]")
LONGEST = 40  # rows on one page


def latex_text(text: str) -> str:
    """Return plain text as LaTeX."""
    for character, replacement in _SPECIAL.items():
        text = text.replace(character, replacement)
    return text


def latex_paragraph(text: str) -> str:
    """Return a paragraph with Pandoc's citations, `[@guo2017; @youden1950]`, as LaTeX."""
    parts = _CITATION.split(text)  # text and keys, in turn
    return "".join(
        rf"\cite{{{part.replace('@', '').replace('; ', ',')}}}" if number % 2 else latex_text(part)
        for number, part in enumerate(parts)
    ).replace(r" \cite", r"~\cite")


def latex_table(table: Table) -> str:
    """Return a table with caption and label, by booktabs, at most as wide as the page; a long one breaks over pages."""
    shown = table.shown.map(latex_text).rename(columns=latex_text)
    layout = {"index": False, "escape": False, "column_format": "l" * shown.shape[1]}
    caption, label = latex_text(table.whole_caption), f"tab:{table.name}"
    if len(shown) > LONGEST:
        longtable = shown.to_latex(longtable=True, caption=caption, label=label, **layout)
        return f"{{\\scriptsize\n{longtable}}}\n"
    return (
        f"\\begin{{table}}[htbp]\n\\centering\n\\caption{{{caption}}}\n\\label{{{label}}}\n\\small\n"
        f"\\begin{{adjustbox}}{{max width=\\textwidth}}\n{shown.to_latex(**layout)}\\end{{adjustbox}}\n\\end{{table}}\n"
    )


def references_cited(text: str) -> str:
    """Return the entries of `references.bib` that a text cites, in BibTeX.

    Raises:
        KeyError: it cites what is not there.
    """
    content = files(__package__).joinpath("references.bib").read_text()
    entries = {line.split("{", 1)[1].split(",", 1)[0]: line for line in content.splitlines() if line.startswith("@")}
    keys = dict.fromkeys(key for cited in _CITATION.findall(text) for key in re.findall(r"@(\w+)", cited))
    return "\n".join(entries[key] for key in keys) + "\n"
