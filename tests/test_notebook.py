"""docs/first-experiment.ipynb: its cells run from the first to the last, where the experiment has been run."""

import json

import pytest
from conftest import ROOT, TOY, all_recorded, commit, run, toy_repository

CELLS = json.loads((ROOT / "docs/first-experiment.ipynb").read_text())["cells"]
SHELL = "import subprocess\nsubprocess.run({!r}, shell=True, check=True)"


def as_program(cells: list[dict]) -> str:
    """The code of cells as one program; a line that begins with ! is a command of the shell, as in a notebook."""
    lines = [line for cell in cells if cell["cell_type"] == "code" for line in "".join(cell["source"]).splitlines()]
    return "\n".join(SHELL.format(line[1:]) if line.startswith("!") else line for line in lines)


@pytest.mark.slow
def test_the_notebook_runs_from_the_first_cell_to_the_last(tmp_path):
    folder = toy_repository(tmp_path, **TOY)
    all_recorded(folder)
    commit(folder, "First run")
    program = f"import matplotlib\nmatplotlib.use('Agg')\n{as_program(CELLS)}\nprint(answers['answer'][0])"
    done = run(folder, "python", "-c", program)
    assert "probe.head" in done.stdout
    assert done.stdout.splitlines()[-1].startswith(("pneumonia found", "no pneumonia found"))
    assert run(folder, "git", "status", "--porcelain").stdout == ""


def test_it_is_kept_without_outputs():
    for cell in CELLS:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
