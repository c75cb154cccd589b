"""Importing the project's modules has no effect on the rest of the program."""

import json
import sys

from conftest import ROOT, run

# Imports all modules that need no TensorFlow twice. The first time loads the packages that they use, some of which set
# warning filters; what differs after the second time was changed by the project's own modules.
PROGRAM = """
import importlib, json, pkgutil, sys, warnings
sys.modules |= {"tensorflow": None, "keras": None}  # importing them raises ImportError
import chest_transfer, stages

def import_all():
    imported = []
    for package in (chest_transfer, stages):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            try:
                importlib.import_module(module.name)
                imported.append(module.name)
            except ModuleNotFoundError as error:
                assert error.name.split(".")[0] in ("tensorflow", "keras"), error
    return imported

import_all()
for name in [name for name in sys.modules if name.split(".")[0] in ("chest_transfer", "stages")]:
    if name not in ("chest_transfer", "stages"):
        del sys.modules[name]
before = list(warnings.filters)
imported = import_all()
print(json.dumps({"imported": imported, "unchanged": warnings.filters == before}))
"""


def test_importing_modules_changes_no_warning_filters():
    done = run(ROOT, sys.executable, "-W", "error::UserWarning", "-c", PROGRAM, PYTHONPATH=f"{ROOT / 'src'}:{ROOT}")
    result = json.loads(done.stdout.splitlines()[-1])
    expected = {
        "chest_transfer.data.dicom", "chest_transfer.data.radiographs", "chest_transfer.data.preprocessing",
        "chest_transfer.evaluation.summary", "chest_transfer.phantom.archive", "chest_transfer.reporting.writing",
        "chest_transfer.serving.models", "chest_transfer.settings", "chest_transfer.workers", "stages.evaluate",
    }  # fmt: skip
    assert expected <= set(result["imported"])
    assert result["unchanged"]


def test_the_benchmarks_and_the_programs_of_the_figures_can_be_imported():
    modules = [f"{folder}.{path.stem}" for folder in ("bench", "docs") for path in sorted((ROOT / folder).glob("*.py"))]
    run(ROOT, sys.executable, "-c", "import " + ", ".join(modules), PYTHONPATH=f"{ROOT / 'src'}:{ROOT}")


def test_the_stage_that_always_runs_starts_without_pandas_and_tensorflow():
    heavy = "('pandas', 'tensorflow', 'keras')"
    program = f"import stages.sources, sys; print([name for name in {heavy} if name in sys.modules])"
    done = run(ROOT, sys.executable, "-c", program, PYTHONPATH=f"{ROOT / 'src'}:{ROOT}")
    assert done.stdout.strip() == "[]"
