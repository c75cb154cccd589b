"""Writing what a paper needs of experiments: tables, figures, methods, references and a checklist, all or nothing."""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from chest_transfer.files import atomic_write
from chest_transfer.reporting.paper.checklist import checklist_of
from chest_transfer.reporting.paper.experiments import Experiment, datasets_of
from chest_transfer.reporting.paper.figures import figures_of
from chest_transfer.reporting.paper.latex import latex_paragraph, latex_table, latex_text, references_cited
from chest_transfer.reporting.paper.methods import Sections, methods_of
from chest_transfer.reporting.paper.table import Table
from chest_transfer.reporting.paper.tables import tables_of

FOLDER = Path("paper")
# LaTeX is full of braces and percent signs, which are Jinja's own marks.
TEMPLATES = Environment(
    loader=PackageLoader("chest_transfer.reporting.paper", "."), undefined=StrictUndefined, trim_blocks=True,
    variable_start_string="[[", variable_end_string="]]", block_start_string="[%", block_end_string="%]",
    comment_start_string="[#", comment_end_string="#]", autoescape=False,
)  # fmt: skip


def write_paper(experiments: list[Experiment], folder: Path = FOLDER) -> None:
    """Write `tables/` (.tex, .csv, .md), `figures/` (.pdf, .svg), methods, references, checklist and `paper.tex`.

    Args:
        experiments: list of Experiment.
        folder: Path of the folder to write; one that is there is replaced as a whole.
    """
    tables, figures = tables_of(experiments), figures_of(experiments)
    methods = {experiment.name: methods_of(experiment) for experiment in experiments}
    with atomic_write(folder) as aside:
        for part in ("tables", "figures"):
            (aside / part).mkdir(parents=True)
        for table in tables:
            _write_table(table, aside / "tables")
        for figure in figures:
            figure.write(aside / "figures")
        markdown = _methods_in_markdown(methods)
        (aside / "methods.md").write_text(markdown)
        (aside / "methods.tex").write_text(_methods_in_latex(methods))
        (aside / "references.bib").write_text(references_cited(markdown))
        (aside / "checklist.md").write_text(checklist_of(experiments))
        title = f"{', '.join(methods)} on {', '.join(datasets_of(experiments))}"
        captions = [{"name": figure.name, "caption": latex_text(figure.caption)} for figure in figures]
        document = TEMPLATES.get_template("paper.tex").render(title=latex_text(title), tables=tables, figures=captions)
        (aside / "paper.tex").write_text(document)


def _write_table(table: Table, folder: Path) -> None:
    (folder / f"{table.name}.tex").write_text(latex_table(table))
    (folder / f"{table.name}.csv").write_text(table.raw.to_csv(index=False))
    shown = table.shown.map(lambda cell: cell.replace("|", r"\|"))
    markdown = shown.to_markdown(index=False, disable_numparse=True)
    (folder / f"{table.name}.md").write_text(f"{table.whole_caption}\n\n{markdown}\n")


def _methods_in_markdown(methods: dict[str, Sections]) -> str:
    lines = []
    for name, sections in methods.items():
        lines.append("# Methods" if len(methods) == 1 else f"# Methods: {name}")
        for heading, paragraphs in sections.items():
            lines += [f"## {heading}", *paragraphs]
    return "\n\n".join(lines) + "\n"


def _methods_in_latex(methods: dict[str, Sections]) -> str:
    lines = []
    for name, sections in methods.items():
        lines.append(r"\section*{Methods}" if len(methods) == 1 else rf"\section*{{Methods: {latex_text(name)}}}")
        for heading, paragraphs in sections.items():
            lines += [rf"\subsection*{{{latex_text(heading)}}}", *map(latex_paragraph, paragraphs)]
    return "\n\n".join(lines) + "\n"
